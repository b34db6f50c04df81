/** Entry of the broker's thread: nothing slow ever shares it. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type MessagePort, parentPort } from 'node:worker_threads';
import pino from 'pino';
import { type BrokerOptions, createBroker, type DeclaredNames, type Departments } from '../../broker/index.ts';
import {
  type LoginsFailing,
  type Publication,
  type SessionDrop,
  SharedClock,
  systemTimers as timers,
} from '../../domain/index.ts';
import { createCommandQueue, createMqttOutbox } from '../../events/index.ts';
import { createJournalAppender } from '../../journal/index.ts';
import { COUNTED_HERE, type CountedFailures, SharedFailures } from '../../limits/index.ts';
import type { Credential, CredentialChange } from '../../registry/index.ts';
import type { Notices } from './journal.ts';
import { collectAfterStart } from './memory.ts';
import { begun, offer, remote } from './rpc.ts';
import { JournalSessions } from './session-records.ts';
import { COMMITTED, DECIDED, LIVE } from './shared-counters.ts';

/** The data that the main thread passes to this one. */
export interface BrokerThreadData {
  readonly options: BrokerOptions;
  readonly dir: string;
  readonly logLevel: string;
  /** The log's clock. */
  readonly clock: SharedArrayBuffer;
  readonly credentials: readonly Credential[];
  readonly journal: MessagePort;
  /** To the journal: what the broker noticed of its clients. */
  readonly notices: MessagePort;
  /** From the engine: what to publish beside the outbox. */
  readonly engine: MessagePort;
  readonly counters: Int32Array<SharedArrayBuffer>;
  /** Moves with every commit of the journal. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  /** The name of this node of a cluster; null: it is alone. */
  readonly node: string | null;
}

/**
 * How many messages the rules may be behind before those who publish the most wait: about a second's work, since a late
 * alert is worth little.
 */
const MOST_BEHIND = 200_000;
/** Waiting for another connection's lock: only a recovery of the file holds one that a reader waits for. */
const BUSY_MS = 5_000;

const data = await begun<BrokerThreadData>();
const log = pino({ level: data.logLevel, name: 'broker' });
const clock = new SharedClock(data.clock);
const sink = createJournalAppender(data.journal, clock);
/** The counters wrap; their difference stays right. */
const behind = () => (Atomics.load(data.counters, COMMITTED) - Atomics.load(data.counters, DECIDED)) | 0;
const notices = remote<Notices>(data.notices).call;
const publishDrops = (drops: readonly SessionDrop[]) => notices.append({ drops, logins: [] });
/** An event is lost where the disk does not take it; the next failures make another one. */
const publishFailing = (failing: LoginsFailing) => {
  notices
    .append({ drops: [], logins: [failing] })
    .catch((error: unknown) => log.warn({ err: error }, 'an event of logins is lost'));
};
const load = () => behind() / MOST_BEHIND;
const live = (isWanted: boolean) => void Atomics.store(data.counters, LIVE, isWanted ? 1 : 0);
const state = new DatabaseSync(join(data.dir, 'state.sqlite'), { readOnly: true, timeout: BUSY_MS });
const outbox = createMqttOutbox(state);
/** Only a hint is lost where the disk does not take it: what the device replies counts. */
const commands = createCommandQueue(state, clock, (delivered) => {
  notices
    .append({ drops: [], logins: [], delivered })
    .catch((error: unknown) => log.warn({ err: error }, 'it is not noted which commands arrived'));
});
const shared =
  data.node === null
    ? null
    : new JournalSessions({
        ...{ node: data.node, dir: data.dir, counter: data.counter },
        append: (control) => notices.sessions(control),
        followed: (seq) => parentPort!.postMessage({ event: 'followed', seq }),
        onMore: () => broker.recorded(),
      });
/** The main thread passes them on to the other nodes. */
const failures =
  data.node === null
    ? null
    : new SharedFailures({ timers, send: (failures) => parentPort!.postMessage({ event: 'failures', failures }) });
// Sessions and limits count time that passed, whatever the wall clock is set to.
const broker = createBroker(
  {
    sink,
    clock: clock.steady,
    timers,
    log,
    outbox,
    live,
    load,
    publishDrops,
    publishFailing,
    commands,
    records: shared?.records ?? null,
    counters: failures ?? COUNTED_HERE,
  },
  data.options,
);
sink.start();
broker.credentials({ set: data.credentials, remove: [] });
await broker.open();
void shared?.follow();

offer(data.engine, {
  /** Publishes what is not in the outbox, in order. */
  publish(publications: readonly Publication[]) {
    for (const publication of publications) broker.publish(publication);
  },
  /** The outbox has new events. */
  appended: () => broker.appended(),
});

const functions = {
  start() {
    collectAfterStart();
    return broker.start();
  },
  credentials: (change: CredentialChange) => broker.credentials(change),
  /** Admits a message that did not come over MQTT. */
  ingest: (message: Parameters<typeof broker.ingest>[0]) => broker.ingest(message),
  carry: (...args: Parameters<typeof broker.carry>) => broker.carry(...args),
  keysUsed: () => broker.keysUsed(),
  limit: (limits: Parameters<typeof broker.limit>[0]) => broker.limit(limits),
  departments: (departments: Departments) => broker.departments(departments),
  declared: (declared: DeclaredNames) => broker.declared(declared),
  renew: (certificate: Parameters<typeof broker.renew>[0]) => broker.renew(certificate),
  /** Counts what was refused at another node. */
  failed: (counted: CountedFailures) => failures?.receive(counted),
  record: (id: string) => broker.record(id),
  throttled: (most: number) => broker.throttled(most),
  counts: () => ({ ...broker.counts(), pendingBytes: sink.pendingBytes(), acknowledged: sink.acknowledged() }),
  /** Takes no more messages; resolves when every taken message is on disk and acknowledged. */
  async stop() {
    await sink.drained();
    await broker.stop();
    sink.stop();
    failures?.stop();
    state.close();
    shared?.close();
    data.engine.close();
    data.notices.close();
    // After the reply has left.
    setImmediate(() => parentPort!.close());
  },
};
export type BrokerThread = typeof functions;
offer(parentPort!, functions);
