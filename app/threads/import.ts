/** Entry of the thread that reads imports: a file comes in, parts for the journal go out, one file at a time. */
import { parentPort } from 'node:worker_threads';
import { importParts } from '../../ingest/index.ts';
import { moving, offer } from './rpc.ts';

const functions = {
  read(bytes: Uint8Array, options: Parameters<typeof importParts>[1]) {
    const parts = importParts(bytes, options);
    return moving(
      parts,
      parts.map(({ columns }) => columns.buffer),
    );
  },
};
export type ImportThread = typeof functions;
offer(parentPort!, functions);
