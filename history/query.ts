import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import {
  type Aggregate,
  everyOf,
  LamppostError,
  type PointsSlice,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
} from '../domain/index.ts';
import type { Numbering } from './columns.ts';
import { ROLLED_FUNCTIONS, rolledSource } from './rollup.ts';
import { checkIntervals, checkPoints, slicesOfResult, withinPoints } from './slices.ts';
import { NARROWER, type Statements } from './statements.ts';

const SQL_OF: Readonly<Record<Aggregate, string>> = {
  mean: 'avg(value)',
  min: 'min(value)',
  max: 'max(value)',
  sum: 'sum(value)',
  count: 'count(*)::double',
  first: 'arg_min(value, ts)',
  last: 'arg_max(value, ts)',
  // Rank ⌊0.95·n + 0.5⌋ in whole numbers; quantile_disc takes ⌈0.95·n⌉, one more for some n.
  p95: 'list_sort(list(value))[(count(*) * 95 + 50) // 100]',
};

/** The SQL condition for the devices, metrics and district of a query, with its parameters. */
function filterOf(query: ReadingsFilter): { sql: string; params: string[] } {
  const parts: string[] = [];
  const params: string[] = [];
  const oneOf = (column: string, names: readonly string[] | undefined) => {
    if (names === undefined) return;
    parts.push(`${column} in (${names.map(() => '?').join(', ') || 'null'})`);
    params.push(...names);
  };
  oneOf('d.name', query.devices);
  oneOf('m.name', query.metrics);
  oneOf('d.district', query.district === undefined ? undefined : [query.district]);
  return { sql: parts.map((part) => ` and ${part}`).join(''), params };
}

/**
 * A statement that returns device and metric (their numbers in the file), t (epoch ms) and v, in any order. Raw readings
 * before `prunedMs` are deleted.
 */
function statementOf(query: Omit<ReadingsQuery, 'maxPoints'>, prunedMs: number): { sql: string; params: string[] } {
  const { fn } = query;
  const [fromMs, toMs] = [Math.ceil(query.fromMs), Math.ceil(query.toMs)];
  const filter = filterOf(query);
  const every = everyOf(query);
  const joined = 'join devices d on d.id = r.device join metrics m on m.id = r.metric';
  const select = 'select r.device, r.metric,';
  if (every === null) {
    const where = `where ts >= ${fromMs} and ts < ${toMs}${filter.sql}`;
    return { sql: `${select} ts as t, value as v from readings r ${joined} ${where}`, params: filter.params };
  }
  // A floor that is right before 1970 too: SQL's division rounds towards zero.
  const bucket = `(ts - ((ts % ${every}) + ${every}) % ${every}) as t`;
  const rolled = rolledSource({ fromMs, toMs, every, fn, prunedMs });
  const aggregate = rolled === null ? SQL_OF[fn] : ROLLED_FUNCTIONS[fn]!;
  const source = rolled ?? `(select * from readings where ts >= ${fromMs} and ts < ${toMs})`;
  const sql = `${select} ${bucket}, ${aggregate} as v from ${source} r ${joined} where true${filter.sql} group by all`;
  return { sql, params: filter.params };
}

/** Gives names to the numbers of devices and metrics in a statement's result. */
const NAMED = 'join devices d on d.id = q.device join metrics m on m.id = q.metric';

/** Most readings behind the percentiles of one query: all of them are in memory. */
const MOST_RANKED = 20_000_000;

interface Source {
  readonly statements: Statements;
  readonly numbering: Pick<Numbering, 'deviceNames' | 'metricNames'>;
  readonly unitOf: (metric: string) => string;
  readonly prunedMs: number;
}

/**
 * Yields raw or downsampled points by device and metric. The result is complete before the first slice, so that a slow
 * reader keeps no transaction open. Throws `invalid` where there are more than `maxPoints`.
 */
export async function* readDuckdb(
  source: Source,
  query: ReadingsQuery,
  options: ReadOptions,
): AsyncGenerator<PointsSlice, void, undefined> {
  checkIntervals(query);
  const { sql, params } = statementOf(query, source.prunedMs);
  // Names sort the result only: as numbers, its rows cross to JavaScript without a string each.
  const limited = `
    select q.device, q.metric, q.t::double, q.v from (${sql} limit ${query.maxPoints + 1}) q
    ${NAMED} order by d.name, m.name, q.t`;
  const result = await source.statements.run(async (connection) => {
    await checkRanked(connection, query);
    return connection.run(limited, params as DuckDBValue[]);
  }, options);
  checkPoints(result.rowCount, query.maxPoints);
  const [devices, metrics] = [source.numbering.deviceNames(), source.numbering.metricNames()];
  const seriesOf = (device: number, metric: number) => {
    const name = metrics[metric]!;
    return { device: devices[device]!, metric: name, unit: source.unitOf(name) };
  };
  yield* withinPoints(slicesOfResult(result, seriesOf, options.signal), query);
}

/** Throws `invalid` where a query of percentiles would have too many readings in memory. */
async function checkRanked(connection: DuckDBConnection, query: ReadingsQuery): Promise<void> {
  const { everyMs, ...raw } = query;
  if (query.fn !== 'p95' || everyMs === undefined) return;
  const { sql, params } = statementOf(raw, 0);
  const counted = `select count(*)::double from (${sql} limit ${MOST_RANKED + 1})`;
  const rows = (await connection.runAndReadAll(counted, params as DuckDBValue[])).getRows();
  if ((rows[0]![0] as number) <= MOST_RANKED) return;
  throw new LamppostError('invalid', `p95 of more than ${MOST_RANKED} readings; ${NARROWER}`);
}

const MARK = '.export-';

/**
 * Writes the result of a query to a Parquet file beside the history; resolves to its path. Throws `history` where it
 * cannot.
 */
export async function writeParquet(
  { statements, numbering, unitOf, prunedMs }: Source,
  path: string,
  query: Omit<ReadingsQuery, 'maxPoints'>,
  options: ReadOptions,
): Promise<string> {
  const { sql, params } = statementOf(query, prunedMs);
  const file = `${path}${MARK}${randomUUID()}.parquet`;
  const units = numbering.metricNames().map((metric) => `when ${text(metric)} then ${text(unitOf(metric))} `);
  const unit = `case m.name ${units.join('')}else '' end`.replace('case m.name else', 'case when true then');
  const rows = `
    select epoch_ms(q.t) as ts, d.name as device, m.name as metric, ${unit} as unit, q.v as value from (${sql}) q ${NAMED}
    order by d.name, m.name, q.t`;
  const copy = `copy (${rows}) to ${text(file)} (format parquet, compression zstd)`;
  try {
    await statements.run((connection) => connection.run(copy, params as DuckDBValue[]), { ...options, long: true });
  } catch (cause) {
    rmSync(file, { force: true });
    if (cause instanceof LamppostError) throw cause;
    throw new LamppostError('history', `the export could not be written: ${(cause as Error).message}`, { cause });
  }
  return file;
}

/** Deletes the files of exports that did not finish because the process ended. */
export function removeExports(path: string): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`${basename(path)}${MARK}`)) rmSync(join(folder, name), { force: true });
  }
}

function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
