import type {
  Aggregate,
  KnownDevice,
  MetricTable,
  ReadingColumns,
  ReadingsQuery,
  Series,
} from '../../../domain/index.ts';

/** A reading as these tests write it down. */
export interface Row {
  readonly device: KnownDevice;
  readonly metric: string;
  readonly ts: number;
  readonly value: number;
}

/** A metric table in memory. */
export function tableOf(...ids: string[]): MetricTable {
  return {
    indexOf: (id) => (ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1),
    idOf: (index) => ids[index]!,
  };
}

/** Rows as the columns that stores take. */
export function columnsOf(rows: readonly Row[], metrics: MetricTable): ReadingColumns {
  return {
    length: rows.length,
    device: rows.map(({ device }) => device),
    metric: rows.map(({ metric }) => metrics.indexOf(metric)),
    ts: rows.map(({ ts }) => ts),
    value: rows.map(({ value }) => value),
  };
}

/** Functions of every gauge; those of states only are in `kinds.test.ts`. */
type OfGauges = Exclude<Aggregate, 'changes' | 'share'>;
const AGGREGATE_OF: Readonly<Record<OfGauges, (values: readonly number[], times: readonly number[]) => number>> = {
  mean: (values) => sum(values) / values.length,
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
  sum,
  count: (values) => values.length,
  first: (values) => values[0]!,
  last: (values) => values.at(-1)!,
  p10: (values) => values.toSorted((a, b) => a - b)[Math.max(1, Math.floor(0.1 * values.length + 0.5)) - 1]!,
  p50: (values) => values.toSorted((a, b) => a - b)[Math.floor(0.5 * values.length + 0.5) - 1]!,
  p90: (values) => values.toSorted((a, b) => a - b)[Math.floor(0.9 * values.length + 0.5) - 1]!,
  p95: (values) => values.toSorted((a, b) => a - b)[Math.floor(0.95 * values.length + 0.5) - 1]!,
  stddev: (values) => {
    const mean = sum(values) / values.length;
    return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1));
  },
  delta: (values) => (values.length < 2 ? Number.NaN : values.at(-1)! - values[0]!),
  rate: (values, times) => ((values.at(-1)! - values[0]!) * 3_600_000) / (times.at(-1)! - times[0]!),
};

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Every function that a query may ask for. */
export const FUNCTIONS = Object.keys(AGGREGATE_OF) as OfGauges[];

/**
 * What a query should find among these rows, as one would write it without a database. `districts`: where devices are
 * now.
 */
export function expectedSeries(
  rows: readonly Row[],
  query: ReadingsQuery,
  districts: ReadonlyMap<string, string>,
): Series[] {
  const { devices, metrics, district, fromMs, toMs, everyMs, fn } = query;
  const found = rows
    .filter(({ device, metric, ts }) => {
      if (devices !== undefined && !devices.includes(device.id)) return false;
      if (metrics !== undefined && !metrics.includes(metric)) return false;
      if (district !== undefined && districts.get(device.id) !== district) return false;
      return ts >= fromMs && ts < toMs;
    })
    .sort((a, b) => a.ts - b.ts);
  const bySeries = Map.groupBy(found, ({ device, metric }) => `${device.id}\n${metric}`);
  return [...bySeries]
    .map(([key, readings]): Series => {
      const [device, metric] = key.split('\n') as [string, string];
      const raw = () => readings.map(({ ts, value }) => [ts, value] as const);
      const points = everyMs === undefined ? raw() : bucketed(readings, everyMs, fn);
      return { device, metric, unit: `unit of ${metric}`, points };
    })
    .filter(({ points }) => points.length > 0)
    .sort((a, b) => compare(a.device, b.device) || compare(a.metric, b.metric));
}

function bucketed(readings: readonly Row[], everyMs: number, fn: Aggregate): (readonly [number, number])[] {
  const buckets = Map.groupBy(readings, ({ ts }) => Math.floor(ts / everyMs) * everyMs);
  const points = [...buckets].map(([start, rows]) => {
    const [values, times] = [rows.map(({ value }) => value), rows.map(({ ts }) => ts)];
    return [start, AGGREGATE_OF[fn as OfGauges](values, times)] as const;
  });
  // With too few readings there is no value.
  return points.filter(([, value]) => !Number.isNaN(value));
}

/** As bytes of UTF-8: the order of the database. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
