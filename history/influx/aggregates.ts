import {
  type Aggregate,
  angularDeviation,
  bucketOf,
  codeOfState,
  cosineOf,
  HOLDS_MS,
  HOUR_MS,
  increaseOf,
  levelOf,
  type Measure,
  type MetricKind,
  meanAngle,
  powerOf,
  sineOf,
  turnOf,
} from '../../domain/index.ts';

/** Points of one series, in order of time: two arrays take a fifth of the memory of pairs. */
export interface Points {
  readonly ts: number[];
  readonly value: number[];
}

export const noPoints = (): Points => ({ ts: [], value: [] });

type Function = (values: readonly number[], ts: readonly number[]) => number;

const ranked =
  (q: number): Function =>
  (values) =>
    values.toSorted((a, b) => a - b)[Math.max(1, Math.floor(values.length * q + 0.5)) - 1]!;
const change: Function = (values) => (values.length < 2 ? Number.NaN : values.at(-1)! - values[0]!);
const byHour =
  (delta: Function): Function =>
  (values, ts) => {
    const ms = ts.at(-1)! - ts[0]!;
    return ms === 0 ? Number.NaN : (delta(values, ts) / ms) * HOUR_MS;
  };

/** Aggregates of readings in order of time; NaN where they are too few. */
const GAUGE_FUNCTIONS: Readonly<Record<Aggregate, Function>> = {
  mean: (values) => sum(values) / values.length,
  min: (values) => values.reduce((a, b) => Math.min(a, b)),
  max: (values) => values.reduce((a, b) => Math.max(a, b)),
  sum,
  count: (values) => values.length,
  first: (values) => values[0]!,
  last: (values) => values.at(-1)!,
  p10: ranked(0.1),
  p50: ranked(0.5),
  p90: ranked(0.9),
  p95: (values) => values.toSorted((a, b) => a - b)[Math.floor((values.length * 95) / 100 + 0.5) - 1]!,
  stddev: deviation,
  delta: change,
  rate: byHour(change),
  // Of states only: see below.
  changes: () => Number.NaN,
  share: () => Number.NaN,
};

const turn: Function = (values) => (values.length < 2 ? Number.NaN : turnOf(values[0]!, values.at(-1)!));
const ofAngles =
  (of: typeof meanAngle): Function =>
  (values) =>
    of(sum(values.map(sineOf)), sum(values.map(cosineOf)), values.length);

/** Where a kind differs from a gauge. */
const FUNCTIONS_OF: Readonly<Record<MetricKind, Partial<Record<Aggregate, Function>>>> = {
  gauge: {},
  counter: {},
  angle: {
    mean: ofAngles(meanAngle),
    stddev: (values, ts) => (values.length < 2 ? Number.NaN : ofAngles(angularDeviation)(values, ts)),
    delta: turn,
    rate: byHour(turn),
  },
  level: { mean: (values) => levelOf(sum(values.map(powerOf)) / values.length) },
  presence: {},
  state: {},
  text: {},
};

/** Returns whether an aggregate of a kind is computed here, since InfluxQL has none, or another one. */
export function isOurs({ kind }: Measure, fn: Aggregate): boolean {
  return isCounted(kind, fn) || FUNCTIONS_OF[kind][fn] !== undefined || !NATIVE.has(fn);
}

const NATIVE = new Set<Aggregate>(['mean', 'min', 'max', 'sum', 'count', 'first', 'last', 'p95']);

/** Returns whether an aggregate also needs the reading before the queried time. */
export function isCounted(kind: MetricKind, fn: Aggregate): boolean {
  if (kind === 'state') return fn === 'changes' || fn === 'share';
  return kind === 'counter' && (fn === 'delta' || fn === 'sum' || fn === 'rate');
}

/** Aggregates points in time order to one point per interval, with the time of its start. */
export function aggregate(points: Points, every: number, fn: Aggregate, { kind }: Measure): Points {
  const of = FUNCTIONS_OF[kind][fn] ?? GAUGE_FUNCTIONS[fn];
  return valued(byBucket(points, every), ({ ts, value }) => of(value, ts));
}

/**
 * What a counter counted, or a state changed, at each reading since the one before. Those before `fromMs` only begin.
 */
export function counted(
  points: Points,
  every: number,
  fn: Aggregate,
  { fromMs, measure }: { readonly fromMs: number; readonly measure: Measure },
) {
  const isState = measure.kind === 'state';
  const { ts, value } = points;
  const steps: Points & { ms: number[] } = { ...noPoints(), ms: [] };
  // A counter counts from its first reading on; a state has not changed at its first one.
  for (let row = isState ? 0 : 1; row < ts.length; row++) {
    if (ts[row]! < fromMs) continue;
    steps.ts.push(ts[row]!);
    const [before, after] = [value[Math.max(0, row - 1)]!, value[row]!];
    steps.value.push(isState ? Number(before !== after) : increaseOf(before, after, measure.max));
    steps.ms.push(ts[row]! - ts[Math.max(0, row - 1)]!);
  }
  const ms = byBucket({ ts: steps.ts, value: steps.ms }, every);
  return valued(byBucket(steps, every), ({ value: increases }, start) => {
    if (fn !== 'rate') return sum(increases);
    return (sum(increases) / sum(ms.get(start)!.value)) * HOUR_MS;
  });
}

/** How much of the time of each interval a state had the value of a name, percent. */
export function shares(
  { ts, value }: Points,
  every: number,
  { fromMs, toMs, state }: { readonly fromMs: number; readonly toMs: number; readonly state: string },
  { values = [] }: Measure,
): Points {
  const code = codeOfState(values, state);
  const [from, end] = [Math.ceil(fromMs), Math.ceil(toMs)];
  const spent = new Map<number, { held: number; all: number }>();
  for (const [row, at] of ts.entries()) {
    const until = Math.min(ts[row + 1] ?? end, at + HOLDS_MS, end);
    let since = Math.max(at, from);
    while (since < until) {
      const start = bucketOf(since, every);
      const to = Math.min(start + every, until);
      const bucket = spent.get(start) ?? { held: 0, all: 0 };
      spent.set(start, bucket);
      bucket.all += to - since;
      if (value[row] === code) bucket.held += to - since;
      since = to;
    }
  }
  const found = code === null ? [] : [...spent];
  return { ts: found.map(([start]) => start), value: found.map(([, { held, all }]) => (100 * held) / all) };
}

function byBucket({ ts, value }: Points, every: number): Map<number, Points> {
  const buckets = new Map<number, Points>();
  for (const [row, at] of ts.entries()) {
    const start = bucketOf(at, every);
    const bucket = buckets.get(start) ?? noPoints();
    bucket.ts.push(at);
    bucket.value.push(value[row]!);
    buckets.set(start, bucket);
  }
  return buckets;
}

function valued(buckets: ReadonlyMap<number, Points>, of: (points: Points, start: number) => number): Points {
  const points = noPoints();
  for (const [start, bucket] of buckets) {
    const value = of(bucket, start);
    if (Number.isNaN(value)) continue;
    points.ts.push(start);
    points.value.push(value);
  }
  return points;
}

function deviation(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN;
  const middle = sum(values) / values.length;
  return Math.sqrt(sum(values.map((value) => (value - middle) ** 2)) / (values.length - 1));
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
