import { HOUR_MS, type WindowAggregate } from '../../../../domain/index.ts';

/** A reading of one series. */
export interface Reading {
  readonly ts: number;
  readonly value: number;
}

/** The readings of a window in order of time; equal times in order of arrival. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
  readonly readings: readonly Reading[];
}

/** The newest event time; −∞ without readings. */
export const newestMs = (series: readonly Reading[]): number =>
  series.reduce((newest, { ts }) => Math.max(newest, ts), Number.NEGATIVE_INFINITY);

const SLICES = 40;
const sliceMs = (windowMs: number): number => Math.ceil(windowMs / SLICES);

/** The first ms of the window whose newest reading is at `newest`: whole slices, in total no longer than the window. */
function startMs(windowMs: number, newest: number): number {
  const slice = sliceMs(windowMs);
  return (Math.floor(newest / slice) - Math.floor(windowMs / slice) + 1) * slice;
}

/**
 * Whether the reading counts: for `last` (no window) not if older than the newest, else not if older than the start of
 * the window.
 */
export function takes(series: readonly Reading[], windowMs: number, { ts }: Reading): boolean {
  const newest = Math.max(newestMs(series), ts);
  return ts >= (windowMs === 0 ? newest : startMs(windowMs, newest));
}

/** Cuts the window out of all readings (in order of arrival); null without readings. */
export function cut(series: readonly Reading[], windowMs: number): Window | null {
  if (series.length === 0) return null;
  const toMs = newestMs(series);
  const fromMs = windowMs === 0 ? toMs : startMs(windowMs, toMs);
  const readings = series.filter(({ ts }) => ts >= fromMs).toSorted((a, b) => a.ts - b.ts);
  return { fromMs, toMs, readings: windowMs === 0 ? readings.slice(-1) : readings };
}

/** Whether a slice holds too many readings for exact percentiles. */
export function tooFull({ readings }: Window, windowMs: number): boolean {
  const slices = new Map<number, number>();
  for (const { ts } of readings) {
    const slice = Math.floor(ts / sliceMs(windowMs));
    slices.set(slice, (slices.get(slice) ?? 0) + 1);
  }
  return Math.max(...slices.values()) > 32;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
export const mean = (values: readonly number[]): number => sum(values) / values.length;

function nearestRank(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.max(1, Math.floor(q * values.length + 0.5)) - 1]!;
}

/** The median; of an even number the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.floor(sorted.length / 2)]!) / 2;
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(sum(values.map((value) => (value - middle) ** 2)) / (values.length - 1));
}

/** The aggregate of a window; null with too few readings. */
export function aggregate(fn: WindowAggregate['fn'], window: Window | null): number | null {
  if (window === null) return null;
  const { readings } = window;
  const values = readings.map(({ value }) => value);
  const [oldest, newest] = [readings[0]!, readings.at(-1)!];
  const apartMs = newest.ts - oldest.ts;
  const two = <T>(value: T) => (readings.length < 2 ? null : value);
  switch (fn) {
    case 'last':
      return newest.value;
    case 'mean':
      return mean(values);
    case 'min':
      return Math.min(...values);
    case 'max':
      return Math.max(...values);
    case 'sum':
      return sum(values);
    case 'count':
      return values.length;
    case 'p10':
      return nearestRank(values, 0.1);
    case 'p50':
      return nearestRank(values, 0.5);
    case 'p90':
      return nearestRank(values, 0.9);
    case 'p95':
      return nearestRank(values, 0.95);
    case 'faults':
    case 'changes':
    case 'share':
      // These journals have neither fault codes nor states.
      return 0;
    case 'stddev':
      return two(deviation(values));
    case 'delta':
      return two(newest.value - oldest.value);
    case 'rate':
      return apartMs === 0 ? null : (newest.value - oldest.value) / (apartMs / HOUR_MS);
  }
}
