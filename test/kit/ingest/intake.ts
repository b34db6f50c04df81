import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseCity } from '../../../city-model/index.ts';
import type { Block, City, CityControl, Clock } from '../../../domain/index.ts';
import { type Context, createContext, INGEST_SCHEMAS, Intake, type Outcome } from '../../../ingest/index.ts';
import { BatchWriter, createRoute, JournalReader, type JournalStore } from '../../../journal/index.ts';
import { migrate, type RoomSchema, transact } from '../../../store/index.ts';

/** In memory where the machine has such a folder: these tests ask what the files hold, not whether the disk does. */
const TEMP = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A folder of its own for one test. */
export const testDir = (): string => mkdtempSync(join(TEMP, 'lamppost-intake-'));

/** What differs between the small cities of these tests. */
export interface CityPlan {
  readonly past?: string;
  readonly ahead?: string;
  readonly metrics?: Readonly<Record<string, { readonly min: number; readonly max: number }>>;
  readonly profiles?: Readonly<Record<string, readonly string[]>>;
  /** What stands in files, in place of the usual. */
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

/** The folder of a small city of two districts and two profiles; JSON is YAML. */
export function cityControl(plan: CityPlan = {}): CityControl {
  const mapped = <T, R>(record: Readonly<Record<string, T>>, make: (value: T) => R) =>
    Object.fromEntries(Object.entries(record).map(([id, value]) => [id, make(value)]));
  const texts: Record<string, unknown> = {
    'city.yaml': { name: title, timezone: 'UTC', accepts: { past: plan.past ?? '1d', ahead: plan.ahead ?? '5m' } },
    'metrics.yaml': mapped(plan.metrics ?? METRICS, (range) => ({ title, unit: 'u', ...range })),
    'profiles.yaml': mapped(plan.profiles ?? PROFILES, (metrics) => ({ title, metrics, interval: '1m' })),
    'departments.yaml': { care: { title }, roads: { title } },
    'services.yaml': { mend: { title, department: 'care', deadline: '1h' } },
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

/** `parseCity`, each folder once: it is pure. */
export function parseOnce(control: CityControl): City | null {
  const known = parsed.get(control.version);
  if (known !== undefined) return known;
  const { city } = parseCity(control);
  parsed.set(control.version, city);
  return city;
}

/** A message as a test sends it. */
export interface Sent {
  readonly identity: string;
  readonly topic: string;
  readonly payload: string;
  /** Epoch ms. */
  readonly receivedAt: number;
}

/** Messages in the journal's record format. */
function bodyOf(messages: readonly Sent[]): Uint8Array {
  const writer = new BatchWriter();
  const routes = new Map<string, ReturnType<typeof createRoute>>();
  for (const { identity, topic, payload, receivedAt } of messages) {
    const key = JSON.stringify([identity, topic]);
    const route = routes.get(key) ?? createRoute(identity, topic);
    routes.set(key, route);
    writer.add(route, Buffer.from(payload), receivedAt);
  }
  const { bytes, length } = writer.take(null);
  return new Uint8Array(bytes, 0, length);
}

/** A message of a device on its own topic. */
export function native(device: string, payload: unknown, receivedAt: number): Sent {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return { identity: device, topic: `devices/${device}/readings`, payload: text, receivedAt };
}

/** What enters a journal as one block. */
export type Entry = { readonly atMs: number } & (
  | { readonly kind: 'messages'; readonly messages: readonly Sent[] }
  | { readonly kind: 'tick' | 'city' | 'devices' | 'rule'; readonly body: unknown }
);

/** Appends an entry to a journal. */
export function write(store: JournalStore, entry: Entry): void {
  if (entry.kind === 'messages') store.appendMessages(bodyOf(entry.messages), entry.messages.length, entry.atMs);
  else store.appendControl(entry.kind, Buffer.from(JSON.stringify(entry.body)), entry.atMs, null);
}

/** A journal's reader that pretends that it ends earlier than it does. */
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

/** A clock that stands until it is told. */
export interface TestClock extends Clock {
  ms: number;
}

export const testClock = (ms = 0): TestClock => ({
  ms,
  now() {
    return this.ms;
  },
});

/** A state file with what intake needs, opened or made. */
export function openState(path: string, ...schemas: readonly RoomSchema[]): DatabaseSync {
  const db = new DatabaseSync(path);
  db.exec('pragma journal_mode = wal; pragma synchronous = off;');
  migrate(db, [...INGEST_SCHEMAS, ...schemas]);
  return db;
}

/** The state file as a crash at this very moment would leave it: a copy under another name. */
export function copyState(path: string, to: string): string {
  for (const end of ['', '-wal']) if (existsSync(path + end)) copyFileSync(path + end, to + end);
  return to;
}

/** An intake over a state file. */
export function openIntake(db: DatabaseSync): { context: Context; intake: Intake } {
  const context = createContext(db, parseOnce);
  return { context, intake: new Intake(db, context) };
}

/** Commits what an intake learned, as a consumer does with its effects. */
export function persist(db: DatabaseSync, intake: Intake): void {
  const persisted = transact(db, () => intake.persist());
  persisted();
}

/** Readings of an outcome as [device, metric, ts, value]. */
export function rowsOf({ readings }: Outcome, { metrics }: Context): [string, string, number, number][] {
  return Array.from({ length: readings.length }, (_, i) => [
    readings.device[i]!.id,
    metrics.idOf(readings.metric[i]!),
    readings.ts[i]!,
    readings.value[i]!,
  ]);
}

/** An intake over a state file of its own, fed block by block; blocks are made here, so that a test can choose all of them. */
export function intakeBench(path = join(testDir(), 'state.sqlite')) {
  let db = openState(path);
  let opened = openIntake(db);
  const blocks: Block[] = [];
  const add = (kind: Block['kind'], body: Uint8Array, count: number, atMs: number, first?: number): Outcome => {
    const last = blocks.at(-1);
    const block: Block = {
      seq: blocks.length + 1,
      kind,
      first: first ?? (last === undefined ? 0 : last.first + last.count),
      count,
      receivedAt: atMs,
      body,
    };
    blocks.push(block);
    return opened.intake.outcome(block);
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  return {
    blocks,
    city: (control: CityControl, atMs = 0) => add('city', json(control), 0, atMs),
    devices: (registered: readonly object[], revoked: readonly string[] = [], atMs = 0) =>
      add('devices', json({ version: blocks.length, registered, revoked }), 0, atMs),
    /** Messages as one block; `first` is the number of its first message where it is not the next. */
    send(messages: readonly Sent[], first?: number) {
      const atMs = Math.max(0, ...messages.map(({ receivedAt }) => receivedAt));
      return add('messages', bodyOf(messages), messages.length, atMs, first);
    },
    tick: (atMs: number) => add('tick', json({}), 0, atMs),
    rows: (outcome: Outcome) => rowsOf(outcome, opened.context),
    again: (seq: number) => opened.intake.outcome(blocks[seq - 1]!),
    persist: () => persist(db, opened.intake),
    /** Both consumers have taken the blocks up to `settled`; all of them where it is absent. */
    prune: (settled = opened.intake.head()) => opened.intake.prune(settled),
    /** Another process over the same file: what was not persisted is lost. */
    restart() {
      db.close();
      db = openState(path);
      opened = openIntake(db);
      return opened.intake.head();
    },
    /** Brings an intake that lost blocks up to the last one again. */
    catchUp() {
      for (const block of blocks.slice(opened.intake.head())) opened.intake.outcome(block);
    },
  };
}
