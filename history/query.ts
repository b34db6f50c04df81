import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import {
  everyOf,
  LamppostError,
  METRIC_KINDS,
  type Measure,
  type MetricKind,
  misuseOf,
  type PointsSlice,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  requireName,
  suits,
} from '../domain/index.ts';
import type { Numbering } from './columns.ts';
import {
  countStatement,
  counts,
  type KindOfMetric,
  NOTHING,
  numbersOf,
  rawSqlOf,
  shareStatement,
  sumsSqlOf,
} from './kinds.ts';
import { ROLLED_FUNCTIONS, rolledSource, sumsSource } from './rollup.ts';
import { checkIntervals, checkPoints, slicesOfResult, withinPoints } from './slices.ts';
import { NARROWER, type Statements } from './statements.ts';

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

interface Statement {
  readonly sql: string;
  readonly params: string[];
}

/** What decides how the file is read: raw readings before `prunedMs` are deleted; the metrics that are not gauges. */
interface Stored {
  readonly prunedMs: number;
  readonly kinds: readonly KindOfMetric[];
}

type Wanted = Omit<ReadingsQuery, 'maxPoints'>;

const JOINED = 'join devices d on d.id = r.device join metrics m on m.id = r.metric';

/** A statement that returns device and metric (their numbers in the file), t (epoch ms) and v, in any order. */
function statementOf(query: Wanted, { prunedMs, kinds }: Stored): Statement {
  const filter = filterOf(query);
  const every = everyOf(query);
  if (every === null) {
    const where = `where ts >= ${Math.ceil(query.fromMs)} and ts < ${Math.ceil(query.toMs)}${filter.sql}`;
    const sql = `select r.device, r.metric, ts as t, value as v from readings r ${JOINED} ${where}`;
    return { sql, params: filter.params };
  }
  const others = METRIC_KINDS.filter((kind) => kind !== 'gauge' && kinds.some(({ measure }) => measure.kind === kind));
  const parts = ['gauge' as const, ...others].filter((kind) => suits(kind, query.fn));
  const statements = parts.map((kind) => {
    const ofKind =
      kind === 'gauge' ? `not in (${kinds.map(({ metric }) => metric)})` : `in (${numbersOf(kinds, kind)})`;
    const filtered = kinds.length === 0 ? filter.sql : `${filter.sql} and r.metric ${ofKind}`;
    return partOf(query, { kind, every, filtered, prunedMs, kinds });
  });
  if (statements.length === 0) return { sql: NOTHING, params: [] };
  return { sql: statements.join(' union all '), params: parts.flatMap(() => filter.params) };
}

interface Part extends Stored {
  readonly kind: MetricKind;
  readonly every: number;
  readonly filtered: string;
}

/** The metrics of one kind. */
function partOf(query: Wanted, { kind, every, filtered, prunedMs, kinds }: Part): string {
  const { fn } = query;
  const [fromMs, toMs] = [Math.ceil(query.fromMs), Math.ceil(query.toMs)];
  // A floor that is right before 1970 too: SQL's division rounds towards zero.
  const bucket = `(ts - ((ts % ${every}) + ${every}) % ${every}) as t`;
  const segments = { fromMs, toMs, prunedMs, every, filter: `${JOINED} where true${filtered}` };
  if (counts(kind, fn)) return valued(countStatement(kind, kinds, { ...segments, fn, bucket }));
  if (fn === 'share') return valued(shareStatement(kinds, { ...segments, state: query.state! }));
  const sums = sumsSqlOf(kind, fn);
  const rolled = sums === undefined ? ROLLED_FUNCTIONS[fn] : sums;
  const of = { fromMs, toMs, every, fn, prunedMs };
  const source = sums === undefined ? rolledSource(of) : sumsSource(of, kinds);
  const aggregate = source === null ? rawSqlOf(kind, fn) : rolled!;
  const readings = source ?? `(select * from readings where ts >= ${fromMs} and ts < ${toMs})`;
  return valued(`
    select r.device, r.metric, ${bucket}, ${aggregate} as v from ${readings} r ${JOINED}
    where true${filtered} group by all`);
}

/** Without the intervals that have too few readings for a value. */
function valued(sql: string): string {
  return `(select * from (${sql}) where v is not null)`;
}

/**
 * Throws `invalid` where a function makes no sense for a metric that the query names, or the metric has no such state;
 * of others it is left out.
 */
export function checkFunction(query: Wanted, measureOf: (metric: string) => Measure): void {
  const { everyMs, fn, metrics = [], state } = query;
  if (everyMs === undefined) return;
  for (const metric of metrics) {
    const fault = misuseOf(metric, measureOf(metric).kind, fn);
    if (fault !== null) throw new LamppostError('invalid', fault);
  }
  if (fn !== 'share') return;
  if (state === undefined) throw new LamppostError('invalid', 'share needs state: the value whose time counts');
  for (const metric of metrics) {
    const names = (measureOf(metric).values ?? []).map(({ name }) => name);
    requireName(`state of ${metric}`, state, names);
  }
  checkShare(query, everyMs);
}

/** Most intervals of a share: each series has a value in all of them. */
const MOST_SHARES = 100_000;

function checkShare({ fromMs, toMs }: Wanted, everyMs: number): void {
  const intervals = Math.ceil((toMs - fromMs) / everyMs);
  if (intervals <= MOST_SHARES) return;
  throw new LamppostError('invalid', `share of ${intervals} intervals; at most ${MOST_SHARES}: ask for a longer every`);
}

/** Gives names to the numbers of devices and metrics in a statement's result. */
const NAMED = 'join devices d on d.id = q.device join metrics m on m.id = q.metric';

/** Most readings behind the percentiles of one query: all of them are in memory. */
const MOST_RANKED = 20_000_000;
const RANKED = new Set<string>(['p10', 'p50', 'p90', 'p95']);

interface Source extends Stored {
  readonly statements: Statements;
  readonly numbering: Pick<Numbering, 'deviceNames' | 'metricNames'>;
  readonly unitOf: (metric: string) => string;
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
  const { sql, params } = statementOf(query, source);
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
  if (!RANKED.has(query.fn) || everyMs === undefined) return;
  const { sql, params } = statementOf(raw, { prunedMs: 0, kinds: [] });
  const counted = `select count(*)::double from (${sql} limit ${MOST_RANKED + 1})`;
  const rows = (await connection.runAndReadAll(counted, params as DuckDBValue[])).getRows();
  if ((rows[0]![0] as number) <= MOST_RANKED) return;
  throw new LamppostError('invalid', `${query.fn} of more than ${MOST_RANKED} readings; ${NARROWER}`);
}

const MARK = '.export-';

/**
 * Writes the result of a query to a Parquet file beside the history; resolves to its path. Throws `history` where it
 * cannot.
 */
export async function writeParquet(
  source: Source,
  path: string,
  query: Omit<ReadingsQuery, 'maxPoints'>,
  options: ReadOptions,
): Promise<string> {
  const { statements, numbering, unitOf } = source;
  const { sql, params } = statementOf(query, source);
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
