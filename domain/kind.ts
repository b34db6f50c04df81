import { z } from 'zod';
import type { ShapeOf } from './schema.ts';
import { DAY_MS } from './time.ts';

/**
 * How the values of a metric combine.
 * - `gauge`: any quantity; a mean is a mean.
 * - `counter`: a total that only grows. It starts again at 0 after a reset, and after its `max`.
 * - `angle`: a direction in degrees; 350 and 10 have the mean 0.
 * - `level`: decibels of a power; the mean is that of the power (Leq).
 * - `presence`: true or false, 1 or 0; the mean is the share of true.
 * - `state`: one of a few named values, stored as the code of its name; what counts is how often and how long.
 * - `text`: any text, such as a version; it is kept and shown.
 */
export const METRIC_KINDS = ['gauge', 'counter', 'angle', 'level', 'presence', 'state', 'text'] as const;
export type MetricKind = (typeof METRIC_KINDS)[number];

/** The values of a state: each name and the code that is stored for it. */
export const StateValuesSchema = z.array(z.object({ code: z.int(), name: z.string() }).readonly()).readonly();
export type StateValues = ShapeOf<typeof StateValuesSchema>;

/** What the arithmetic of a metric needs to know of it. */
export interface Measure {
  readonly kind: MetricKind;
  /** The largest value that can be true; a counter starts again after it. */
  readonly max: number;
  /** Of a state. */
  readonly values?: StateValues | undefined;
}

/** The measure of a metric without a kind. */
export const GAUGE: Measure = { kind: 'gauge', max: Number.POSITIVE_INFINITY };

const PERCENTILES = ['p10', 'p50', 'p90', 'p95'];
/** The functions over a window or an interval that make sense for a kind, and what to ask instead of another. */
const FUNCTIONS_OF: Readonly<Record<MetricKind, { readonly takes: readonly string[] | null; readonly use: string }>> = {
  gauge: { takes: null, use: '' },
  counter: {
    takes: ['first', 'last', 'min', 'max', 'count', 'sum', 'delta', 'rate'],
    use: 'delta (how much was counted), rate (an hour) or last (the total)',
  },
  angle: {
    takes: ['first', 'last', 'count', 'mean', 'stddev', 'delta', 'rate'],
    use: 'mean (the mean direction), stddev (how much it turns), last or count',
  },
  level: {
    takes: ['first', 'last', 'min', 'max', 'count', 'mean', 'stddev', 'delta', 'rate', ...PERCENTILES],
    use: 'mean (Leq), max, or p10 and p90 (L90 and L10)',
  },
  presence: {
    takes: ['first', 'last', 'min', 'max', 'count', 'sum', 'mean'],
    use: 'mean (the share of true), max (whether any was), sum (how many were) or last',
  },
  state: {
    takes: ['first', 'last', 'count', 'changes', 'share'],
    use: 'last, changes (how often it changed) or share (of the time in one of its values, percent)',
  },
  text: {
    takes: ['first', 'last', 'count'],
    use: 'last, first or count; what has a few values that count is a state',
  },
};
/** Functions of a state only. */
const OF_STATES: readonly string[] = ['changes', 'share'];

/** Returns whether a function makes sense for the kind. */
export function suits(kind: MetricKind, fn: string): boolean {
  if (fn === 'faults') return true;
  return FUNCTIONS_OF[kind].takes?.includes(fn) ?? !OF_STATES.includes(fn);
}

/** Returns what is wrong with a function of a metric, with what would make sense; null where nothing is. */
export function misuseOf(metric: string, kind: MetricKind, fn: string): string | null {
  if (suits(kind, fn)) return null;
  const use = kind === 'gauge' ? 'mean, last or delta: only a state has changes and share' : FUNCTIONS_OF[kind].use;
  return `${fn} makes no sense for ${metric}, which is ${articled(kind)}; use ${use}`;
}

/** Returns the code of a value of a state, by its name; null where it has no such value. */
export function codeOfState(values: StateValues, name: string): number | null {
  return values.find((one) => one.name === name)?.code ?? null;
}

/** Returns the name of a value of a state; the code as a text where it has none (any more). */
export function nameOfState(values: StateValues, code: number): string {
  return values.find((one) => one.code === code)?.name ?? String(code);
}

/** How long a value of a state holds where no other reading comes, ms. */
export const HOLDS_MS = 7 * DAY_MS;

/** The kind with its article: `a counter`, `an angle`. */
export function articled(kind: MetricKind): string {
  return `${kind === 'angle' ? 'an' : 'a'} ${kind}`;
}

/** A drop that would be this part of `max`, or more, as an increase past it is a reset. */
const OVERFLOW_SHARE = 0.25;

/**
 * How much a counter counted between two readings. A smaller value is an overflow where that means an increase of less
 * than a quarter of `max`; a `max` that is a whole number is the last value before 0, one step away. Otherwise it is a
 * reset: the counter began again at 0.
 */
export function increaseOf(before: number, after: number, max: number): number {
  if (after >= before) return after - before;
  const past = overflowStep(max) + max - before + after;
  return past < max * OVERFLOW_SHARE ? past : after;
}

/** From `max` to 0: one step of a counter in whole numbers. */
export function overflowStep(max: number): number {
  return Number.isInteger(max) ? 1 : 0;
}

const TURN = 360;
/** Directions that cancel each other out have no mean; what is left of them is a rounding error. */
const LEAST_RESULTANT = 1e-9;

/** An angle in [0, 360). */
export function normalAngle(degrees: number): number {
  // The last remainder is for a tiny negative angle, which rounding makes 360.
  return ((degrees % TURN) + TURN) % TURN;
}

/** The shortest turn from one direction to another, degrees in [-180, 180). */
export function turnOf(from: number, to: number): number {
  return normalAngle(to - from + TURN / 2) - TURN / 2;
}

export function sineOf(degrees: number): number {
  return Math.sin((degrees * Math.PI) / 180);
}

export function cosineOf(degrees: number): number {
  return Math.cos((degrees * Math.PI) / 180);
}

/** The mean direction of n angles, [0, 360), to a billionth of a degree; NaN where they cancel each other out. */
export function meanAngle(sines: number, cosines: number, n: number): number {
  if (Math.hypot(sines, cosines) < LEAST_RESULTANT * n) return Number.NaN;
  const degrees = (Math.atan2(sines, cosines) * 180) / Math.PI;
  return normalAngle(Math.round(degrees * 1e9) / 1e9);
}

/** The circular standard deviation √(−2 ln R), degrees; NaN where the angles cancel each other out. */
export function angularDeviation(sines: number, cosines: number, n: number): number {
  const resultant = Math.hypot(sines, cosines) / n;
  if (resultant < LEAST_RESULTANT) return Number.NaN;
  return (Math.sqrt(-2 * Math.log(Math.min(1, resultant))) * 180) / Math.PI;
}

/** The power of a level, relative to that of 0 dB. */
export function powerOf(decibels: number): number {
  return 10 ** (decibels / 10);
}

/** The level of a relative power, dB. */
export function levelOf(power: number): number {
  return 10 * Math.log10(power);
}
