import type { CompiledRule } from './compiled.ts';
import { COUNT, NEWEST, SLICE, SLICES, TOTAL } from './instance.ts';

/**
 * Windows in event time, over slices.
 *
 * With T the newest timestamp of the series, the window is (T − window, T]. It is kept as up to 60 slices aligned to
 * the epoch, the newest being the slice of T, so it forgets a whole slice at a time: no reading older than the window
 * ever counts, and readings of the oldest slice's length (a 60th of the window) are forgotten up to that much early.
 * Sum, count, minimum and maximum over the slices that stand are exact, but for the rounding of the sum, which is
 * taken afresh from the slices, in their fixed order, whenever T enters a new slice: errors cannot pile up.
 *
 * A reading older than the oldest slice is ignored; one out of order inside counts. For `last`, one older than T is
 * ignored. A jump ahead expires at most all slices.
 */

/** Takes a reading in; false when it is too old to count. */
export function observe(data: Float64Array, rule: CompiledRule, ts: number, value: number): boolean {
  if (rule.slices === 0) return observeLast(data, ts, value);
  const slice = Math.floor(ts / rule.sliceMs);
  const newest = data[SLICE]!;
  if (slice > newest) advance(data, rule, slice);
  else if (slice <= newest - rule.slices) return false;
  if (ts > data[NEWEST]!) data[NEWEST] = ts;
  add(data, rule, SLICES + modulo(slice, rule.slices), value - rule.base);
  return true;
}

/** The figure over the window as it stands. */
export function figureOf(data: Float64Array, rule: CompiledRule): number {
  return rule.fn === 'mean' ? rule.base + data[TOTAL]! / data[COUNT]! : data[TOTAL]!;
}

/** Event time of the window's oldest moment that counts, epoch ms; of `last`, its reading's. */
export function windowStart(data: Float64Array, rule: CompiledRule): number {
  return rule.slices === 0 ? data[NEWEST]! : (data[SLICE]! - rule.slices + 1) * rule.sliceMs;
}

function observeLast(data: Float64Array, ts: number, value: number): boolean {
  if (ts < data[NEWEST]!) return false;
  data[NEWEST] = ts;
  data[TOTAL] = value;
  data[COUNT] = 1;
  return true;
}

function add(data: Float64Array, rule: CompiledRule, at: number, value: number): void {
  data[at + rule.slices]! += 1;
  data[COUNT]! += 1;
  if (rule.fn === 'mean') {
    data[at]! += value;
    data[TOTAL]! += value;
  } else if (rule.fn === 'min') {
    if (value < data[at]!) data[at] = value;
    if (value < data[TOTAL]!) data[TOTAL] = value;
  } else {
    if (value > data[at]!) data[at] = value;
    if (value > data[TOTAL]!) data[TOTAL] = value;
  }
}

/** Makes `slice` the newest: empties the slices that the window leaves behind. */
function advance(data: Float64Array, rule: CompiledRule, slice: number): void {
  const { slices, empty } = rule;
  const steps = Math.min(slice - data[SLICE]!, slices);
  for (let i = 0, at = SLICES + modulo(slice, slices); i < steps; i++) {
    data[COUNT]! -= data[at + slices]!;
    data[at] = empty;
    data[at + slices] = 0;
    at = at === SLICES ? SLICES + slices - 1 : at - 1;
  }
  data[SLICE] = slice;
  if (rule.fn === 'mean') data[TOTAL] = sum(data, slices);
  else data[TOTAL] = rule.fn === 'min' ? smallest(data, slices) : largest(data, slices);
}

// Four sums at once, since one long chain of additions would wait for each of them.
function sum(data: Float64Array, slices: number): number {
  const end = SLICES + slices;
  let [a, b, c, d] = [0, 0, 0, 0];
  let at = SLICES;
  for (; at + 3 < end; at += 4) {
    a += data[at]!;
    b += data[at + 1]!;
    c += data[at + 2]!;
    d += data[at + 3]!;
  }
  for (; at < end; at++) a += data[at]!;
  return a + b + (c + d);
}

function smallest(data: Float64Array, slices: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let at = SLICES; at < SLICES + slices; at++) if (data[at]! < least) least = data[at]!;
  return least;
}

function largest(data: Float64Array, slices: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let at = SLICES; at < SLICES + slices; at++) if (data[at]! > most) most = data[at]!;
  return most;
}

function modulo(slice: number, slices: number): number {
  return slice - Math.floor(slice / slices) * slices;
}
