/** Aedes as it comes: in memory, no subscriber, nothing stored. What Lamppost is compared with. */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const aedes = await Aedes.createBroker();
const server = createServer({ highWaterMark: 256 * 1024, noDelay: true }, aedes.handle);
server.listen(0, '127.0.0.1', () => process.send!((server.address() as { port: number }).port));
process.on('SIGTERM', () => process.exit(0));
