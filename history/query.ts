import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import {
  type Aggregate,
  LamppostError,
  type ReadingsFilter,
  type ReadingsQuery,
  type Series,
} from '../domain/index.ts';
import { ROLLED_FUNCTIONS, rolledSource } from './rollup.ts';

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
 * A statement that returns device, metric, t (epoch ms) and v, ordered by these. Raw readings before `prunedMs` are
 * deleted.
 */
function statementOf(query: Omit<ReadingsQuery, 'maxPoints'>, prunedMs: number): { sql: string; params: string[] } {
  const { fn } = query;
  const [fromMs, toMs] = [Math.ceil(query.fromMs), Math.ceil(query.toMs)];
  const filter = filterOf(query);
  const every = everyOf(query);
  const joined = 'join devices d on d.id = r.device join metrics m on m.id = r.metric';
  const select = 'select d.name as device, m.name as metric,';
  const order = 'order by device, metric, t';
  if (every === null) {
    const where = `where ts >= ${fromMs} and ts < ${toMs}${filter.sql}`;
    return { sql: `${select} ts as t, value as v from readings r ${joined} ${where} ${order}`, params: filter.params };
  }
  // A floor that is right before 1970 too: SQL's division rounds towards zero.
  const bucket = `(ts - ((ts % ${every}) + ${every}) % ${every}) as t`;
  const rolled = rolledSource({ fromMs, toMs, every, fn, prunedMs });
  const aggregate = rolled === null ? SQL_OF[fn] : ROLLED_FUNCTIONS[fn]!;
  const source = rolled ?? `(select * from readings where ts >= ${fromMs} and ts < ${toMs})`;
  const sql = `${select} ${bucket}, ${aggregate} as v from ${source} r ${joined} where true${filter.sql} group by all ${order}`;
  return { sql, params: filter.params };
}

/** Returns raw or downsampled points by device and metric. Throws `invalid` where there are more than `maxPoints`. */
export async function queryReadings(
  connection: DuckDBConnection,
  query: ReadingsQuery,
  unitOf: (metric: string) => string,
  prunedMs: number,
): Promise<Series[]> {
  const { sql, params } = statementOf(query, prunedMs);
  const limited = `select device, metric, t::double, v from (${sql} limit ${query.maxPoints + 1}) order by device, metric, t`;
  const rows = (await connection.runAndReadAll(limited, params as DuckDBValue[])).getRows();
  checkPoints(rows.length, query.maxPoints);
  return filled(seriesOf(rows as [string, string, number, number][], unitOf), query);
}

function seriesOf(rows: readonly [string, string, number, number][], unitOf: (metric: string) => string): Series[] {
  const series: (Series & { points: [number, number][] })[] = [];
  for (const [device, metric, t, v] of rows) {
    let last = series.at(-1);
    if (last?.device !== device || last.metric !== metric) {
      last = { device, metric, unit: unitOf(metric), points: [] };
      series.push(last);
    }
    last.points.push([t, v]);
  }
  return series;
}

/** Throws `invalid` where there are more than `maxPoints` points. */
export function checkPoints(points: number, maxPoints: number): void {
  if (points <= maxPoints) return;
  const narrow = 'name fewer devices or metrics, a shorter time, or a longer every';
  throw new LamppostError('invalid', `more than ${maxPoints} points; ${narrow}`);
}

/** The interval of a query in whole milliseconds; null for raw readings. */
export function everyOf({ everyMs }: Pick<ReadingsQuery, 'everyMs'>): number | null {
  return everyMs === undefined ? null : Math.max(1, Math.round(everyMs));
}

/** Start of the interval that contains the time, aligned to the epoch. */
export function bucketOf(ms: number, every: number): number {
  return Math.floor(ms / every) * every;
}

/**
 * With `fill: null`, each series gets a point for every interval from the one that contains `fromMs` to the last one
 * that begins before `toMs`; a gap is null for every function. Throws `invalid` where there are more than `maxPoints`.
 */
export function filled(series: readonly Series[], query: ReadingsQuery): Series[] {
  const every = everyOf(query);
  if (query.fill !== 'null' || every === null) return [...series];
  const first = bucketOf(query.fromMs, every);
  const intervals = Math.max(0, Math.ceil((query.toMs - first) / every));
  checkPoints(intervals * series.length, query.maxPoints);
  return series.map((one) => {
    const values = new Map(one.points);
    const points = Array.from({ length: intervals }, (_, n): [number, number | null] => {
      const ts = first + n * every;
      return [ts, values.get(ts) ?? null];
    });
    return { ...one, points };
  });
}

const MARK = '.export-';

/**
 * Writes the result of a query to a Parquet file beside the history; resolves to its path. Throws `history` where it
 * cannot.
 */
export async function writeParquet(
  connection: DuckDBConnection,
  path: string,
  query: Omit<ReadingsQuery, 'maxPoints'>,
  options: { unitOf: (metric: string) => string; prunedMs: number; metrics: readonly string[] },
): Promise<string> {
  const { sql, params } = statementOf(query, options.prunedMs);
  const file = `${path}${MARK}${randomUUID()}.parquet`;
  const units = options.metrics.map((metric) => `when ${text(metric)} then ${text(options.unitOf(metric))} `);
  const unit = `case metric ${units.join('')}else '' end`.replace('case metric else', 'case when true then');
  const rows = `select epoch_ms(t) as ts, device, metric, ${unit} as unit, v as value from (${sql})`;
  try {
    await connection.run(
      `copy (${rows} order by device, metric, ts) to ${text(file)} (format parquet, compression zstd)`,
      params as DuckDBValue[],
    );
  } catch (cause) {
    rmSync(file, { force: true });
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
