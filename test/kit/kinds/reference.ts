import { AGGREGATES, type Aggregate, type MetricKind } from '../../../domain/index.ts';

/** A reading: time and value. */
export type Sample = readonly [ts: number, value: number];

/** The functions of a query that make sense for each kind. */
export const FUNCTIONS: Readonly<Record<MetricKind, readonly Aggregate[]>> = {
  gauge: AGGREGATES.filter((fn) => fn !== 'changes' && fn !== 'share'),
  counter: ['first', 'last', 'min', 'max', 'count', 'sum', 'delta', 'rate'],
  angle: ['first', 'last', 'count', 'mean', 'stddev', 'delta', 'rate'],
  level: ['first', 'last', 'min', 'max', 'count', 'mean', 'stddev', 'delta', 'rate', 'p10', 'p50', 'p90', 'p95'],
  presence: ['first', 'last', 'min', 'max', 'count', 'sum', 'mean'],
  state: ['first', 'last', 'count', 'changes', 'share'],
  text: ['first', 'last', 'count'],
};

interface Given {
  /** At least one. */
  readonly readings: readonly Sample[];
  readonly before?: Sample | undefined;
  readonly max: number;
  /** Of `share`: the value whose time counts. */
  readonly code?: number;
}

/**
 * The aggregates of each kind as one would write them down, over readings in order of time; null without a value.
 * `before`: the reading before them, where it counts.
 */
export function expected(kind: MetricKind, fn: string, given: Given): number | null {
  const { readings, before, max, code = 0 } = given;
  const values = readings.map(([, value]) => value);
  if (kind === 'counter' && ['sum', 'delta', 'rate'].includes(fn)) {
    const all = before === undefined ? readings : [before, ...readings];
    if (all.length < 2) return null;
    const counted = sum(all.slice(1).map(([, value], i) => step(all[i]![1], value, max)));
    return fn === 'rate' ? byHour(counted, all) : counted;
  }
  if (fn === 'changes' || fn === 'share') {
    const all = before === undefined ? readings : [before, ...readings];
    const steps = all.slice(1).map(([ts, value], i) => ({ ms: ts - all[i]![0], from: all[i]![1], to: value }));
    if (fn === 'changes') return steps.filter(({ from, to }) => from !== to).length;
    const spent = sum(steps.map(({ ms }) => ms));
    return spent === 0 ? null : (100 * sum(steps.filter(({ from }) => from === code).map(({ ms }) => ms))) / spent;
  }
  if (kind === 'level' && fn === 'mean')
    return 10 * Math.log10(sum(values.map((value) => 10 ** (value / 10))) / values.length);
  if (kind === 'angle' && (fn === 'mean' || fn === 'stddev')) return ofAngles(fn, values);
  const delta = kind === 'angle' ? turn(values[0]!, values.at(-1)!) : values.at(-1)! - values[0]!;
  if (fn === 'delta') return values.length < 2 ? null : delta;
  if (fn === 'rate') return byHour(delta, readings);
  return ofNumbers(fn, values);
}

function ofNumbers(fn: string, values: readonly number[]): number | null {
  const mean = sum(values) / values.length;
  const rank = (percent: number) => Math.max(1, Math.floor((percent * values.length + 50) / 100));
  switch (fn) {
    case 'first':
      return values[0]!;
    case 'last':
      return values.at(-1)!;
    case 'min':
      return Math.min(...values);
    case 'max':
      return Math.max(...values);
    case 'count':
      return values.length;
    case 'sum':
      return sum(values);
    case 'mean':
      return mean;
    case 'stddev':
      return values.length < 2
        ? null
        : Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1));
    default:
      return values.toSorted((a, b) => a - b)[rank(Number(fn.slice(1))) - 1]!;
  }
}

function byHour(change: number, readings: readonly Sample[]): number | null {
  const ms = readings.at(-1)![0] - readings[0]![0];
  return ms === 0 ? null : (change * 3_600_000) / ms;
}

/** The shortest turn, [-180, 180). */
function turn(from: number, to: number): number {
  let degrees = to - from;
  while (degrees >= 180) degrees -= 360;
  while (degrees < -180) degrees += 360;
  return degrees;
}

/** A counter that falls went past its maximum, if that makes a small step; else it began again at 0. */
function step(before: number, after: number, max: number): number {
  if (after >= before) return after - before;
  const past = max - before + after + (Number.isInteger(max) ? 1 : 0);
  return past < max / 4 ? past : after;
}

function ofAngles(fn: string, values: readonly number[]): number | null {
  // The direction of the sum of unit vectors, and how long that is.
  const x = sum(values.map((value) => Math.cos((value * Math.PI) / 180)));
  const y = sum(values.map((value) => Math.sin((value * Math.PI) / 180)));
  const length = Math.sqrt(x * x + y * y) / values.length;
  if (length < 1e-9) return null;
  if (fn === 'mean') return ((Math.atan2(y, x) * 180) / Math.PI + 360) % 360;
  return values.length < 2 ? null : (Math.sqrt(-2 * Math.log(Math.min(1, length))) * 180) / Math.PI;
}

/** How much of `[fromMs, toMs)` a state had a value, percent: looked at millisecond by millisecond, in steps. */
export function expectedShare(
  all: readonly Sample[],
  code: number,
  { fromMs, toMs, stepMs }: { readonly fromMs: number; readonly toMs: number; readonly stepMs: number },
): number | null {
  let [held, known] = [0, 0];
  for (let at = fromMs; at < toMs; at += stepMs) {
    const newest = all.findLast(([ts]) => ts <= at);
    if (newest === undefined || at - newest[0] >= 7 * 86_400_000) continue;
    known++;
    if (newest[1] === code) held++;
  }
  return known === 0 ? null : (100 * held) / known;
}

/** Whether two values are equal within rounding; of angles 359.9999999999 is 0. */
export function isSame(kind: MetricKind, fn: string, a: number | null, b: number | null): boolean {
  if (a === null || b === null) return a === b;
  const apart = Math.abs(a - b);
  // A deviation near 0 is the root of a rounding error.
  const near = fn === 'stddev' ? 1e-5 : 1e-6 * Math.max(1, Math.abs(b)) * 1e-3;
  return apart <= near || (kind === 'angle' && ['mean', 'last'].includes(fn) && 360 - apart <= near);
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
