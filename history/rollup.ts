import type { DuckDBConnection } from '@duckdb/node-api';
import { type Aggregate, DAY_MS, HOUR_MS } from '../domain/index.ts';
import { heldBetween, joinedSegments, type KindOfMetric, noteKinds, numbersOf, sumsOfReadings } from './kinds.ts';

const HOUR_OF = `(ts - ((ts % ${HOUR_MS}) + ${HOUR_MS}) % ${HOUR_MS})`;

/**
 * Tables of the roll-ups. `rollup_due` has the hours that got readings since they were rolled up; it is written in the
 * transaction of the readings, so that no crash loses one. `pruned`: raw readings before this time are deleted, so the
 * roll-ups of that time cannot be computed again.
 */
export const ROLLUP_SCHEMA = `
  create table if not exists rollup_hours (
    ts bigint not null, device integer not null, metric smallint not null,
    n bigint not null, total double not null, low double not null, high double not null
  );
  create table if not exists rollup_days as from rollup_hours;
  create table if not exists rollup_due (hour bigint primary key);
  create table if not exists pruned (before bigint not null);
`;

/** Aggregates that roll-ups can supply, as SQL over their columns; other aggregates need raw readings. */
export const ROLLED_FUNCTIONS: Readonly<Partial<Record<Aggregate, string>>> = {
  mean: 'sum(total) / sum(n)',
  min: 'min(low)',
  max: 'max(high)',
  sum: 'sum(total)',
  count: 'sum(n)::double',
};

/** The parts of a query that decide between raw readings and roll-ups. */
interface RollupQuery {
  readonly fromMs: number;
  readonly toMs: number;
  readonly every: number;
  readonly fn: Aggregate;
  readonly prunedMs: number;
}

/**
 * A subquery over roll-ups where raw readings are deleted, and over the raw readings that exist: later ones, and late
 * ones that are not rolled up yet. Returns null where raw readings are enough. An hour of the roll-ups (a day, where
 * interval and start are whole days) is included if it begins in the queried time.
 */
export function rolledSource({ fromMs, toMs, every, fn, prunedMs }: RollupQuery): string | null {
  if (fromMs >= prunedMs || every < HOUR_MS || ROLLED_FUNCTIONS[fn] === undefined) return null;
  const edge = Math.min(prunedMs, toMs);
  const inDays = every % DAY_MS === 0 && fromMs % DAY_MS === 0;
  const days = inDays ? Math.max(fromMs, Math.floor(edge / DAY_MS) * DAY_MS) : fromMs;
  return `(
    select * from rollup_days where ts >= ${fromMs} and ts < ${days}
    union all select * from rollup_hours where ts >= ${days} and ts < ${edge}
    union all select ts, device, metric, 1 as n, value as total, value as low, value as high
      from readings where ts >= ${fromMs} and ts < ${toMs})`;
}

/** The same over the sums of angles and levels. */
export function sumsSource(
  { fromMs, toMs, every, prunedMs }: Omit<RollupQuery, 'fn'>,
  kinds: readonly KindOfMetric[],
): string | null {
  if (fromMs >= prunedMs || every < HOUR_MS) return null;
  return `(
    select * from rollup_sums where ts >= ${fromMs} and ts < ${Math.min(prunedMs, toMs)}
    union all select ts, device, metric, 1 as n, ${sumsOfReadings(kinds)}
      from readings where ts >= ${fromMs} and ts < ${toMs})`;
}

/** The time before which raw readings are deleted, epoch ms; -Infinity where none was ever pruned. */
export async function prunedBefore(connection: DuckDBConnection): Promise<number> {
  const before = (await connection.runAndReadAll('select max(before) from pruned')).getRows()[0]![0];
  return before === null ? Number.NEGATIVE_INFINITY : Number(before);
}

/** Marks every hour as due in a file written before there were roll-ups. */
export async function noteUnknownHours(connection: DuckDBConnection): Promise<void> {
  const known = 'select (select count(*) from rollup_hours) + (select count(*) from rollup_due)';
  if (Number((await connection.runAndReadAll(known)).getRows()[0]![0]) > 0) return;
  await connection.run(`insert into rollup_due select distinct ${HOUR_OF} from readings`);
}

/** Returns a time that no reading is newer than, at most an hour after the newest; -Infinity where there is none. */
export async function endOfNewestHour(connection: DuckDBConnection): Promise<number> {
  const hours = 'select max(hour) from (select hour from rollup_due union all select max(ts) from rollup_hours)';
  const hour = (await connection.runAndReadAll(hours)).getRows()[0]![0];
  return hour === null ? Number.NEGATIVE_INFINITY : Number(hour) + HOUR_MS;
}

/** Returns the hours that are due, epoch ms, in order. */
export async function hoursDue(connection: DuckDBConnection): Promise<number[]> {
  const rows = (await connection.runAndReadAll('select hour from rollup_due order by hour')).getRows();
  return rows.map(([hour]) => Number(hour));
}

const AGGREGATES = 'count(*), sum(value), min(value), max(value)';
const MERGED = 'sum(n), sum(total), min(low), max(high)';

/**
 * Rolls up the hours that are due and ended at `untilMs` or before, and returns them; the caller opens the transaction.
 * An hour that still has its readings is computed again. A pruned hour has only late readings: they are added to its
 * roll-up and deleted.
 */
export async function rollUp(
  connection: DuckDBConnection,
  untilMs: number,
  prunedMs: number,
  kinds: readonly KindOfMetric[] = [],
): Promise<number[]> {
  await noteKinds(connection, kinds, { hourOf: HOUR_OF, untilMs });
  const due = (await hoursDue(connection)).filter((hour) => hour + HOUR_MS <= untilMs);
  if (due.length === 0) return [];
  const run = (sql: string) => connection.run(sql);
  const present = due.filter((hour) => hour >= prunedMs);
  const late = due.filter((hour) => hour < prunedMs);
  for (const hours of [present, late]) {
    if (hours.length === 0) continue;
    const isLate = hours === late;
    // With bounds, DuckDB skips whole row groups.
    const within = `ts >= ${hours[0]} and ts < ${hours.at(-1)! + HOUR_MS} and ${HOUR_OF} in (${hours})`;
    const fresh = `select ${HOUR_OF} as ts, device, metric, ${AGGREGATES} from readings where ${within} group by all`;
    const known = `select * from rollup_hours where ts in (${hours})`;
    const merged = `select ts, device, metric, ${MERGED} from (${known} union all ${fresh}) group by all`;
    await run(`create or replace temp table rolled as ${isLate ? merged : fresh}`);
    await run(`delete from rollup_hours where ts in (${hours})`);
    await run('insert into rollup_hours from rolled');
    if (kinds.length > 0) await rollKinds(connection, kinds, { hours, within, isLate });
    if (isLate) await run(`delete from readings where ${within}`);
  }
  await run(`delete from rollup_due where hour in (${due})`);
  await rollDays(connection, due);
  return due;
}

interface Hours {
  readonly hours: readonly number[];
  /** The readings of these hours, as a condition. */
  readonly within: string;
  /** Only late readings are left of these hours. */
  readonly isLate: boolean;
}

/** Rolls up what metrics that are not gauges have beside the others. */
async function rollKinds(
  connection: DuckDBConnection,
  kinds: readonly KindOfMetric[],
  { hours, within, isLate }: Hours,
): Promise<void> {
  const ofHours = `ts in (${hours})`;
  const replace = async (table: string, rows: string) => {
    await connection.run(`create or replace temp table rolled_kind as ${rows}`);
    await connection.run(`delete from ${table} where ${ofHours}`);
    await connection.run(`insert into ${table} from rolled_kind`);
  };
  const summed = `select ${HOUR_OF} as ts, device, metric, 1 as n, ${sumsOfReadings(kinds)} from readings
    where ${within} and metric in (${numbersOf(kinds, 'angle', 'level')})`;
  const sums = isLate ? `select * from rollup_sums where ${ofHours} union all ${summed}` : summed;
  await replace('rollup_sums', `select ts, device, metric, sum(n), sum(a), sum(b) from (${sums}) group by all`);
  const counters = numbersOf(kinds, 'counter', 'state');
  if (counters === 'null') return;
  const counted = `select ${HOUR_OF} as ts, device, metric, ts as first_ts, value as first, ts as last_ts,
    value as last, 0.0 as increase from readings where ${within} and metric in (${counters})`;
  // A late reading between the first and the last of its hour changes nothing: they count all of it.
  const outside = `select c.* from (${counted}) c left join rollup_counters k using (ts, device, metric)
    where k.first_ts is null or c.first_ts < k.first_ts or c.last_ts > k.last_ts`;
  const segments = isLate ? `select * from rollup_counters where ${ofHours} union all ${outside}` : counted;
  const held = isLate ? `select * from rollup_states where ${ofHours} union all ` : '';
  const time = `select ts, device, metric, code, sum(ms) from (${held}${heldBetween(segments, kinds)}) group by all`;
  await replace('rollup_states', time);
  await replace('rollup_counters', joinedSegments(segments, kinds));
}

/** Computes the days of these hours from the hours that are rolled up so far. */
async function rollDays(connection: DuckDBConnection, hours: readonly number[]): Promise<void> {
  for (const day of new Set(hours.map((hour) => Math.floor(hour / DAY_MS) * DAY_MS))) {
    const within = `ts >= ${day} and ts < ${day + DAY_MS}`;
    await connection.run(`delete from rollup_days where ts = ${day}`);
    await connection.run(`
      insert into rollup_days select ${day}, device, metric, ${MERGED} from rollup_hours where ${within} group by all`);
  }
}

/** Adds the hours of a batch of timestamps to `into`. */
export function hoursOf(ts: ArrayLike<number>, length: number, into: Set<number>): void {
  let from = Number.NaN;
  for (let i = 0; i < length; i++) {
    // Almost always the same hour as the row before.
    if (ts[i]! >= from && ts[i]! < from + HOUR_MS) continue;
    from = Math.floor(ts[i]! / HOUR_MS) * HOUR_MS;
    into.add(from);
  }
}

/** Start of the hour that contains the time. */
export function hourOf(ms: number): number {
  return Math.floor(ms / HOUR_MS) * HOUR_MS;
}
