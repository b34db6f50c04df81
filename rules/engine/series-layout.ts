import { increaseOf } from '../../domain/index.ts';

/** Numbers at the beginning of a place, before the recent readings and the slices; `series.ts` names them. */
export const HEAD_SIZE = 7;
const RECENT_MAX = 10;
/** Numbers of the recent readings, a ring of pairs (ts, value): index of the next pair, number of pairs, pairs. */
export const RECENT_SIZE = 2 + 2 * RECENT_MAX;

/** A window is cut into at most this many slices of event time. */
const MAX_SLICES = 40;

/** What a slice stores of its readings besides their count: the initial value of each lane. */
const LANES = {
  last: [],
  count: [],
  sum: [0],
  min: [Number.POSITIVE_INFINITY],
  max: [Number.NEGATIVE_INFINITY],
  /** Sum of powers of (value − shift) dB. */
  power: [0],
  /** Sums of sines and cosines. */
  direction: [0, 0],
  /** The oldest reading, the newest (time and value each), and what was counted between them. */
  counted: [Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 0, 0],
  /** The same of how often a state changed, and of how long it had one of some values, ms. */
  changed: [Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 0, 0],
  held: [Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 0, 0],
  /** Sum and sum of squares. */
  moments: [0, 0],
  /** The oldest reading: time and value. */
  ends: [Number.POSITIVE_INFINITY, 0],
  /** Minimum, maximum, time of the oldest reading. */
  range: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  /** Sums of t, y, tt, ty with t in hours from the slice's beginning, and the time of the oldest reading. */
  line: [0, 0, 0, 0, Number.POSITIVE_INFINITY],
} as const;

/** What the slices of a series store. */
export type Keeps = keyof typeof LANES;

/** The layout of a series, shared by all series of a clause. */
export interface SeriesSpec {
  readonly keeps: Keeps;
  readonly windowMs: number;
  /** 0 for `last`. */
  readonly slices: number;
  readonly sliceMs: number;
  readonly lanes: readonly number[];
  /**
   * Subtracted from each value before it is summed, and added to a mean again. Readings that lie exactly on the
   * threshold then have exactly the threshold as their mean; a plain sum of 0.7s would end slightly below.
   */
  readonly shift: number;
  /** `counted`: the value after which the counter starts again. */
  readonly max: number;
  /** `held`: the codes whose time counts. */
  readonly states: readonly number[];
  readonly slab: Slab;
}

/** A reading: time and value. */
type Sample = readonly [ts: number, value: number];

/** What `counted`, `changed` and `held` count between two successive readings. */
export function stepOf({ keeps, max, states }: SeriesSpec, [from, before]: Sample, [to, after]: Sample): number {
  if (keeps === 'counted') return increaseOf(before, after, max);
  if (keeps === 'changed') return before === after ? 0 : 1;
  return states.includes(before) ? to - from : 0;
}

interface More {
  readonly shift?: number;
  readonly max?: number;
  readonly states?: readonly number[];
}

/**
 * Returns the layout for a window. A slice is at least 1 ms long, and all slices together are never longer than the
 * window.
 */
export function seriesSpec(
  keeps: Keeps,
  windowMs: number,
  { shift = 0, max = Number.POSITIVE_INFINITY, states = [] }: More = {},
): SeriesSpec {
  const sliceMs = Math.max(1, Math.ceil(windowMs / MAX_SLICES));
  const slices = keeps === 'last' ? 0 : Math.max(1, Math.floor(windowMs / sliceMs));
  const lanes: readonly number[] = LANES[keeps];
  const slab = slabOf(HEAD_SIZE + RECENT_SIZE + lanes.length * slices + Math.ceil(slices / 2));
  return { keeps, windowMs, slices, sliceMs, lanes, shift, max, states, slab };
}

/**
 * The memory of one series: a fixed range of a large array that many series share. A typed array for each series would
 * cost more than its content.
 */
export interface Place {
  readonly numbers: Float64Array;
  /** The same bytes as unsigned integers, two to a number. */
  readonly counts: Uint32Array;
  /** Index of its first number. */
  readonly base: number;
}

const slabs = new Map<number, Slab>();

/**
 * The slab for places of this size, shared by all series of all rules, so that memory that is read together lies
 * together.
 */
function slabOf(size: number): Slab {
  let slab = slabs.get(size);
  if (slab === undefined) {
    slab = new Slab(size);
    slabs.set(size, slab);
  }
  return slab;
}

/** Allocates places of one size; those given back are used first. */
class Slab {
  readonly #size: number;
  readonly #free: Place[] = [];
  #chunk: Place | null = null;
  #used = 0;
  #capacity = 1;

  constructor(size: number) {
    this.#size = size;
  }

  /** Returns a place filled with zeros. */
  take(): Place {
    const known = this.#free.pop();
    if (known !== undefined) {
      known.numbers.fill(0, known.base, known.base + this.#size);
      return known;
    }
    if (this.#chunk === null || this.#used === this.#capacity) this.#grow();
    return { ...this.#chunk!, base: this.#size * this.#used++ };
  }

  giveBack(place: Place): void {
    this.#free.push(place);
  }

  // The first chunks are small: most rules have few series.
  #grow(): void {
    this.#capacity = Math.min(2 * this.#capacity, 256);
    const numbers = new Float64Array(this.#size * this.#capacity);
    this.#chunk = { numbers, counts: new Uint32Array(numbers.buffer), base: 0 };
    this.#used = 0;
  }
}

/** Stores a reading if it is among the newest ten by event time; of equal timestamps the later arrival is the newer. */
export function addRecent(numbers: Float64Array, at: number, ts: number, value: number): void {
  const next = numbers[at]!;
  const length = numbers[at + 1]!;
  const place = at + 2 + 2 * next;
  // When the ring is full, the next place is that of the oldest.
  if (length === RECENT_MAX && ts < numbers[place]!) return;
  numbers[place] = ts;
  numbers[place + 1] = value;
  numbers[at] = next === RECENT_MAX - 1 ? 0 : next + 1;
  if (length < RECENT_MAX) numbers[at + 1] = length + 1;
  sink(numbers, at + 2, next, Math.min(length, RECENT_MAX - 1));
}

/** Returns the readings at or after `fromMs`, oldest first: [epoch ms, value]. */
export function recentSince(numbers: Float64Array, at: number, fromMs: number): [number, number][] {
  const [next, length] = [numbers[at]!, numbers[at + 1]!];
  const readings: [number, number][] = [];
  for (let i = RECENT_MAX - length; i < RECENT_MAX; i++) {
    const place = at + 2 + 2 * ((next + i) % RECENT_MAX);
    if (numbers[place]! >= fromMs) readings.push([numbers[place]!, numbers[place + 1]!]);
  }
  return readings;
}

/** Moves the reading at `place` back before newer ones, of which there are at most `before`. */
function sink(numbers: Float64Array, ring: number, place: number, before: number): void {
  for (let left = before, here = place; left > 0; left--) {
    const there = here === 0 ? RECENT_MAX - 1 : here - 1;
    const [a, b] = [ring + 2 * there, ring + 2 * here];
    if (numbers[a]! <= numbers[b]!) return;
    swap(numbers, a, b);
    swap(numbers, a + 1, b + 1);
    here = there;
  }
}

function swap(numbers: Float64Array, a: number, b: number): void {
  const kept = numbers[a]!;
  numbers[a] = numbers[b]!;
  numbers[b] = kept;
}
