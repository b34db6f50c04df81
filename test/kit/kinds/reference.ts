import type { MetricKind } from '../../../domain/index.ts';

/** A reading: time and value. */
export type Sample = readonly [ts: number, value: number];

interface Given {
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
export function expected(kind: MetricKind, fn: string, { readings, before, max, code = 0 }: Given): number | null {
  const values = readings.map(([, value]) => value);
  if (kind === 'counter') {
    const all = before === undefined ? readings : [before, ...readings];
    if (all.length < 2) return null;
    const counted = sum(all.slice(1).map(([, value], i) => step(all[i]![1], value, max)));
    const ms = all.at(-1)![0] - all[0]![0];
    if (fn === 'rate') return ms === 0 ? null : (counted * 3_600_000) / ms;
    return counted;
  }
  if (kind === 'state') {
    const all = before === undefined ? readings : [before, ...readings];
    const steps = all.slice(1).map(([ts, value], i) => ({ ms: ts - all[i]![0], from: all[i]![1], to: value }));
    if (fn === 'changes') return steps.filter(({ from, to }) => from !== to).length;
    const spent = sum(steps.map(({ ms }) => ms));
    return spent === 0 ? null : (100 * sum(steps.filter(({ from }) => from === code).map(({ ms }) => ms))) / spent;
  }
  if (kind === 'level') return 10 * Math.log10(sum(values.map((value) => 10 ** (value / 10))) / values.length);
  return ofAngles(fn, values);
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
  return apart <= near || (kind === 'angle' && fn === 'mean' && 360 - apart <= near);
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
