/** Entry of the engine's thread: the journal's consumers and what they write. Owns the state file and the history. */
import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import pino from 'pino';
import { parseCity } from '../../city-model/index.ts';
import {
  type CityControl,
  systemClock as clock,
  LamppostError,
  type LoginsFailing,
  type Publication,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  type ScanQuery,
  type SessionDrop,
  systemTimers,
  type Ticket,
} from '../../domain/index.ts';
import {
  createEventPublisher,
  type LamppostEvent,
  loginEventOf,
  retainedTickets,
  sessionEventOf,
} from '../../events/index.ts';
import {
  createDuckdbHistory,
  createHistoryConsumer,
  createInfluxHistory,
  type InfluxSettings,
} from '../../history/index.ts';
import {
  createContext,
  createLedgerStore,
  createQuarantineStore,
  Intake,
  liveOf,
  type Outcome,
  type QuarantineLimits,
  rejectionsOf,
} from '../../ingest/index.ts';
import { JournalReader, missingBlocks } from '../../journal/index.ts';
import { createConsumerStore, createRulesConsumer } from '../../rules/index.ts';
import { inTurns, transact } from '../../store/index.ts';
import { createTicketReader, type Rating, type Request, type TicketService } from '../../tickets/index.ts';
import { timed } from '../steps.ts';
import { offerBatches, scanParts, sliceParts } from './batches.ts';
import { createConsumerLoops } from './consumer-loops.ts';
import { createThreadEffects } from './effects.ts';
import { collectAfterStart } from './memory.ts';
import { createHistoryOpening } from './opening.ts';
import { offer, remote } from './rpc.ts';
import { LIVE } from './shared-counters.ts';
import { openStateFile } from './state.ts';

/** The data that the main thread passes to this one. */
export interface EngineThreadData {
  readonly dir: string;
  readonly logLevel: string;
  /** The newest block that was in the journal before this start. */
  readonly journalled: number;
  /** What DuckDB may use of memory, MiB. */
  readonly duckdbMiB: number;
  readonly quarantine: QuarantineLimits;
  /** How long entries of the audit trail are kept, ms. */
  readonly auditMs: number;
  /** The InfluxDB that is the history; null for the embedded one. */
  readonly influx: InfluxSettings | null;
  /** Moves with every commit of the journal. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
  readonly broker: MessagePort;
}

const EVENTS_KEPT = 100_000;
const PATIENCE_MS = 5_000;

const data = workerData as EngineThreadData;
const log = pino({ level: data.logLevel, name: 'engine' });
const db = openStateFile(data.dir);

const journal = new JournalReader(join(data.dir, 'journal.sqlite')).open();
const context = createContext(db, (control: CityControl) => parseCity(control).city);
const intake = new Intake(db, context).open();
const unitOf = (metric: string) => context.cityAt(Number.MAX_SAFE_INTEGER)?.city.metrics.get(metric)?.unit ?? '';
const { metrics } = context;
const embedded =
  data.influx === null
    ? createDuckdbHistory({ path: join(data.dir, 'history.duckdb'), metrics, unitOf, memoryMiB: data.duckdbMiB })
    : null;
const history = embedded ?? createInfluxHistory({ metrics, unitOf, clock }, data.influx!);
const threadEffects = createThreadEffects({ db, context, log, auditMs: data.auditMs });
const { effects, outbox } = threadEffects;
const broker = remote<{
  publish: (publications: readonly Publication[]) => Promise<void>;
  restate: (filter: string, publications: readonly Publication[]) => Promise<void>;
}>(data.broker);

const publish = (publications: readonly Publication[]) =>
  broker.call.publish(publications).then(() => true, brokerGone);
const publisher = createEventPublisher({ outbox, publish, timers: systemTimers });

let feeding = false;
const rules = createRulesConsumer({
  db,
  journal,
  intake,
  context,
  clock,
  log,
  effects: (transition, context) => void effects.apply({ transition, ...context }),
  blocks: threadEffects.blocks,
  onEffects() {
    onEvents();
    const decided = threadEffects.takeDecided();
    if (decided !== null) parentPort!.postMessage({ event: 'decided', decided });
  },
});

/** Commits what a citizen asks for, with its events, in one transaction. */
function commit(work: (service: TicketService) => Ticket[]): Ticket {
  const ticket = transact(db, () => effects.publish(threadEffects.at(clock.now(), work)));
  onEvents();
  return ticket;
}

function onEvents(): void {
  parentPort!.postMessage({ event: 'appended' });
  publisher.appended();
}

/** Repairs the retained tickets where the broker's file is older than this one, or lost; else it publishes nothing. */
async function restateTickets(): Promise<void> {
  // Events that are not published yet must keep their order.
  if (!(await publisher.drained())) return;
  await broker.call.restate('tickets/#', [...retainedTickets(createTicketReader(db))]).catch(brokerGone);
}

/** Appends events that have not been appended before. */
function append(events: readonly LamppostEvent[]): void {
  const added = events.filter(({ id }) => !outbox.has(id));
  if (added.length === 0) return;
  transact(db, () => {
    for (const event of added) outbox.append(event);
  });
  onEvents();
}

/** The broker stops first: false for a call that it did not reply to any more. */
function brokerGone(error: unknown): boolean {
  if (error instanceof LamppostError) return false;
  throw error;
}

offer(data.broker, {
  /** Appends events of what sessions lost; a drop that is reported again adds none. */
  dropped: (drops: readonly SessionDrop[]) => append(drops.map(sessionEventOf)),
  loginsFailing: (failing: LoginsFailing) => append([loginEventOf(failing)]),
});

/** Publishes live readings and rejections: best effort, one batch at a time, none kept for later. */
function feed(outcomes: readonly Outcome[]): void {
  if (feeding) return;
  const live = Atomics.load(data.counters, LIVE) === 1 ? liveOf(outcomes, context.metrics) : [];
  const publications = [...rejectionsOf(outcomes), ...live];
  if (publications.length === 0) return;
  feeding = true;
  void publish(publications).finally(() => {
    feeding = false;
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
    clock,
    log,
  },
  data.influx === null ? { readings: 50_000, ageMs: 250 } : { readings: 20_000, ageMs: 1_000 },
);
const opening = createHistoryOpening({ history, stranger: () => strangers(history.cursor()), log });
const loops = createConsumerLoops({
  counter: data.counter,
  counters: data.counters,
  startedAt: journal.head().seq,
  rules,
  history: consumer,
  isOpen: opening.isOpen,
  embedded: embedded !== null,
  clock,
  log,
  onOutcomes: feed,
  prune(seq) {
    intake.prune(seq);
    outbox.prune(EVENTS_KEPT);
  },
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
  return `the files in ${data.dir} are of different times: ${missing}; restore all of one backup`;
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
  await publisher.stop();
}

async function settle(): Promise<void> {
  // What a database does not take in time is written again after the next start.
  const patience = setTimeout(() => history.interrupt?.(), PATIENCE_MS);
  await loops.stop();
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
  /** Starts the consumers, and publishes what the broker missed. */
  run() {
    publisher.start();
    void restateTickets();
    consume().catch((error: unknown) => {
      log.fatal({ err: error }, 'the engine stops');
      setImmediate(() => {
        throw error;
      });
    });
  },
  openTicket: (request: Request) => commit((service) => service.open(request)),
  rateTicket: (rating: Rating) => commit((service) => service.rate(rating)),
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
  prune: async (beforeMs: number) => (await storedHere()?.prune(beforeMs)) ?? 0,
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
    trouble: opening.trouble() ?? consumer.trouble(),
    replayed: consumer.replayed(),
  }),
  explain: (rule: string, group: string) => rules.explain(rule, group),
  explainDevice: (device: string) => rules.explainDevice(device),
  discard: (ids: readonly string[], by: string, note: string) => quarantine.discard(ids, by, note, clock.now()),
  expire: (beforeMs: number) => quarantine.expire(beforeMs),
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
