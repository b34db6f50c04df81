/** Entry of the broker's thread: nothing slow ever shares it. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import pino from 'pino';
import { type BrokerOptions, createBroker } from '../../broker/index.ts';
import {
  type LoginsFailing,
  type Publication,
  type SessionDrop,
  SharedClock,
  systemTimers as timers,
} from '../../domain/index.ts';
import { createJournalAppender } from '../../journal/index.ts';
import type { Credential, CredentialChange } from '../../registry/index.ts';
import { collectAfterStart } from './memory.ts';
import { offer, remote } from './rpc.ts';
import { COMMITTED, DECIDED, LIVE } from './shared-counters.ts';

/** The data that the main thread passes to this one. */
export interface BrokerThreadData {
  readonly options: BrokerOptions;
  readonly logLevel: string;
  /** The log's clock. */
  readonly clock: SharedArrayBuffer;
  readonly credentials: readonly Credential[];
  readonly journal: MessagePort;
  /** From the engine: what to publish. */
  readonly engine: MessagePort;
  readonly counters: Int32Array<SharedArrayBuffer>;
}

/**
 * How many messages the rules may be behind before those who publish the most wait: about a second's work, since a late
 * alert is worth little.
 */
const MOST_BEHIND = 200_000;

const data = workerData as BrokerThreadData;
const log = pino({ level: data.logLevel, name: 'broker' });
const clock = new SharedClock(data.clock);
const sink = createJournalAppender(data.journal, clock);
/** The counters wrap; their difference stays right. */
const behind = () => (Atomics.load(data.counters, COMMITTED) - Atomics.load(data.counters, DECIDED)) | 0;
const engine = remote<{
  dropped: (drops: readonly SessionDrop[]) => void;
  loginsFailing: (failing: LoginsFailing) => void;
}>(data.engine);
const publishDrops = engine.call.dropped;
/** An event is lost where the engine cannot write it; the next failures make another one. */
const publishFailing = (failing: LoginsFailing) => {
  engine.call.loginsFailing(failing).catch((error: unknown) => log.warn({ err: error }, 'an event of logins is lost'));
};
const load = () => behind() / MOST_BEHIND;
const live = (isWanted: boolean) => void Atomics.store(data.counters, LIVE, isWanted ? 1 : 0);
// Sessions and limits count time that passed, whatever the wall clock is set to.
const broker = createBroker(
  { sink, clock: clock.steady, timers, log, live, load, publishDrops, publishFailing },
  data.options,
);
sink.start();
broker.credentials({ set: data.credentials, remove: [] });
await broker.open();

offer(data.engine, {
  /** Publishes in order; resolves when everything that must outlive the broker is on disk. */
  async publish(publications: readonly Publication[]) {
    await Promise.all(publications.map((publication) => broker.publish(publication)));
  },
  restate: (filter: string, publications: readonly Publication[]) => broker.restate(filter, publications),
});

const functions = {
  start() {
    collectAfterStart();
    return broker.start();
  },
  credentials: (change: CredentialChange) => broker.credentials(change),
  /** Admits a message that did not come over MQTT. */
  ingest: (message: Parameters<typeof broker.ingest>[0]) => broker.ingest(message),
  limit: (limits: Parameters<typeof broker.limit>[0]) => broker.limit(limits),
  record: (id: string) => broker.record(id),
  throttled: (most: number) => broker.throttled(most),
  counts: () => ({ ...broker.counts(), pendingBytes: sink.pendingBytes() }),
  /** Takes no more messages; resolves when every taken message is on disk and acknowledged. */
  async stop() {
    await sink.drained();
    await broker.stop();
    sink.stop();
    data.engine.close();
    // After the reply has left.
    setImmediate(() => parentPort!.close());
  },
};
export type BrokerThread = typeof functions;
offer(parentPort!, functions);
