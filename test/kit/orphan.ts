/** A program that starts a server as tests do, prints its process and waits; it ends when it is killed. */
import { ServerProcess } from './server.ts';

const server = new ServerProcess();
await server.start();
console.log(server.pid);
setInterval(() => {}, 1_000);
