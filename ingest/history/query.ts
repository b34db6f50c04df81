import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import { type Aggregate, LamppostError, type ReadingsQuery, type Series } from '../../domain/index.ts';

const SQL_OF: Readonly<Record<Aggregate, string>> = {
  mean: 'avg(value)',
  min: 'min(value)',
  max: 'max(value)',
  sum: 'sum(value)',
  count: 'count(*)::double',
  first: 'arg_min(value, ts)',
  last: 'arg_max(value, ts)',
};

/** Devices and metrics asked for, as a condition with its parameters. */
function filterOf(query: Pick<ReadingsQuery, 'devices' | 'district' | 'metrics'>): {
  sql: string;
  params: string[];
} {
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

/** Raw or downsampled points by device and metric. Throws `invalid` past `maxPoints`. */
export async function queryReadings(
  connection: DuckDBConnection,
  query: ReadingsQuery,
  unitOf: (metric: string) => string,
): Promise<Series[]> {
  const { everyMs, fn, fromMs, toMs, maxPoints } = query;
  const filter = filterOf(query);
  const from = `from readings r join devices d on d.id = r.device join metrics m on m.id = r.metric
    where ts >= ${Math.ceil(fromMs)} and ts < ${Math.ceil(toMs)}${filter.sql}`;
  const every = everyMs === undefined ? null : Math.max(1, Math.round(everyMs));
  // A floor that is right before 1970 too: SQL's division rounds towards zero.
  const bucket = `(ts - ((ts % ${every}) + ${every}) % ${every})`;
  const points =
    every === null
      ? `select d.name as device, m.name as metric, ts::double as t, value as v ${from}`
      : `select d.name as device, m.name as metric, ${bucket}::double as t, ${SQL_OF[fn]} as v ${from} group by all`;
  const sql = `${points} order by device, metric, t limit ${maxPoints + 1}`;
  const rows = (await connection.runAndReadAll(sql, filter.params as DuckDBValue[])).getRows();
  if (rows.length > maxPoints) {
    const narrow = 'name fewer devices or metrics, a shorter time, or a longer every';
    throw new LamppostError('invalid', `more than ${maxPoints} points; ${narrow}`);
  }
  return seriesOf(rows as [string, string, number, number][], unitOf);
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
