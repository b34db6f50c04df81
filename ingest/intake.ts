import type { DatabaseSync } from 'node:sqlite';
import type { Block, CityControl, DevicesControl, KnownDevice, ReadingColumns, Rejection } from '../domain/index.ts';
import { type CityVersion, type Context, type DeviceLine, versionAt } from './context.ts';
import { type Decoded, type Format, formatOf } from './decode/index.ts';
import { Duplicates } from './duplicates.ts';
import { walkRecords } from './journal/index.ts';
import { Checked, checkReading, type ProfileChecks } from './validate.ts';

/** SQL of what intake remembers: how far it learned, and which keys it has seen. */
export const INTAKE_SCHEMA = `
  create table if not exists intake (one integer primary key check (one = 1), seq integer not null) strict;
  create table if not exists seen (last integer primary key, entries blob not null) strict;
  create table if not exists seen_hours (hour integer primary key, first integer not null) strict;
`;

const HOUR_MS = 3_600_000;
/** How long a key is remembered, hours of receipt … */
const HORIZON_HOURS = 24;
// A consumer that lags for days still finds the marks of its own day.
const KEEP_HOURS = 24 * 14;
/** … and for how many messages at the most, so that a flood cannot fill the memory (20 bytes each). */
const HORIZON_MESSAGES = 8_388_608;

/** What one block did to one device's ledger. */
export interface Tally {
  readonly device: string;
  decoded: number;
  quarantined: number;
  stored: number;
  duplicate: number;
  refused: number;
}

/** A refusal with what is needed to show it, mend it and replay it. */
export interface Refusal extends Rejection {
  readonly position: number;
  readonly device: string;
  readonly topic: string;
  readonly receivedAt: number;
  readonly scope: 'message' | 'reading';
  readonly raw: Buffer;
}

/** What a block means. The same for every consumer and at every replay. */
export interface Outcome {
  readonly block: Omit<Block, 'body'>;
  /** Whether intake met the block for the first time: only then is the outside told of refusals. */
  readonly fresh: boolean;
  readonly readings: ReadingColumns;
  readonly tallies: readonly Tally[];
  readonly refusals: readonly Refusal[];
  readonly city: CityVersion | null;
  readonly devices: { readonly changed: KnownDevice[]; readonly revoked: KnownDevice[] } | null;
}

interface ResolvedRoute {
  readonly account: string;
  readonly topic: string;
  readonly line: DeviceLine | undefined;
  readonly format: Format | null;
  readonly tally: Tally;
}

/** Turns blocks into outcomes. Blocks never met before must come in order; those met before may come again at any time. */
export interface Intake {
  outcome(block: Block): Outcome;
  /** The last outcomes are kept: a consumer close behind another need not decode again. Undefined where it is gone. */
  recall(seq: number): Outcome | undefined;
  /** The newest block that was met. */
  head(): number;
  /** Writes what was learned, inside a consumer's transaction; call the answer once that is committed, or it is written again. */
  persist(): () => void;
  /** Frees memory that no horizon needs any more. */
  prune(): void;
}

/** About 45 MB at the most. */
const KEEP_READINGS = 1_500_000;

/** Decode, validate, find duplicates. */
export function createIntake(db: DatabaseSync, context: Context): Intake {
  const duplicates = new Duplicates();
  const checked = new Checked();
  const hours: [hour: number, first: number][] = db
    .prepare('select * from seen_hours order by hour')
    .all()
    .map((row) => [Number(row.hour), Number(row.first)]);
  let head = Number(db.prepare('select seq from intake').get()?.seq ?? 0);
  let savedHours = hours.length;
  let horizon = 0;
  for (const row of db.prepare('select entries from seen order by last').iterate()) {
    duplicates.restore(row.entries as Uint8Array);
  }
  const recent = createMemo();

  const saveHead = db.prepare('insert or replace into intake values (1, ?)');
  const saveSeen = db.prepare('insert or replace into seen values (?, ?)');
  const dropSeen = db.prepare('delete from seen where last < ?');
  const dropHour = db.prepare('delete from seen_hours where hour = ?');
  const saveHour = db.prepare('insert or replace into seen_hours values (?, ?)');

  function horizonAt(block: Block, fresh: boolean): number {
    const hour = Math.floor(block.receivedAt / HOUR_MS);
    if (fresh && block.count > 0 && (hours.at(-1)?.[0] ?? -1) < hour) hours.push([hour, block.first]);
    const oldest = hours.find(([at]) => at >= hour - HORIZON_HOURS)?.[1] ?? block.first;
    return Math.max(oldest, block.first - HORIZON_MESSAGES);
  }

  function accept(out: Draft, known: KnownDevice, position: number): void {
    const { length, ts, metric, value } = checked;
    let lane = 0;
    let mask = 0;
    // Almost always one lane; a device whose metrics span two takes the slow turn.
    for (let i = 0; i < length; i++) {
      lane = metric[i]! >>> 5;
      mask |= 1 << (metric[i]! & 31);
      if (i > 0 && metric[i - 1]! >>> 5 !== lane) {
        acceptOneByOne(out, known, position);
        return;
      }
    }
    const old = seen(out, known.index, lane, ts, mask, position);
    const { readings } = out;
    for (let i = 0; i < length; i++) {
      if ((old & (1 << (metric[i]! & 31))) !== 0) out.tally.duplicate++;
      else pushReading(readings, known, metric[i]!, ts, value[i]!);
    }
    out.tally.stored += length - bitCount(old);
  }

  function acceptOneByOne(out: Draft, known: KnownDevice, position: number): void {
    for (let i = 0; i < checked.length; i++) {
      const metric = checked.metric[i]!;
      const old = seen(out, known.index, metric >>> 5, checked.ts, 1 << (metric & 31), position);
      if (old !== 0) out.tally.duplicate++;
      else {
        out.tally.stored++;
        pushReading(out.readings, known, metric, checked.ts, checked.value[i]!);
      }
    }
  }

  /** Which of these were accepted before, by an earlier message or earlier in this one; notes the others. */
  function seen(out: Draft, device: number, lane: number, ts: number, mask: number, position: number): number {
    let old = duplicates.seen(device, lane, ts, mask, horizon, position);
    if (out.several) {
      const key = `${lane}:${ts}`;
      const here = out.own.get(key) ?? 0;
      old |= here & mask;
      out.own.set(key, here | mask);
    }
    const fresh = mask & ~old;
    if (out.fresh && fresh !== 0) duplicates.add(device, lane, ts, fresh, horizon, position);
    return old;
  }

  function readMessage(out: Draft, route: ResolvedRoute, payload: Buffer, receivedAt: number, position: number): void {
    const opened = openMessage(out, route, payload, receivedAt);
    if ('reason' in opened) {
      route.tally.quarantined++;
      out.refusals.push(refusalOf(opened, 'message', { route, payload, receivedAt, position }));
      return;
    }
    route.tally.decoded++;
    out.tally = route.tally;
    acceptAll(out, opened, receivedAt, position);
    if (checked.rejections.length === 0) return;
    for (const rejection of checked.rejections) {
      route.tally.refused++;
      out.refusals.push(refusalOf(rejection, 'reading', { route, payload, receivedAt, position }));
    }
    checked.rejections = [];
  }

  /** Whose message it is and what it says, or the one reason why it is refused as a whole. */
  function openMessage(out: Draft, route: ResolvedRoute, payload: Buffer, receivedAt: number): Opened | Rejection {
    if (route.format === null) {
      return { reason: 'unknown-topic', path: '$', detail: `no format is known for ${route.topic}` };
    }
    const version = route.line === undefined ? undefined : versionAt(route.line, out.seq);
    const known = version?.known ?? null;
    if (known === null) {
      const detail = `no device "${route.account}" is registered; register it, then replay`;
      return { reason: 'unknown-device', path: '$', detail };
    }
    const checks = checksOf(version!, known, out.city);
    if (checks === null) {
      const detail = `profile "${known.profile}" of this device is not in profiles.yaml`;
      return { reason: 'unknown-profile', path: '$', detail };
    }
    const decoded = route.format.decode(payload, receivedAt);
    return 'reason' in decoded ? decoded : { decoded, checks, known };
  }

  function acceptAll(out: Draft, { decoded, checks, known }: Opened, receivedAt: number, position: number): void {
    for (const rejection of decoded.rejections) checked.rejections.push(rejection);
    out.several = decoded.readings.length > 1;
    if (out.several) out.own.clear();
    for (const raw of decoded.readings) {
      checkReading(raw, checks, receivedAt, checked);
      if (checked.length > 0) accept(out, known, position);
    }
  }

  function readMessages(block: Block, out: Draft): Tally[] {
    const body = Buffer.from(block.body.buffer, block.body.byteOffset, block.body.byteLength);
    const tallies: Tally[] = [];
    let position = block.first;
    const resolve = (identity: string, topic: string): ResolvedRoute => {
      const { device, format } = formatOf(identity, topic);
      const tally = { device, decoded: 0, quarantined: 0, stored: 0, duplicate: 0, refused: 0 };
      tallies.push(tally);
      return { account: device, topic, line: context.line(device), format, tally };
    };
    walkRecords(body, resolve, (route, from, to, receivedAt) => {
      readMessage(out, route, body.subarray(from, to), receivedAt, position++);
    });
    return tallies;
  }

  function read(block: Block, fresh: boolean): Outcome {
    horizon = horizonAt(block, fresh);
    const { body, ...head } = block;
    const out: Draft = {
      seq: block.seq,
      fresh,
      city: context.cityAt(block.seq),
      readings: createColumns(block.count * 3),
      refusals: [],
      several: false,
      own: new Map(),
      tally: NO_TALLY,
    };
    const tallies = block.kind === 'messages' ? readMessages(block, out) : [];
    const { readings, refusals } = out;
    const base = { block: head, fresh, readings, tallies, refusals, city: null, devices: null };
    if (block.kind === 'city') return { ...base, city: cityOf(block, body, fresh) };
    if (block.kind === 'devices') return { ...base, devices: devicesOf(block, body, fresh) };
    return base;
  }

  function cityOf(block: Block, body: Uint8Array, fresh: boolean): CityVersion | null {
    if (fresh) return context.learnCity(block.seq, parseBody<CityControl>(body));
    const version = context.cityAt(block.seq);
    return version?.seq === block.seq ? version : null;
  }

  function devicesOf(block: Block, body: Uint8Array, fresh: boolean) {
    return fresh ? context.learnDevices(block.seq, parseBody<DevicesControl>(body)) : context.devicesIn(block.seq);
  }

  return {
    outcome(block) {
      const kept = recent.get(block.seq);
      if (kept !== undefined) return kept;
      if (block.seq > head + 1) throw new Error(`intake has met blocks up to ${head}, not up to ${block.seq}`);
      const outcome = read(block, block.seq === head + 1);
      head = Math.max(head, block.seq);
      recent.put(outcome);
      return outcome;
    },
    recall: (seq) => recent.get(seq),
    head: () => head,
    persist() {
      const contextSaved = context.persist();
      const added = duplicates.added();
      if (added !== null) saveSeen.run(added.last, added.blob);
      for (const hour of hours.slice(savedHours)) saveHour.run(...hour);
      saveHead.run(head);
      const hoursNow = hours.length;
      return () => {
        contextSaved();
        duplicates.forgetAdded(added);
        savedHours = hoursNow;
      };
    },
    prune() {
      duplicates.prune(horizon);
      dropSeen.run(horizon);
      const surplus = Math.max(0, savedHours - KEEP_HOURS);
      for (const [hour] of hours.splice(0, surplus)) dropHour.run(hour);
      savedHours -= surplus;
    },
  };
}

interface Opened {
  readonly decoded: Decoded;
  readonly checks: ProfileChecks;
  readonly known: KnownDevice;
}

interface Sent {
  readonly route: ResolvedRoute;
  readonly payload: Buffer;
  readonly receivedAt: number;
  readonly position: number;
}

function refusalOf(rejection: Rejection, scope: Refusal['scope'], sent: Sent): Refusal {
  const { account: device, topic } = sent.route;
  const { receivedAt, position } = sent;
  return { ...rejection, scope, device, topic, receivedAt, position, raw: Buffer.from(sent.payload) };
}

interface Draft {
  readonly seq: number;
  readonly fresh: boolean;
  readonly city: CityVersion | null;
  readonly readings: TypedColumns;
  readonly refusals: Refusal[];
  /** Whether the present message has several readings: then it may repeat itself. */
  several: boolean;
  readonly own: Map<string, number>;
  tally: Tally;
}

const NO_TALLY: Tally = { device: '', decoded: 0, quarantined: 0, stored: 0, duplicate: 0, refused: 0 };

function checksOf(
  version: { city: CityVersion | null; checks: ProfileChecks | null },
  known: KnownDevice,
  city: CityVersion | null,
): ProfileChecks | null {
  if (version.city !== city) {
    version.city = city;
    version.checks = city?.checks.get(known.profile) ?? null;
  }
  return version.checks;
}

interface TypedColumns extends ReadingColumns {
  metric: Int32Array;
  ts: Float64Array;
  value: Float64Array;
}

/** Columns with room for so many rows: growing plain arrays row by row took a fifth of the engine's time. */
function createColumns(rows: number): TypedColumns {
  return {
    length: 0,
    device: [],
    metric: new Int32Array(rows),
    ts: new Float64Array(rows),
    value: new Float64Array(rows),
  };
}

function pushReading(readings: TypedColumns, device: KnownDevice, metric: number, ts: number, value: number): void {
  const i = readings.length++;
  if (i === readings.ts.length) widen(readings);
  readings.device.push(device);
  readings.metric[i] = metric;
  readings.ts[i] = ts;
  readings.value[i] = value;
}

function widen(readings: TypedColumns): void {
  const { metric, ts, value } = readings;
  Object.assign(readings, createColumns(Math.max(16, ts.length * 2)), {
    length: readings.length,
    device: readings.device,
  });
  readings.metric.set(metric);
  readings.ts.set(ts);
  readings.value.set(value);
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function parseBody<T>(body: Uint8Array): T {
  return JSON.parse(Buffer.from(body).toString('utf8')) as T;
}

/** The newest outcomes, bounded by the readings in them. */
function createMemo(): { get(seq: number): Outcome | undefined; put(outcome: Outcome): void } {
  const kept = new Map<number, Outcome>();
  let readings = 0;
  return {
    get: (seq) => kept.get(seq),
    put(outcome) {
      kept.set(outcome.block.seq, outcome);
      readings += outcome.readings.length + 1;
      for (const [seq, oldest] of kept) {
        if (readings <= KEEP_READINGS || kept.size === 1) break;
        kept.delete(seq);
        readings -= oldest.readings.length + 1;
      }
    },
  };
}
