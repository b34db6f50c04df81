import type { Device, MetricTable, Rule } from '../../domain/index.ts';

/** Into how many slices of event time a window is cut, at most. Part of the state's format: see `codec.ts`. */
export const MAX_SLICES = 60;

/** A rule made ready for the hot path: everything that a reading needs, as numbers and flags. */
export interface CompiledRule {
  readonly rule: Rule;
  /** Number of its metric in the engine's metric table. */
  readonly metric: number;
  readonly fn: 'last' | 'mean' | 'min' | 'max';
  readonly above: boolean;
  readonly threshold: number;
  readonly clear: number;
  readonly forMs: number;
  readonly keepFiringForMs: number;
  /** Slices of the window; 0 for `last`. */
  readonly slices: number;
  /** Length of a slice in event time, ms; slices are aligned to the epoch. */
  readonly sliceMs: number;
  /** What a slice holds that holds no reading: the neutral element of the function. */
  readonly empty: number;
  /**
   * Subtracted from each value before it is summed, and added to the mean again: readings that lie exactly on the
   * threshold then have exactly the threshold as their mean, where a plain sum of 0.7s would end a little below.
   */
  readonly base: number;
}

/** Makes a rule ready. A slice is at least 1 ms, and all slices together are never longer than the window. */
export function compileRule(rule: Rule, metrics: MetricTable): CompiledRule {
  const { metric, fn, windowMs, op, threshold, clear } = rule.when;
  const sliceMs = fn === 'last' ? 1 : Math.max(1, Math.ceil(windowMs / MAX_SLICES));
  return {
    rule,
    metric: metrics.indexOf(metric),
    fn,
    above: op === 'above',
    threshold,
    clear,
    forMs: rule.forMs,
    keepFiringForMs: rule.keepFiringForMs,
    slices: fn === 'last' ? 0 : Math.max(1, Math.floor(windowMs / sliceMs)),
    sliceMs,
    empty: fn === 'min' ? Number.POSITIVE_INFINITY : fn === 'max' ? Number.NEGATIVE_INFINITY : 0,
    base: fn === 'mean' ? threshold : 0,
  };
}

/** Whether a rule's `where` takes the device: every list holds the device's, every tag is the device's. */
export function takes({ profile, district, device: ids, tags }: Rule['where'], device: Device): boolean {
  if (profile !== undefined && !profile.includes(device.profile)) return false;
  if (district !== undefined && !district.includes(device.district)) return false;
  if (ids !== undefined && !ids.includes(device.id)) return false;
  return Object.entries(tags ?? {}).every(([tag, value]) => device.tags?.[tag] === value);
}
