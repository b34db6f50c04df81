import { cosineOf, HOUR_MS, powerOf, sineOf } from '../../domain/index.ts';
import type { Reader, Writer } from './bytes.ts';
import { addRecent, HEAD_SIZE, RECENT_SIZE, recentSince, type SeriesSpec, stepOf } from './series-layout.ts';

// Indexes from the base of a place.
const NEWEST = 0;
const LAST = 1;
const COUNT = 2;
const SLICE = 3;
const TOTAL = 4;
/** `moments`: the first reading, the origin of the others; `line`: event time before which readings no longer count. */
const EXTRA = 5;
/** Event time of the very first reading. */
const FIRST = 6;
const RECENT = HEAD_SIZE;
const SLICES = RECENT + RECENT_SIZE;

/**
 * One series of readings and what a window over it needs, in slices of event time: see `docs/rule-engine.md`. The total
 * is computed again from all slices, in their fixed order, whenever the newest reading enters a new slice, so that
 * rounding errors cannot accumulate.
 */
export class Series<S extends SeriesSpec = SeriesSpec> {
  readonly spec: S;
  readonly #numbers: Float64Array;
  readonly #counts: Uint32Array;
  readonly #base: number;

  constructor(spec: S) {
    this.spec = spec;
    const { numbers, counts, base } = spec.slab.take();
    this.#numbers = numbers;
    this.#counts = counts;
    this.#base = base;
    this.clear();
  }

  /** Forgets all readings. */
  clear(): void {
    const numbers = this.#numbers;
    const base = this.#base;
    numbers.fill(0, base, base + SLICES);
    numbers[base + NEWEST] = Number.NEGATIVE_INFINITY;
    numbers[base + SLICE] = Number.NEGATIVE_INFINITY;
    numbers[base + FIRST] = Number.POSITIVE_INFINITY;
    for (let place = 0; place < this.spec.slices; place++) this.#empty(place);
    this.#total();
  }

  /** Gives its memory back. The series must not be used again. */
  release(): void {
    this.spec.slab.giveBack({ numbers: this.#numbers, counts: this.#counts, base: this.#base });
  }

  /** Adds a reading; returns false when it is too old to count. */
  take(ts: number, value: number): boolean {
    const numbers = this.#numbers;
    const base = this.#base;
    const { slices, sliceMs } = this.spec;
    const newest = numbers[base + NEWEST]!;
    if (slices === 0) {
      if (ts < newest) return false;
      numbers[base + COUNT] = 1;
    } else {
      const slice = Math.floor(ts / sliceMs);
      const last = numbers[base + SLICE]!;
      if (slice > last) this.#advance(slice);
      else if (slice <= last - slices) return false;
      this.#add(slice, ts, value);
    }
    if (ts >= newest) {
      numbers[base + NEWEST] = ts;
      numbers[base + LAST] = value;
    }
    if (ts < numbers[base + FIRST]!) numbers[base + FIRST] = ts;
    addRecent(numbers, base + RECENT, ts, value);
    return true;
  }

  get newest(): number {
    return this.#numbers[this.#base + NEWEST]!;
  }

  get last(): number {
    return this.#numbers[this.#base + LAST]!;
  }

  /** Event time of the very first reading. */
  get first(): number {
    return this.#numbers[this.#base + FIRST]!;
  }

  get count(): number {
    return this.#numbers[this.#base + COUNT]!;
  }

  /** The sum of (value − shift), the minimum or the maximum. */
  get total(): number {
    return this.#numbers[this.#base + TOTAL]!;
  }

  get extra(): number {
    return this.#numbers[this.#base + EXTRA]!;
  }

  set extra(value: number) {
    this.#numbers[this.#base + EXTRA] = value;
  }

  /** Number of the newest slice. */
  get slice(): number {
    return this.#numbers[this.#base + SLICE]!;
  }

  /** Start of the window (included) in event time, epoch ms; for `last` the time of its reading. */
  get fromMs(): number {
    const { slices, sliceMs } = this.spec;
    return slices === 0 ? this.newest : (this.slice - slices + 1) * sliceMs;
  }

  /** The newest readings at or after `fromMs`, oldest first, at most 10. */
  recent(fromMs: number): [number, number][] {
    return recentSince(this.#numbers, this.#base + RECENT, fromMs);
  }

  /** A lane of the slice that is `back` slices before the newest. */
  lane(back: number, lane: number): number {
    return this.#numbers[this.#laneAt(this.#placeOf(this.slice - back), lane)]!;
  }

  /** How many readings the slice holds that is `back` slices before the newest. */
  countOf(back: number): number {
    return this.#counts[this.#countAt(this.#placeOf(this.slice - back))]!;
  }

  /** Minimum of a lane over the window. */
  least(lane: number): number {
    let least = Number.POSITIVE_INFINITY;
    const numbers = this.#numbers;
    const from = this.#laneAt(0, lane);
    for (let at = from; at < from + this.spec.slices; at++) if (numbers[at]! < least) least = numbers[at]!;
    return least;
  }

  /** Maximum of a lane over the window. */
  most(lane: number): number {
    let most = Number.NEGATIVE_INFINITY;
    const numbers = this.#numbers;
    const from = this.#laneAt(0, lane);
    for (let at = from; at < from + this.spec.slices; at++) if (numbers[at]! > most) most = numbers[at]!;
    return most;
  }

  /** Sum of a lane over the window. */
  sum(lane: number): number {
    const numbers = this.#numbers;
    const from = this.#laneAt(0, lane);
    const end = from + this.spec.slices;
    // Four sums at once, since one long chain of additions would wait for each of them.
    let [a, b, c, d] = [0, 0, 0, 0];
    let at = from;
    for (; at + 3 < end; at += 4) {
      a += numbers[at]!;
      b += numbers[at + 1]!;
      c += numbers[at + 2]!;
      d += numbers[at + 3]!;
    }
    for (; at < end; at++) a += numbers[at]!;
    return a + b + (c + d);
  }

  /**
   * Head, recent readings, and the slices that hold readings: place u8, count u32, lanes f64. Equal content gives equal
   * bytes, wherever the ring of the recent readings begins.
   */
  write(to: Writer): void {
    const { slices, lanes } = this.spec;
    for (let at = 0; at < RECENT; at++) to.f64(this.#numbers[this.#base + at]!);
    const recent = this.recent(Number.NEGATIVE_INFINITY);
    to.f64(0);
    to.f64(recent.length);
    for (const [ts, value] of recent) {
      to.f64(ts);
      to.f64(value);
    }
    let held = 0;
    for (let place = 0; place < slices; place++) if (this.#counts[this.#countAt(place)]! > 0) held++;
    to.u8(held);
    for (let place = 0; place < slices; place++) {
      const count = this.#counts[this.#countAt(place)]!;
      if (count === 0) continue;
      to.u8(place);
      to.u32(count);
      for (let lane = 0; lane < lanes.length; lane++) to.f64(this.#numbers[this.#laneAt(place, lane)]!);
    }
  }

  /** Reads what `write` wrote. */
  read(from: Reader): void {
    this.clear();
    const head = Array.from({ length: RECENT }, () => from.f64());
    from.f64();
    const length = from.f64();
    for (let i = 0; i < length; i++) addRecent(this.#numbers, this.#base + RECENT, from.f64(), from.f64());
    this.#numbers.set(head, this.#base);
    for (let held = from.u8(); held > 0; held--) {
      const place = from.u8();
      this.#counts[this.#countAt(place)] = from.u32();
      for (let lane = 0; lane < this.spec.lanes.length; lane++) {
        this.#numbers[this.#laneAt(place, lane)] = from.f64();
      }
    }
  }

  #laneAt(place: number, lane: number): number {
    return this.#base + SLICES + lane * this.spec.slices + place;
  }

  #countAt(place: number): number {
    return 2 * this.#laneAt(0, this.spec.lanes.length) + place;
  }

  /** Slice number s is at place s mod slices. */
  #placeOf(slice: number): number {
    const { slices } = this.spec;
    return slice - Math.floor(slice / slices) * slices;
  }

  #empty(place: number): void {
    const { lanes } = this.spec;
    for (let lane = 0; lane < lanes.length; lane++) this.#numbers[this.#laneAt(place, lane)] = lanes[lane]!;
    this.#counts[this.#countAt(place)] = 0;
  }

  /** Makes `slice` the newest, and empties the slices that leave the window. */
  #advance(slice: number): void {
    const { slices } = this.spec;
    const numbers = this.#numbers;
    const steps = Math.min(slice - this.slice, slices);
    for (let i = 0; i < steps; i++) {
      const place = this.#placeOf(slice - i);
      numbers[this.#base + COUNT]! -= this.#counts[this.#countAt(place)]!;
      this.#empty(place);
    }
    numbers[this.#base + SLICE] = slice;
    this.#total();
  }

  #total(): void {
    const { keeps } = this.spec;
    const at = this.#base + TOTAL;
    if (keeps === 'sum' || keeps === 'power') this.#numbers[at] = this.sum(0);
    else if (keeps === 'min') this.#numbers[at] = this.least(0);
    else if (keeps === 'max') this.#numbers[at] = this.most(0);
  }

  #add(slice: number, ts: number, value: number): void {
    const { keeps, slices, sliceMs, shift } = this.spec;
    const numbers = this.#numbers;
    const place = this.#placeOf(slice);
    const at = this.#laneAt(place, 0);
    const total = this.#base + TOTAL;
    numbers[this.#base + COUNT]! += 1;
    this.#counts[this.#countAt(place)]! += 1;
    if (keeps === 'sum') {
      numbers[at]! += value - shift;
      numbers[total]! += value - shift;
    } else if (keeps === 'power') {
      const power = powerOf(value - shift);
      numbers[at]! += power;
      numbers[total]! += power;
    } else if (keeps === 'direction') {
      numbers[at]! += sineOf(value);
      numbers[at + slices]! += cosineOf(value);
    } else if (keeps === 'counted' || keeps === 'changed' || keeps === 'held') {
      this.#count(at, ts, value);
    } else if (keeps === 'min') {
      if (value < numbers[at]!) numbers[at] = value;
      if (value < numbers[total]!) numbers[total] = value;
    } else if (keeps === 'max') {
      if (value > numbers[at]!) numbers[at] = value;
      if (value > numbers[total]!) numbers[total] = value;
    } else if (keeps === 'moments') {
      if (numbers[this.#base + FIRST] === Number.POSITIVE_INFINITY) numbers[this.#base + EXTRA] = value;
      const distance = value - numbers[this.#base + EXTRA]!;
      numbers[at]! += distance;
      numbers[at + slices]! += distance * distance;
    } else if (keeps === 'ends') {
      if (ts < numbers[at]!) {
        numbers[at] = ts;
        numbers[at + slices] = value;
      }
    } else if (keeps === 'range') {
      if (value < numbers[at]!) numbers[at] = value;
      if (value > numbers[at + slices]!) numbers[at + slices] = value;
      if (ts < numbers[at + 2 * slices]!) numbers[at + 2 * slices] = ts;
    } else if (keeps === 'line') {
      const t = (ts - slice * sliceMs) / HOUR_MS;
      numbers[at]! += t;
      numbers[at + slices]! += value;
      numbers[at + 2 * slices]! += t * t;
      numbers[at + 3 * slices]! += t * value;
      if (ts < numbers[at + 4 * slices]!) numbers[at + 4 * slices] = ts;
    }
  }

  /** A late reading between the oldest and the newest of its slice changes nothing: both ends count all of it. */
  #count(at: number, ts: number, value: number): void {
    const { slices } = this.spec;
    const numbers = this.#numbers;
    const [oldest, first, newest] = [at, at + slices, at + 2 * slices];
    const [last, counted] = [at + 3 * slices, at + 4 * slices];
    const isOnly = numbers[oldest] === Number.POSITIVE_INFINITY;
    const isLater = ts > numbers[newest]!;
    const isEarlier = ts < numbers[oldest]!;
    if (!isOnly && isLater) numbers[counted]! += stepOf(this.spec, [numbers[newest]!, numbers[last]!], [ts, value]);
    if (!isOnly && isEarlier) numbers[counted]! += stepOf(this.spec, [ts, value], [numbers[oldest]!, numbers[first]!]);
    if (isEarlier) [numbers[oldest], numbers[first]] = [ts, value];
    if (isLater) [numbers[newest], numbers[last]] = [ts, value];
  }
}
