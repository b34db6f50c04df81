import { type Aggregate, LamppostError, type ReadingsQuery, type Series } from '../../domain/index.ts';
import { checkPoints, everyOf, filled } from '../fill.ts';
import { aggregate } from './aggregate.ts';
import { type Ask, identifier, instant, literal, type ResultSeries } from './influxql.ts';
import { fieldOf, metricOf } from './lines.ts';

type Points = [number, number][];

const FUNCTIONS: Readonly<Record<Aggregate, (field: string) => string>> = {
  mean: (field) => `mean(${field})`,
  min: (field) => `min(${field})`,
  max: (field) => `max(${field})`,
  sum: (field) => `sum(${field})`,
  count: (field) => `count(${field})`,
  first: (field) => `first(${field})`,
  last: (field) => `last(${field})`,
  p95: (field) => `percentile(${field}, 95)`,
};

/** Every metric that has a numeric field, by name. */
export async function metricsIn(ask: Ask): Promise<string[]> {
  const found = new Set<string>();
  for await (const { columns, values } of ask('show field keys')) {
    const [key, type] = [columns.indexOf('fieldKey'), columns.indexOf('fieldType')];
    if (key < 0) throw withoutInfluxql();
    for (const row of values) if (type < 0 || NUMERIC.has(row[type])) found.add(metricOf(row[key] as string));
  }
  return [...found].sort();
}

const NUMERIC = new Set<unknown>(['float', 'integer', 'unsigned']);

/** Answers as the embedded history does. `where`: a condition on tags, from `placeOf`. */
export async function queryInflux(
  ask: Ask,
  query: ReadingsQuery,
  where: string,
  unitOf: (metric: string) => string,
): Promise<Series[]> {
  const found: Series[] = [];
  let left = query.maxPoints;
  for (const metric of query.metrics === undefined ? await metricsIn(ask) : [...new Set(query.metrics)].sort()) {
    const lines = await seriesOf(ask, { metric, query, where, left });
    for (const [device, points] of lines) {
      if (points.length === 0) continue;
      left -= points.length;
      found.push({ device, metric, unit: unitOf(metric), points });
    }
  }
  found.sort((a, b) => compare(a.device, b.device) || compare(a.metric, b.metric));
  return filled(found, query);
}

interface OfMetric {
  readonly metric: string;
  readonly query: ReadingsQuery;
  readonly where: string;
  /** How many points may still come. */
  readonly left: number;
}

async function seriesOf(ask: Ask, of: OfMetric): Promise<Map<string, Points>> {
  const every = everyOf(of.query);
  const { parts, split } = await read(ask, of, every);
  // A device that changed its profile has a series in two measurements, and no figure can be made of two figures.
  for (const device of split) {
    const only = { ...of, where: `${of.where} and "device" = ${literal(device)}`, left: Number.POSITIVE_INFINITY };
    const raw = (await read(ask, only, null)).parts.get(device) ?? [];
    parts.set(device, every === null ? raw : aggregate(raw, every, of.query.fn));
  }
  return parts;
}

async function read(
  ask: Ask,
  { metric, query, where, left }: OfMetric,
  every: number | null,
): Promise<{ parts: Map<string, Points>; split: Set<string> }> {
  const parts = new Map<string, Points>();
  const measurements = new Map<string, string>();
  const split = new Set<string>();
  let points = 0;
  for await (const series of ask(statementOf(metric, query, where, every, left))) {
    const device = deviceOf(series);
    if ((measurements.get(device) ?? series.name) !== series.name) split.add(device);
    measurements.set(device, series.name);
    const line = parts.get(device) ?? [];
    parts.set(device, line);
    for (const [ts, value] of series.values) if (typeof value === 'number') line.push([ts as number, value]);
    points += series.values.length;
    if (points > left) checkPoints(query.maxPoints + 1, query.maxPoints);
  }
  for (const device of split) parts.get(device)!.sort(([a], [b]) => a - b);
  return { parts, split: every === null ? new Set() : split };
}

function statementOf(
  metric: string,
  { fromMs, toMs, fn }: ReadingsQuery,
  where: string,
  every: number | null,
  left: number,
): string {
  const field = identifier(fieldOf(metric));
  const time = `time >= ${instant(fromMs)} and time < ${instant(toMs)}`;
  const most = Number.isFinite(left) ? ` limit ${left + 1}` : '';
  const from = `from /.*/ where ${time} and ${where}`;
  if (every === null) return `select ${field} as v ${from} group by "device"${most}`;
  return `select ${FUNCTIONS[fn](field)} as v ${from} group by time(${every}ms), "device" fill(none)${most}`;
}

/** The device of a part; throws where the answer is not one to what was asked. */
export function deviceOf({ tags, columns }: ResultSeries): string {
  const device = tags?.device;
  if (device === undefined || columns[1] !== 'v') throw withoutInfluxql();
  return device;
}

/** Readings in all. */
export async function countIn(ask: Ask): Promise<number> {
  let sum = 0;
  for await (const { columns, values } of ask(`select count(*) from /.*/ where "device" != ''`)) {
    if (columns[0] !== 'time') throw withoutInfluxql();
    for (const [, ...counts] of values) for (const count of counts) sum += (count as number | null) ?? 0;
  }
  return sum;
}

function withoutInfluxql(): LamppostError {
  const message =
    'the history does not answer InfluxQL (VictoriaMetrics?): it takes readings, but they must be read there';
  return new LamppostError('invalid', message);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
