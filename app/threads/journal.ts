/** Entry of the journal's thread: owns the journal's file and waits for its fsync, so that no other thread does. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../domain/index.ts';
import { type JournalLimits, JournalServer } from '../../journal/index.ts';
import { collectAfterStart } from './memory.ts';
import { offer } from './rpc.ts';
import { COMMITTED } from './shared-counters.ts';

/** The data that the main thread passes to this one. */
export interface JournalThreadData {
  readonly path: string;
  readonly counter: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
  readonly limits: JournalLimits & { tickMs: number };
  /** From the broker: its group commits. */
  readonly broker: MessagePort;
}

const data = workerData as JournalThreadData;
const server = new JournalServer(
  {
    path: data.path,
    clock: systemClock,
    signal: { counter: data.counter },
    onMessages: (count) => Atomics.add(data.counters, COMMITTED, count),
  },
  data.limits,
).open();
server.serve(data.broker);

const functions = {
  heads: () => server.heads(),
  newest: () => server.newest(),
  control: (...args: Parameters<JournalServer['control']>) => server.control(...args),
  replay: (...args: Parameters<JournalServer['replay']>) => server.replay(...args),
  release: (seq: number) => server.release(seq),
  hold: () => server.hold(),
  letGo: () => server.letGo(),
  bytes: () => server.bytes(),
  /** Starts ticks and trimming, once every consumer runs. */
  run() {
    collectAfterStart();
    server.start();
  },
  stop() {
    server.stop();
    data.broker.close();
    // After the reply has left.
    setImmediate(() => parentPort!.close());
  },
};
export type JournalThread = typeof functions;
offer(parentPort!, functions);
