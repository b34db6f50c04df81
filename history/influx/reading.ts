import {
  type Aggregate,
  DAY_MS,
  everyOf,
  LamppostError,
  type Measure,
  type PointsSlice,
  type ReadingsQuery,
  suits,
} from '../../domain/index.ts';
import { checkFunction } from '../query.ts';
import { checkPoints, slicesOfSeries, type WholeSeries, withinPoints } from '../slices.ts';
import { aggregate, counted, isCounted, isOurs, noPoints, type Points, shares } from './aggregates.ts';
import { type Ask, identifier, instant, literal, type ResultSeries } from './influxql.ts';
import { fieldOf, metricOf } from './lines.ts';

const FUNCTIONS: Readonly<Partial<Record<Aggregate, (field: string) => string>>> = {
  mean: (field) => `mean(${field})`,
  min: (field) => `min(${field})`,
  max: (field) => `max(${field})`,
  sum: (field) => `sum(${field})`,
  count: (field) => `count(${field})`,
  first: (field) => `first(${field})`,
  last: (field) => `last(${field})`,
  p95: (field) => `percentile(${field}, 95)`,
};

/** Returns every metric that has a numeric field, sorted. */
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

/** What a read needs. */
interface Reading {
  readonly ask: Ask;
  readonly unitOf: (metric: string) => string;
  readonly measureOf: (metric: string) => Measure;
  readonly signal: AbortSignal | undefined;
}

/**
 * Yields the same as the embedded history. `where`: a condition on tags, from `Places.condition`. The points are in
 * memory before the first slice, since the server has them by metric.
 */
export async function* readInflux(
  { ask, unitOf, measureOf, signal }: Reading,
  query: ReadingsQuery,
  where: string,
): AsyncGenerator<PointsSlice, void, undefined> {
  checkFunction(query, measureOf);
  const asking: Ask = (statement) => ask(statement, signal);
  const found: WholeSeries[] = [];
  let left = query.maxPoints;
  for (const metric of query.metrics === undefined ? await metricsIn(asking) : [...new Set(query.metrics)].sort()) {
    const measure = measureOf(metric);
    if (query.everyMs !== undefined && !suits(measure.kind, query.fn)) continue;
    const lines = await seriesOf(asking, { metric, measure, query, where, left });
    for (const [device, points] of lines) {
      if (points.ts.length === 0) continue;
      left -= points.ts.length;
      checkPoints(query.maxPoints - left, query.maxPoints);
      found.push({ device, metric, unit: unitOf(metric), ...points });
    }
  }
  found.sort((a, b) => compare(a.device, b.device) || compare(a.metric, b.metric));
  yield* withinPoints(slicesOfSeries(found), query);
}

interface OfMetric {
  readonly metric: string;
  readonly measure: Measure;
  readonly query: ReadingsQuery;
  readonly where: string;
  /** How many more points are allowed. */
  readonly left: number;
}

/** Most readings of one device, or of one query, whose aggregates are computed here. */
const MOST_RAW = 2_000_000;

async function seriesOf(ask: Ask, of: OfMetric): Promise<Map<string, Points>> {
  const every = everyOf(of.query);
  if (every !== null && isOurs(of.measure, of.query.fn)) return ourAggregates(ask, of, every);
  const { parts, split } = await read(ask, of, every);
  // A device that changed its profile has a series in two measurements, and aggregates of parts cannot be combined.
  for (const device of split) {
    const only = { ...of, where: `${of.where} and "device" = ${literal(device)}`, left: MOST_RAW };
    const raw = (await read(ask, only, null)).parts.get(device) ?? noPoints();
    parts.set(device, every === null ? raw : aggregate(raw, every, of.query.fn, of.measure));
  }
  return parts;
}

/** How far before a query the reading may be from which a counter counts on. */
const COUNTS_ON_MS = 7 * DAY_MS;

/** Aggregates that are computed from raw readings. */
async function ourAggregates(ask: Ask, of: OfMetric, every: number): Promise<Map<string, Points>> {
  const { query, measure } = of;
  const { fromMs, toMs, fn, state } = query;
  const { parts } = await readOurs(ask, of);
  if (!isCounted(measure.kind, fn))
    return new Map([...parts].map(([id, raw]) => [id, aggregate(raw, every, fn, measure)]));
  const last = await newestBefore(ask, of);
  // A value of a state holds, also where the queried time has no reading.
  const ids = new Set([...parts.keys(), ...(fn === 'share' ? last.keys() : [])]);
  const begun = [...ids].map((id): [string, Points] => {
    const [before, { ts, value }] = [last.get(id), parts.get(id) ?? noPoints()];
    const points = before === undefined ? { ts, value } : { ts: [before[0], ...ts], value: [before[1], ...value] };
    if (fn === 'share') return [id, shares(points, every, { fromMs, toMs, state: state! }, measure)];
    return [id, counted(points, every, fn, { fromMs, measure })];
  });
  return new Map(begun);
}

function readOurs(ask: Ask, of: OfMetric) {
  return read(ask, { ...of, query: { ...of.query, maxPoints: MOST_RAW }, left: MOST_RAW }, null);
}

/** The newest reading of each device before the queried time, from which a counter counts on. */
async function newestBefore(ask: Ask, { metric, query, where }: OfMetric): Promise<Map<string, [number, number]>> {
  const from = query.fromMs - COUNTS_ON_MS;
  const time = `time >= ${instant(from)} and time < ${instant(query.fromMs)}`;
  const newest = new Map<string, [number, number]>();
  const statement = `select last(${identifier(fieldOf(metric))}) as v from /.*/ where ${time} and ${where} group by "device"`;
  for await (const series of ask(statement)) {
    const [ts, value] = series.values[0] as [number, unknown];
    const known = newest.get(deviceOf(series));
    if (typeof value === 'number' && (known === undefined || known[0] < ts)) newest.set(deviceOf(series), [ts, value]);
  }
  return newest;
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
    const line = parts.get(device) ?? noPoints();
    parts.set(device, line);
    for (const [ts, value] of series.values) {
      if (typeof value !== 'number') continue;
      line.ts.push(ts as number);
      line.value.push(value);
    }
    points += series.values.length;
    if (points > left) checkPoints(query.maxPoints + 1, query.maxPoints);
  }
  for (const device of split) parts.set(device, sorted(parts.get(device)!));
  return { parts, split: every === null ? new Set() : split };
}

function sorted({ ts, value }: Points): Points {
  const order = Uint32Array.from(ts, (_, row) => row).sort((a, b) => ts[a]! - ts[b]!);
  return { ts: Array.from(order, (row) => ts[row]!), value: Array.from(order, (row) => value[row]!) };
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
  const most = ` limit ${left + 1}`;
  const from = `from /.*/ where ${time} and ${where}`;
  if (every === null) return `select ${field} as v ${from} group by "device"${most}`;
  return `select ${FUNCTIONS[fn]!(field)} as v ${from} group by time(${every}ms), "device" fill(none)${most}`;
}

/** Returns the device of a part. Throws `invalid` where the response does not fit the statement. */
export function deviceOf({ tags, columns }: ResultSeries): string {
  const device = tags?.device;
  if (device === undefined || columns[1] !== 'v') throw withoutInfluxql();
  return device;
}

/** Counts all readings. */
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
    'the history does not support InfluxQL (VictoriaMetrics?): it takes readings, but they must be read there';
  return new LamppostError('invalid', message);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
