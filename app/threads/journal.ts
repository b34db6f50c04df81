/** Entry of the journal's thread: owns the journal's file and waits for its fsync, so that no other thread does. */
import { uptime } from 'node:os';
import { type MessagePort, parentPort } from 'node:worker_threads';
import pino from 'pino';
import type { ClusterSettings } from '../../cluster/index.ts';
import {
  CLOCK_DOUBTS,
  type ClockControl,
  isoOf,
  type NoticesControl,
  SECOND_MS,
  type SessionsControl,
  SharedClock,
} from '../../domain/index.ts';
import {
  type ClockStatus,
  type JournalLimits,
  JournalServer,
  type JournalStore,
  StreamWriter,
  Timekeeper,
  thisMachine,
} from '../../journal/index.ts';
import { collectAfterStart } from './memory.ts';
import { begun, offer } from './rpc.ts';
import { COMMITTED } from './shared-counters.ts';

/** The data that the main thread passes to this one. */
export interface JournalThreadData {
  readonly path: string;
  readonly logLevel: string;
  /** The log's clock, which this thread sets. */
  readonly clock: SharedArrayBuffer;
  /** How long a start waits for a wall clock that it does not believe, ms. */
  readonly clockWaitMs: number;
  readonly counter: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
  readonly limits: JournalLimits & { tickMs: number };
  /** The cluster whose log this node follows; null: the file is the log. */
  readonly cluster: ClusterSettings | null;
  /** From the broker: its group commits. */
  readonly broker: MessagePort;
  /** From the broker: what it noticed. */
  readonly notices: MessagePort;
}

const data = await begun<JournalThreadData>();
const log = pino({ level: data.logLevel, name: 'journal' });
const clock = new SharedClock(data.clock);
const machine = thisMachine(() => uptime() * SECOND_MS);
const timekeeper = new Timekeeper(clock, { waitMs: data.clockWaitMs }, machine);
let stream: StreamWriter | null = null;
let keepsTime = data.cluster === null;
const server = new JournalServer(
  {
    path: data.path,
    clock,
    timekeeper,
    keepsTime: () => keepsTime,
    ...(data.cluster === null ? {} : { createWriter: streamOf(data.cluster) }),
    onClock: logClock,
    signal: { counter: data.counter },
    onMessages: (count) => Atomics.add(data.counters, COMMITTED, count),
    onLeadGone: () => log.warn(LEAD_GONE),
  },
  data.limits,
).open();
await server.follow();
server.serve(data.broker);
/** Resolve once it is on disk. */
const notices = {
  append: async (control: NoticesControl) => void (await server.control('notices', control, null)),
  /** What happened to the clients of this node of a cluster. */
  sessions: (control: SessionsControl) => server.control('sessions', control, null),
};
export type Notices = typeof notices;
offer(data.notices, notices);

const LEAD_GONE =
  'the log is more than half full, and gives up records that no backup has: moments since the newest backup cannot be ' +
  'restored any more, until there is another one; make LAMPPOST_JOURNAL_MAX_BYTES larger, or backups more often';

/** Returns what makes the writer of a cluster's log. */
function streamOf(settings: ClusterSettings) {
  return (store: JournalStore, onBlocks: (messages: number) => void) => {
    // It ends this thread, and with it the process, which says why.
    const onFault = (error: Error) => {
      throw error;
    };
    stream = new StreamWriter({ settings, store, clock, timekeeper, onBlocks, onFault, logger: log });
    return stream;
  };
}

/** One line for each record of the clock. */
function logClock({ byMs, fromMs, wallMs, doubt }: ClockControl, { believedInMs }: ClockStatus): void {
  const facts = { byMs, from: shown(fromMs), wall: shown(wallMs), believedInMs };
  if (doubt === null) log.warn(facts, 'the wall clock was set: civil time follows it, durations go on');
  else log.error(facts, `${CLOCK_DOUBTS[doubt]}: civil time goes on from the newest record`);
}

/** A wall clock can show what no ISO 8601 date of four digits says. */
function shown(ms: number): string | number {
  return ms >= 0 && ms < Date.UTC(10_000, 0) ? isoOf(ms) : ms;
}

const functions = {
  heads: () => server.heads(),
  newest: () => server.newest(),
  control: (...args: Parameters<JournalServer['control']>) => server.control(...args),
  replay: (...args: Parameters<JournalServer['replay']>) => server.replay(...args),
  import: (body: Uint8Array) => server.import(body),
  release: (seq: number) => server.release(seq),
  hold: () => server.hold(),
  letGo: () => server.letGo(),
  backedUp: (from: number) => server.backedUp(from),
  bytes: () => server.bytes(),
  clock: () => server.clock()!,
  /** Why this node does not follow the log of its cluster, and for how long; null where it does, or is alone. */
  away: () => stream?.away() ?? null,
  /** Starts ticks and trimming, once every consumer runs. */
  run() {
    collectAfterStart();
    server.start();
  },
  /** Whether this node says what time it is for all. */
  keepTime(keeps: boolean) {
    if (keeps && !keepsTime) timekeeper.join();
    keepsTime = keeps;
  },
  async stop() {
    await server.stop();
    data.broker.close();
    data.notices.close();
    // After the reply has left.
    setImmediate(() => parentPort!.close());
  },
};
export type JournalThread = typeof functions;
offer(parentPort!, functions);
