/** Entry of the broker's thread: nothing slow ever shares it. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import pino from 'pino';
import { type BrokerOptions, createBroker } from '../../broker/index.ts';
import { systemClock as clock, type Publication, type SessionDrop } from '../../domain/index.ts';
import { createJournalAppender } from '../../journal/index.ts';
import type { Credential, CredentialChange } from '../../registry/index.ts';
import { collectAfterStart } from './memory.ts';
import { offer, remote } from './rpc.ts';
import { COMMITTED, DECIDED, LIVE } from './shared-counters.ts';

/** What the main thread hands to this one. */
export interface BrokerThreadData {
  readonly options: BrokerOptions;
  readonly logLevel: string;
  readonly credentials: readonly Credential[];
  readonly journal: MessagePort;
  /** Where the engine sends what is to be published. */
  readonly engine: MessagePort;
  readonly counters: Int32Array<SharedArrayBuffer>;
}

/** Messages that the rules may be behind before publishers wait: about a second's work. An alert that comes late is worth little. */
const MOST_BEHIND = 200_000;

const data = workerData as BrokerThreadData;
const log = pino({ level: data.logLevel, name: 'broker' });
const sink = createJournalAppender(data.journal, clock);
/** Counters wrap: their difference does not. */
const behind = () => (Atomics.load(data.counters, COMMITTED) - Atomics.load(data.counters, DECIDED)) | 0;
const engine = remote<{ dropped: (drops: readonly SessionDrop[]) => void }>(data.engine);
const overloaded = () => behind() > MOST_BEHIND;
const broker = createBroker({ sink, clock, log, overloaded, publishDrops: engine.call.dropped }, data.options);
broker.credentials({ set: data.credentials, remove: [] });
await broker.open();

offer(data.engine, {
  /** Publishes in order; resolves when the broker has all on disk that is to outlive it. */
  async publish(publications: readonly Publication[]) {
    await Promise.all(publications.map((publication) => broker.publish(publication)));
  },
  restate: (filter: string, publications: readonly Publication[]) => broker.restate(filter, publications),
});
const watch = setInterval(() => Atomics.store(data.counters, LIVE, broker.wantsLive() ? 1 : 0), 200);

const functions = {
  start() {
    collectAfterStart();
    return broker.start();
  },
  credentials: (change: CredentialChange) => broker.credentials(change),
  /** A message that came by another way than MQTT. */
  ingest: (message: Parameters<typeof broker.ingest>[0]) => broker.ingest(message),
  counts: () => ({ ...broker.counts(), pendingBytes: sink.pendingBytes() }),
  /** Takes no more messages; resolves when all that was taken is on disk and acknowledged. */
  async stop() {
    await sink.drained();
    await broker.stop();
    clearInterval(watch);
    data.journal.close();
    data.engine.close();
    // After the answer has left.
    setImmediate(() => parentPort!.close());
  },
};
export type BrokerThread = typeof functions;
offer(parentPort!, functions);
