import type { CompiledRule } from './compiled.ts';

/** Where the numbers of an instance stand in its `data`. */
export const NEWEST = 0;
/** Engine time at which the present episode began to match. */
export const SINCE = 1;
/** Engine time at which a firing alert ceased to match; NaN while it matches. */
export const MISSED = 2;
/** Of the whole window: the sum (less `base` each), the minimum or the maximum; of `last`, the value. */
export const TOTAL = 3;
/** Readings in the window. */
export const COUNT = 4;
/** Number of the newest slice: its start divided by the length of a slice. */
export const SLICE = 5;
/** The newest readings: `RECENT_MAX` pairs (ts, value), a ring. */
export const RECENT = 6;
export const RECENT_MAX = 10;
/** The slices' figures, then as many counts; slice number s stands at s mod slices. */
export const SLICES = RECENT + 2 * RECENT_MAX;

/** Where an alert stands between transitions; a resolved or cancelled one is inactive again. */
export type Phase = 'inactive' | 'pending' | 'firing';

/**
 * One rule on one device. All that changes is in `data` and a few small fields, of one shape, so that the hot path
 * allocates nothing. `last` takes 208 bytes of numbers, a window up to 1,168.
 */
export class Instance {
  readonly rule: CompiledRule;
  /** Id of the device. */
  readonly group: string;
  readonly data: Float64Array;
  phase: Phase = 'inactive';
  /** Whether the last evaluation matched. */
  matching = false;
  /** Where the next reading goes in the ring, and how many it holds. */
  recentNext = 0;
  recentLength = 0;
  /** Bookkeeping of the engine: waits for a tick, changed since the last checkpoint, no longer exists. */
  waiting = false;
  dirty = false;
  gone = false;

  constructor(rule: CompiledRule, group: string) {
    this.rule = rule;
    this.group = group;
    this.data = new Float64Array(SLICES + 2 * rule.slices);
    this.data[NEWEST] = Number.NEGATIVE_INFINITY;
    this.data[SLICE] = Number.NEGATIVE_INFINITY;
    this.data[MISSED] = Number.NaN;
  }
}
