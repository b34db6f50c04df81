import type { DuckDBConnection } from '@duckdb/node-api';
import { type Aggregate, DAY_MS, HOUR_MS } from '../domain/index.ts';

const HOUR_OF = `(ts - ((ts % ${HOUR_MS}) + ${HOUR_MS}) % ${HOUR_MS})`;

/**
 * SQL of the roll-ups. `rollup_due` has the hours that got readings since they were rolled up; it is written in the
 * transaction of the readings, so that no crash forgets one. `pruned`: raw readings before are gone, and what the
 * roll-ups say of that time cannot be found again.
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

/** What a roll-up answers, by its columns; other functions need raw readings. */
export const ROLLED_FUNCTIONS: Readonly<Partial<Record<Aggregate, string>>> = {
  mean: 'sum(total) / sum(n)',
  min: 'min(low)',
  max: 'max(high)',
  sum: 'sum(total)',
  count: 'sum(n)::double',
};

/** What of a query decides where it is answered from. */
interface Sought {
  readonly fromMs: number;
  readonly toMs: number;
  readonly every: number;
  readonly fn: Aggregate;
  readonly prunedMs: number;
}

/**
 * Roll-ups where raw readings are gone, and the raw readings that are there: after that time, and late ones that are not
 * rolled up yet. Null where raw readings answer alone. Of what is rolled up, an hour (a day, where all is in whole days)
 * belongs to the time asked for if it begins in it.
 */
export function rolledSource({ fromMs, toMs, every, fn, prunedMs }: Sought): string | null {
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

/** Where the raw readings begin, epoch ms; -Infinity where none was ever pruned. */
export async function prunedBefore(connection: DuckDBConnection): Promise<number> {
  const before = (await connection.runAndReadAll('select max(before) from pruned')).getRows()[0]![0];
  return before === null ? Number.NEGATIVE_INFINITY : Number(before);
}

/** A file from before there were roll-ups: every hour in it is due. */
export async function noteUnknownHours(connection: DuckDBConnection): Promise<void> {
  const known = 'select (select count(*) from rollup_hours) + (select count(*) from rollup_due)';
  if (Number((await connection.runAndReadAll(known)).getRows()[0]![0]) > 0) return;
  await connection.run(`insert into rollup_due select distinct ${HOUR_OF} from readings`);
}

/** The hours that are due. */
export async function hoursDue(connection: DuckDBConnection): Promise<number[]> {
  const rows = (await connection.runAndReadAll('select hour from rollup_due order by hour')).getRows();
  return rows.map(([hour]) => Number(hour));
}

const FIGURES = 'count(*), sum(value), min(value), max(value)';
const MERGED = 'sum(n), sum(total), min(low), max(high)';

/**
 * Rolls up the hours that are due and ended at `untilMs` or before; inside a transaction. An hour whose readings are
 * there is made anew. In one that was pruned only late readings stand: they are added to its roll-up and go.
 */
export async function rollUp(connection: DuckDBConnection, untilMs: number, prunedMs: number): Promise<number[]> {
  const due = (await hoursDue(connection)).filter((hour) => hour + HOUR_MS <= untilMs);
  if (due.length === 0) return [];
  const run = (sql: string) => connection.run(sql);
  const present = due.filter((hour) => hour >= prunedMs);
  const late = due.filter((hour) => hour < prunedMs);
  for (const hours of [present, late]) {
    if (hours.length === 0) continue;
    const isLate = hours === late;
    // The bounds let DuckDB pass over whole row groups.
    const within = `ts >= ${hours[0]} and ts < ${hours.at(-1)! + HOUR_MS} and ${HOUR_OF} in (${hours})`;
    const fresh = `select ${HOUR_OF} as ts, device, metric, ${FIGURES} from readings where ${within} group by all`;
    const known = `select * from rollup_hours where ts in (${hours})`;
    const merged = `select ts, device, metric, ${MERGED} from (${known} union all ${fresh}) group by all`;
    await run(`create or replace temp table rolled as ${isLate ? merged : fresh}`);
    await run(`delete from rollup_hours where ts in (${hours})`);
    await run('insert into rollup_hours from rolled');
    if (isLate) await run(`delete from readings where ${within}`);
  }
  await run(`delete from rollup_due where hour in (${due})`);
  await rollDays(connection, due);
  return due;
}

/** Days are made of the hours that are rolled up so far. */
async function rollDays(connection: DuckDBConnection, hours: readonly number[]): Promise<void> {
  for (const day of new Set(hours.map((hour) => Math.floor(hour / DAY_MS) * DAY_MS))) {
    const within = `ts >= ${day} and ts < ${day + DAY_MS}`;
    await connection.run(`delete from rollup_days where ts = ${day}`);
    await connection.run(`
      insert into rollup_days select ${day}, device, metric, ${MERGED} from rollup_hours where ${within} group by all`);
  }
}

/** Hours that a batch of timestamps touches. */
export function hoursOf(ts: ArrayLike<number>, length: number, into: Set<number>): void {
  let from = Number.NaN;
  for (let i = 0; i < length; i++) {
    // Almost always the same hour as before.
    if (ts[i]! >= from && ts[i]! < from + HOUR_MS) continue;
    from = Math.floor(ts[i]! / HOUR_MS) * HOUR_MS;
    into.add(from);
  }
}

/** Start of the hour that a moment lies in. */
export function hourOf(ms: number): number {
  return Math.floor(ms / HOUR_MS) * HOUR_MS;
}
