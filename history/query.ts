import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import type { Aggregate, ReadingsFilter, ReadingsQuery, Series } from '../domain/index.ts';
import { checkPoints, everyOf, filled } from './fill.ts';
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

/** Devices and metrics asked for, as a condition with its parameters. */
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

/** A statement that yields device, metric, t (epoch ms) and v, in this order of rows. `prunedMs`: raw readings before are gone. */
export function statementOf(
  query: Omit<ReadingsQuery, 'maxPoints'>,
  prunedMs: number,
): { sql: string; params: string[] } {
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
  const figure = rolled === null ? SQL_OF[fn] : ROLLED_FUNCTIONS[fn]!;
  const source = rolled ?? `(select * from readings where ts >= ${fromMs} and ts < ${toMs})`;
  const sql = `${select} ${bucket}, ${figure} as v from ${source} r ${joined} where true${filter.sql} group by all ${order}`;
  return { sql, params: filter.params };
}

/** Raw or downsampled points by device and metric. Throws `invalid` past `maxPoints`. */
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
