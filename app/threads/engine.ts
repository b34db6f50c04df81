/** Entry of the engine's thread: the journal's consumers and what they write. Owns the state file and the history. */
import { join } from 'node:path';
import { type MessagePort, parentPort } from 'node:worker_threads';
import pino from 'pino';
import { parseCity } from '../../city-model/index.ts';
import {
  type CityControl,
  DutyDeadlines,
  GAUGE,
  type HistoryProgress,
  isQuality,
  LamppostError,
  measuredMetric,
  type Publication,
  QUALITY,
  qualityMetric,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  rawMetric,
  type ScanQuery,
  SharedClock,
} from '../../domain/index.ts';
import {
  createDuckdbProcess,
  createHistoryConsumer,
  createInfluxHistory,
  type DuckdbLimits,
  type InfluxSettings,
  SharedHistory,
} from '../../history/index.ts';
import {
  createContext,
  createHistoryProgress,
  createLedgerStore,
  createQuarantineStore,
  Intake,
  liveOf,
  type Outcome,
  type QuarantineLimits,
  rejectionsOf,
} from '../../ingest/index.ts';
import { JournalReader, missingBlocks } from '../../journal/index.ts';
import { type KeyUse, writeKeyUse } from '../../registry/index.ts';
import { createChecksumReader, createConsumerStore, createRulesConsumer } from '../../rules/index.ts';
import { inTurns, readingFile, transact } from '../../store/index.ts';
import { timed } from '../steps.ts';
import { offerBatches, scanParts, sliceParts } from './batches.ts';
import { createConsumerLoops } from './consumer-loops.ts';
import { createThreadEffects } from './effects.ts';
import { collectAfterStart } from './memory.ts';
import { createHistoryOpening } from './opening.ts';
import { begun, offer, remote } from './rpc.ts';
import { LIVE } from './shared-counters.ts';
import { openStateFile } from './state.ts';

/** The data that the main thread passes to this one. */
export interface EngineThreadData {
  readonly dir: string;
  readonly logLevel: string;
  /** The log's clock. */
  readonly clock: SharedArrayBuffer;
  /** The newest block that was in the journal before this start. */
  readonly journalled: number;
  readonly duckdb: DuckdbLimits;
  readonly quarantine: QuarantineLimits;
  /** How long entries of the audit trail are kept, ms. */
  readonly auditMs: number;
  /** How long refused messages are kept, ms. */
  readonly quarantineMs: number;
  /** The InfluxDB that is the history; null for the embedded one. */
  readonly influx: InfluxSettings | null;
  /** Moves with every commit of the journal. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
  readonly broker: MessagePort;
  /** Until when each duty is this node's, where others follow the same log; null: it is alone. */
  readonly deadlines: SharedArrayBuffer | null;
}

const PATIENCE_MS = 5_000;
/** Publications that wait for the broker at most, and beyond how many these are rejections only, of up to 64 KiB. */
const MOST_FED = 2_000;
const MOST_LIVE = 1_000;

const data = await begun<EngineThreadData>();
const log = pino({ level: data.logLevel, name: 'engine' });
const db = openStateFile(data.dir);
const clock = new SharedClock(data.clock);
const { steady } = clock;

const journal = new JournalReader(join(data.dir, 'journal.sqlite')).open();
const ofState = <T>(read: () => T) => readingFile(join(data.dir, 'state.sqlite'), read);
const context = ofState(() => createContext(db, (control: CityControl) => parseCity(control).city));
const intake = ofState(() => new Intake(db, context).open());
const metricOf = (metric: string) => context.cityAt(Number.MAX_SAFE_INTEGER)?.city.metrics.get(measuredMetric(metric));
const isText = (metric: string) => metricOf(metric)?.kind === 'text';
const unitOf = (metric: string) => (isQuality(metric) ? '1' : (metricOf(metric)?.unit ?? ''));
const measureOf = (metric: string) => (isQuality(metric) ? QUALITY : (metricOf(metric) ?? GAUGE));
const measures = () => {
  const known = [...(context.cityAt(Number.MAX_SAFE_INTEGER)?.city.metrics.values() ?? [])];
  const measures = known.flatMap(({ id, unit, kind, max, values }) => {
    const own = { unit, kind, max, values };
    return [[id, own] as const, [rawMetric(id), own] as const, [qualityMetric(id), { unit: '1', ...QUALITY }] as const];
  });
  return Object.fromEntries(measures);
};
const { metrics } = context;
const embedded =
  data.influx === null
    ? createDuckdbProcess({ path: join(data.dir, 'history.duckdb'), metrics, measures, limits: data.duckdb, log })
    : null;
/** An InfluxDB that other nodes write too; null where there is none. */
const shared = data.deadlines !== null && embedded === null ? sharedHistory(new DutyDeadlines(data.deadlines)) : null;
const writes = () => shared?.holds() ?? true;
const history = embedded ?? createInfluxHistory({ metrics, unitOf, measureOf, clock, writes }, data.influx!);
const threadEffects = createThreadEffects({ db, context, log, auditMs: data.auditMs, quarantineMs: data.quarantineMs });
const { effects } = threadEffects;
const broker = remote<{
  publish: (publications: readonly Publication[]) => void;
  appended: () => void;
}>(data.broker);

function sharedHistory(deadlines: DutyDeadlines): SharedHistory {
  const append = (progress: HistoryProgress) => parentPort!.postMessage({ event: 'progress', progress });
  return new SharedHistory(createHistoryProgress(db).confirmed, append, () => deadlines.isOver('history'));
}

let feeding = false;
let waiting: Publication[] = [];
const rules = createRulesConsumer({
  db,
  journal,
  intake,
  context,
  clock: steady,
  log,
  effects: (transition, context) => void effects.apply({ transition, ...context }),
  blocks: threadEffects.blocks,
  checksum: threadEffects.checksum,
  onEffects() {
    onEvents();
    const decided = threadEffects.takeDecided();
    if (decided !== null) parentPort!.postMessage({ event: 'decided', decided });
    if (threadEffects.takeRegistryChanged()) parentPort!.postMessage({ event: 'registry' });
  },
});

function onEvents(): void {
  parentPort!.postMessage({ event: 'appended' });
  void broker.call.appended().catch(brokerGone);
}

/** The broker stops first: it does not reply to a call any more. */
function brokerGone(error: unknown): void {
  if (!(error instanceof LamppostError)) throw error;
}

/**
 * Publishes live readings and rejections: best effort. One batch is on its way at a time; what comes meanwhile is in
 * the next one, as long as not too much waits.
 */
function feed(outcomes: readonly Outcome[]): void {
  if (waiting.length < MOST_FED) {
    const isLive = waiting.length < MOST_LIVE && Atomics.load(data.counters, LIVE) === 1;
    waiting = [...waiting, ...rejectionsOf(outcomes), ...(isLive ? liveOf(outcomes, context.metrics, isText) : [])];
  }
  if (feeding || waiting.length === 0) return;
  feeding = true;
  const publications = waiting;
  waiting = [];
  void broker.call
    .publish(publications)
    .catch(brokerGone)
    .finally(() => {
      feeding = false;
      feed([]);
    });
}

const quarantine = createQuarantineStore(db, data.quarantine);
const consumer = createHistoryConsumer(
  {
    db,
    journal,
    intake,
    history,
    ledger: createLedgerStore(db),
    quarantine,
    metrics,
    clock: steady,
    log,
    shared,
  },
  data.influx === null ? { readings: 50_000, ageMs: 250 } : { readings: 20_000, ageMs: 1_000 },
);
const opening = createHistoryOpening({ history, stranger: foundHistory, log });
const loops = createConsumerLoops({
  counter: data.counter,
  counters: data.counters,
  startedAt: journal.head().seq,
  rules,
  history: consumer,
  isOpen: opening.isOpen,
  embedded: embedded !== null,
  clock: steady,
  log,
  onOutcomes(outcomes) {
    for (const { city } of outcomes)
      if (city !== null) parentPort!.postMessage({ event: 'city', seq: city.seq, control: city.control });
    feed(outcomes);
  },
  taken: (seq) => intake.forget(seq),
  prune: (seq) => transact(db, () => intake.prune(seq)),
  release: (seq) => parentPort!.postMessage({ event: 'release', seq }),
});

/** What this start found: a history opens while the consumers go on. */
const found = {
  head: intake.head(),
  checkpoint: createConsumerStore(db).progress()?.checkpoint ?? 0,
  ledger: consumer.cursor(),
  oldest: journal.after(0, 1)[0]?.seq ?? 1,
};

/** Returns a sentence where the files are of different times: side by side they would lose messages silently. */
function strangers(newestInHistory: number): string | null {
  const { head, oldest, ...taken } = found;
  const journalled = { oldest, newest: data.journalled };
  const missing = missingBlocks({ ...taken, newest: Math.max(head, newestInHistory) }, journalled);
  if (missing === null) return null;
  return (
    `the files in ${data.dir} are of different times: ${missing}; restore all of one backup, ` +
    `or see what a repair would do: lamppost repair --data ${data.dir} --backup <the newest backup>`
  );
}

/** Looks at the history once it is open. One that was removed is made anew, empty: nobody else would say so. */
function foundHistory(): string | null {
  const at = history.cursor();
  if (data.influx === null && at < found.ledger)
    log.error(
      `history.duckdb ends at block ${at}, and readings up to block ${found.ledger} were stored: it was removed or ` +
        'replaced. With the server stopped, a repair makes it anew from a backup; after a change from InfluxDB it is right',
    );
  return strangers(at);
}

function refuseStrangers(): void {
  const why = strangers(0);
  if (why !== null) throw new LamppostError('disk', why);
}

refuseStrangers();
const started = {
  startedAt: journal.head().seq,
  startedMs: clock.now(),
  reachedFirst: found.checkpoint,
  historyFirst: found.ledger,
};
const quit = new AbortController();
let recovered: Promise<boolean> = Promise.resolve(false);
let isRecovered = false;

/** Brings the rules to where the process before left them, in slices; resolves to false where a stop interrupts it. */
async function recover(): Promise<boolean> {
  try {
    await timed(log, 'seen keys', () => inTurns(intake.restore(), quit.signal));
    await timed(log, 'rules recover', () => inTurns(rules.start(), quit.signal));
    isRecovered = true;
  } catch (error) {
    if (!quit.signal.aborted) throw error;
  }
  return isRecovered;
}

/** Starts the consumers: the rules once they have recovered, the history once it is open. Nobody waits for either. */
async function consume(): Promise<void> {
  opening.start();
  recovered = recover();
  if (!(await recovered)) return;
  collectAfterStart();
  await loops.start();
}

/** Every consumer takes what is in the journal now, and it is published; then windows are written. */
async function drain(): Promise<void> {
  quit.abort();
  if (await recovered.catch(() => false)) await settle();
}

async function settle(): Promise<void> {
  // What a database does not take in time is written again after the next start.
  const patience = setTimeout(() => history.interrupt?.(), PATIENCE_MS);
  await loops.stop();
  if (loops.damage() !== null) return;
  while (rules.step().length > 0);
  rules.checkpoint();
  const { seq } = journal.head();
  while (opening.isOpen() && consumer.cursor() < seq && (await consumer.step(true)));
  clearTimeout(patience);
}

/** The history, once it is open; throws `history` before. */
function stored(): typeof history {
  opening.check();
  return history;
}

/** The embedded history, once it is open; null with InfluxDB. */
function storedHere(): typeof embedded {
  opening.check();
  return embedded;
}

type SentOptions = Omit<ReadOptions, 'signal'>;

const functions = {
  /** Starts the consumers. */
  run() {
    consume().catch((error: unknown) => {
      // The process says what is known.
      if (!(error instanceof LamppostError)) log.fatal({ err: error }, 'the engine stops');
      setImmediate(() => {
        throw error;
      });
    });
  },
  /** Serve one read of the history each, over the port. */
  read: (port: MessagePort) =>
    offerBatches(
      port,
      (signal, query: ReadingsQuery, options: SentOptions) => stored().read(query, { ...options, signal }),
      sliceParts,
    ),
  latest: (port: MessagePort) => offerBatches(port, (_signal, filter: ReadingsFilter) => stored().latest(filter)),
  scan: (port: MessagePort) =>
    offerBatches(port, (signal, query: ScanQuery) => stored().scan(query, signal), scanParts),
  count: () => stored().count(),
  exportParquet: (query: Omit<ReadingsQuery, 'maxPoints'>, options: SentOptions, signal: AbortSignal) =>
    stored().exportParquet(query, { ...options, signal }),
  /** Does nothing with InfluxDB, which rolls up and deletes by its own rules. */
  rollup: async (untilMs: number) => (await storedHere()?.rollup(untilMs)) ?? 0,
  async prune(beforeMs: number): Promise<number> {
    const history = storedHere();
    if (history === null || history === undefined) return 0;
    const pruned = await history.prune(beforeMs);
    transact(db, () => intake.forgetTexts(beforeMs));
    return pruned;
  },
  /** Copies the embedded history; resolves to its cursor in the copy. */
  copyHistory: (to: string) => storedHere()!.copyTo(to),
  status: () => ({
    ...started,
    head: journal.head().seq,
    atMs: clock.now(),
    recovered: isRecovered,
    reached: rules.reached(),
    open: opening.isOpen(),
    rules: rules.cursor(),
    history: consumer.cursor(),
    trouble: loops.damage() ?? (opening.isOpen() ? (embedded?.trouble() ?? consumer.trouble()) : opening.trouble()),
    replayed: consumer.replayed(),
  }),
  /** The process of the embedded history; null with InfluxDB. */
  historyProcess: async () => (await embedded?.status()) ?? null,
  /** The checksum of what was decided, with its marks. */
  checksum: createChecksumReader(db),
  explain: (rule: string, group: string) => rules.explain(rule, group),
  explainDevice: (device: string) => rules.explainDevice(device),
  /** A consumer that is behind finds what the blocks before it may still replay. */
  expire(beforeMs: number) {
    const next = journal.after(consumer.cursor(), 1)[0];
    return quarantine.expire(Math.min(beforeMs, next === undefined ? beforeMs : next.receivedAt - data.quarantineMs));
  },
  /** Begins to write a history that nodes share, under a lease; null: another node does. */
  hold: (revision: number | null) => shared?.hold(revision),
  keysUsed: (uses: readonly KeyUse[]) => writeKeyUse(db, uses),
  drain,
  /** Closes the files: after a drain, or where a start failed. */
  async stop() {
    await opening.stop();
    db.close();
    journal.close();
    data.broker.close();
    // After the reply has left.
    setImmediate(() => parentPort!.close());
  },
};
export type EngineThread = typeof functions;
offer(parentPort!, functions);
