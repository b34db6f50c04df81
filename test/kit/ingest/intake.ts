import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { parseCity } from '../../../city-model/index.ts';
import type { Block, City, CityControl, Clock, ReplayControl } from '../../../domain/index.ts';
import type { HorizonLimits } from '../../../ingest/horizon.ts';
import { type Context, createContext, INGEST_SCHEMAS, Intake, type Outcome } from '../../../ingest/index.ts';
import { BatchWriter, createRoute, JournalReader, type JournalStore } from '../../../journal/index.ts';
import { atOnce, type RoomSchema, transact } from '../../../store/index.ts';
import { openMigrated } from '../store/new-state.ts';

/** In memory where the machine has such a folder: these tests check the content of files, not their durability. */
const TEMP = process.env.TMPDIR === undefined && existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Creates a folder for one test. */
export const testDir = (): string => mkdtempSync(join(TEMP, 'lamppost-intake-'));

/** The parts in which the small cities of these tests differ. */
export interface CityPlan {
  readonly past?: string;
  readonly ahead?: string;
  readonly metrics?: Readonly<Record<string, { readonly min: number; readonly max: number }>>;
  readonly profiles?: Readonly<Record<string, readonly string[]>>;
  /** Values of files that replace the default ones. */
  readonly files?: Readonly<Record<string, unknown>>;
  /** Files under `rules/`, by id. */
  readonly rules?: readonly { readonly id: string }[];
  readonly calendars?: object;
}

const title = { en: 'A', zh: '甲' };
const square = {
  type: 'Polygon',
  coordinates: [
    [
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 0],
    ],
  ],
};
const METRICS = { a: { min: 0, max: 100 }, b: { min: -50, max: 50 }, c: { min: 0, max: 1 } };
const PROFILES = { bin: ['a', 'b'], pole: ['b', 'c'] };

/** Returns the folder of a small city with two districts and two profiles, as JSON, which is YAML. */
export function cityControl(plan: CityPlan = {}): CityControl {
  const mapped = <T, R>(record: Readonly<Record<string, T>>, make: (value: T) => R) =>
    Object.fromEntries(Object.entries(record).map(([id, value]) => [id, make(value)]));
  const texts: Record<string, unknown> = {
    'city.yaml': { name: title, timezone: 'UTC', accepts: { past: plan.past ?? '1d', ahead: plan.ahead ?? '5m' } },
    'metrics.yaml': mapped(plan.metrics ?? METRICS, (range) => ({ title, unit: 'u', ...range })),
    'profiles.yaml': mapped(plan.profiles ?? PROFILES, (metrics) => ({ title, metrics, interval: '1m' })),
    'departments.yaml': { care: { title }, roads: { title } },
    'services.yaml': { repair: { title, department: 'care', deadline: '1h' } },
    'calendars.yaml': plan.calendars ?? {},
    'districts.geojson': {
      type: 'FeatureCollection',
      features: ['east', 'west'].map((id) => ({ type: 'Feature', id, properties: { title }, geometry: square })),
    },
  };
  Object.assign(texts, plan.files);
  for (const rule of plan.rules ?? []) texts[`rules/${rule.id}.yaml`] = rule;
  const files = Object.entries(texts).map(([path, value]) => ({ path, text: JSON.stringify(value) }));
  return { version: createHash('sha256').update(JSON.stringify(files)).digest('hex'), files };
}

const parsed = new Map<string, City | null>();

/** Memoizes `parseCity`, which is pure. */
export function parseOnce(control: CityControl): City | null {
  const known = parsed.get(control.version);
  if (known !== undefined) return known;
  const { city } = parseCity(control);
  parsed.set(control.version, city);
  return city;
}

/** A message that a test sends. */
export interface Sent {
  readonly identity: string;
  readonly topic: string;
  readonly payload: string | Buffer;
  /** Epoch ms. */
  readonly receivedAt: number;
}

/** Encodes messages in the journal's record format. */
function bodyOf(messages: readonly Sent[]): Uint8Array {
  const writer = new BatchWriter();
  const routes = new Map<string, ReturnType<typeof createRoute>>();
  for (const { identity, topic, payload, receivedAt } of messages) {
    const key = JSON.stringify([identity, topic]);
    const route = routes.get(key) ?? createRoute(identity, topic);
    routes.set(key, route);
    writer.add(route, Buffer.from(payload as string), receivedAt);
  }
  const { bytes, length } = writer.take(null);
  return new Uint8Array(bytes, 0, length);
}

/** Returns a message of a device on its own topic. */
export function native(device: string, payload: unknown, receivedAt: number): Sent {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return { identity: device, topic: `devices/${device}/readings`, payload: text, receivedAt };
}

/** The content of one block of a journal. */
export type Entry = { readonly atMs: number; readonly offsetMs?: number } & (
  | { readonly kind: 'messages'; readonly messages: readonly Sent[] }
  | {
      readonly kind: 'tick' | 'start' | 'city' | 'devices' | 'rule' | 'actions' | 'clock' | 'notices';
      readonly body: unknown;
    }
);

/** Appends an entry to a journal. */
export function write(store: JournalStore, entry: Entry): void {
  const { atMs, offsetMs } = entry;
  if (entry.kind === 'messages') store.appendMessages(bodyOf(entry.messages), entry.messages.length, atMs, offsetMs);
  else store.appendControl(entry.kind, Buffer.from(JSON.stringify(entry.body)), atMs, null, offsetMs);
}

/** A reader that shows the blocks of a journal only up to `end`. */
export class PartialReader extends JournalReader {
  end = Number.POSITIVE_INFINITY;
  readonly path: string;

  constructor(path: string) {
    super(path);
    this.path = path;
  }

  override after(seq: number, limit: number): Block[] {
    return super.after(seq, limit).filter((block) => block.seq <= this.end);
  }
}

/** A clock that a test sets. */
export interface TestClock extends Clock {
  ms: number;
}

export const testClock = (ms = 0): TestClock => ({
  ms,
  now() {
    return this.ms;
  },
});

/** Opens a state file with the tables of intake, or creates it. */
export function openState(path: string, ...schemas: readonly RoomSchema[]): DatabaseSync {
  const db = openMigrated(path, [...INGEST_SCHEMAS, ...schemas]);
  db.exec('pragma journal_mode = wal; pragma synchronous = off;');
  return db;
}

/** Copies a state file as a crash at this moment would leave it. */
export function copyState(path: string, to: string): string {
  for (const end of ['', '-wal']) if (existsSync(path + end)) copyFileSync(path + end, to + end);
  return to;
}

/** Creates an intake over a state file. */
export function openIntake(db: DatabaseSync, limits?: HorizonLimits): { context: Context; intake: Intake } {
  const context = createContext(db, parseOnce);
  const intake = new Intake(db, context, limits).open();
  atOnce(intake.restore());
  return { context, intake };
}

/** Commits what an intake learned, as a consumer does with its effects. */
export function persist(db: DatabaseSync, intake: Intake): void {
  const persisted = transact(db, () => intake.persist());
  persisted();
}

/** Returns the readings of an outcome as [device, metric, ts, value]. */
export function rowsOf(
  { readings }: Pick<Outcome, 'readings'>,
  { metrics }: Context,
): [string, string, number, number][] {
  return Array.from({ length: readings.length }, (_, i) => [
    readings.device[i]!.id,
    metrics.idOf(readings.metric[i]!),
    readings.ts[i]!,
    readings.value[i]!,
  ]);
}

/** Creates an intake over its own state file. The test passes it blocks one by one. */
export function intakeBench(path = join(testDir(), 'state.sqlite'), limits?: HorizonLimits) {
  let db = openState(path);
  let opened = openIntake(db, limits);
  const blocks: Block[] = [];
  const add = (kind: Block['kind'], body: Uint8Array, count: number, atMs: number, first?: number): Outcome => {
    const last = blocks.at(-1);
    const block: Block = {
      seq: blocks.length + 1,
      kind,
      first: first ?? (last === undefined ? 0 : last.first + last.count),
      count,
      receivedAt: atMs,
      steadyAt: atMs,
      body,
    };
    blocks.push(block);
    return opened.intake.outcome(block);
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  return {
    blocks,
    /** Those of today's process. */
    get db() {
      return db;
    },
    get intake() {
      return opened.intake;
    },
    get metrics() {
      return opened.context.metrics;
    },
    city: (control: CityControl, atMs = 0) => add('city', json(control), 0, atMs),
    devices: (registered: readonly object[], revoked: readonly string[] = [], atMs = 0) =>
      add('devices', json({ version: blocks.length, registered, revoked }), 0, atMs),
    /** Sends messages as one block; `first` is the number of its first message where it is not the next. */
    send(messages: readonly Sent[], first?: number) {
      const atMs = Math.max(0, ...messages.map(({ receivedAt }) => receivedAt));
      return add('messages', bodyOf(messages), messages.length, atMs, first);
    },
    replay: (control: ReplayControl, atMs = 0) => add('replay', json(control), control.items.length, atMs),
    tick: (atMs: number) => add('tick', json({}), 0, atMs),
    /** Adds a part of an import. */
    import: (body: Uint8Array, atMs: number) => add('import', body, 0, atMs),
    /** Returns the rows of a table. */
    count: (table: string) => Number(db.prepare(`select count(*) as n from ${table}`).get()?.n),
    rows: (outcome: Outcome) => rowsOf(outcome, opened.context),
    /** As `rows`, of the values that replace others. */
    replaced: ({ replaced }: Outcome) => rowsOf({ readings: replaced }, opened.context),
    again: (seq: number) => opened.intake.outcome(blocks[seq - 1]!),
    persist: () => persist(db, opened.intake),
    /** Prunes as if both consumers had taken the blocks up to `settled`, by default all. */
    prune: (settled = opened.intake.head()) => opened.intake.prune(settled),
    /** Opens the same file again, as another process: what was not persisted is lost. */
    restart() {
      db.close();
      db = openState(path);
      opened = openIntake(db, limits);
      return opened.intake.head();
    },
    /** Reads the blocks that a restart lost, up to the last one. */
    catchUp() {
      for (const block of blocks.slice(opened.intake.head())) opened.intake.outcome(block);
    },
  };
}
