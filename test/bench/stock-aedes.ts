/** Stock Aedes: in memory, no subscriber, nothing stored. The comparison for Lamppost. */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const aedes = await Aedes.createBroker();
const server = createServer({ highWaterMark: 256 * 1024, noDelay: true }, aedes.handle);
server.listen(0, '127.0.0.1', () => process.send!((server.address() as { port: number }).port));
process.on('SIGTERM', () => process.exit(0));
