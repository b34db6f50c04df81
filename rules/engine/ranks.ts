import type { Reader, Writer } from './bytes.ts';

/** In a slice with more entries than this two are merged. */
const MOST_A_SLICE = 64;

/**
 * The readings of a window in order of size, for percentiles. Exact while no slice holds more than 64. In a fuller
 * slice the two neighbours with the least weight together become one entry with the weight of both.
 */
export class Ranks {
  #values = new Float64Array(8);
  #slices = new Float64Array(8);
  #weights = new Float64Array(8);
  #length = 0;
  /** Which of two entries of equal weight stays next. */
  #higher = false;

  /** Removes the slices before `oldest`. */
  expire(oldest: number): void {
    this.#keep((at) => this.#slices[at]! >= oldest);
  }

  add(slice: number, value: number): void {
    if (this.#length === this.#values.length) this.#grow();
    const length = this.#length++;
    let at = length;
    while (at > 0 && this.#values[at - 1]! > value) at--;
    for (const column of [this.#values, this.#slices, this.#weights]) column.copyWithin(at + 1, at, length);
    this.#values[at] = value;
    this.#slices[at] = slice;
    this.#weights[at] = 1;
    this.#thin(slice);
  }

  /** The value at the nearest rank, ⌊q·n + 0.5⌋ counted from 1, at least 1; NaN without readings. */
  percentile(q: number, n: number): number {
    const rank = Math.max(1, Math.floor(q * n + 0.5));
    let below = 0;
    for (let at = 0; at < this.#length; at++) {
      below += this.#weights[at]!;
      if (below >= rank) return this.#values[at]!;
    }
    return Number.NaN;
  }

  write(to: Writer): void {
    to.u8(Number(this.#higher));
    to.u32(this.#length);
    for (let at = 0; at < this.#length; at++) {
      to.f64(this.#values[at]!);
      to.f64(this.#slices[at]!);
      to.f64(this.#weights[at]!);
    }
  }

  read(from: Reader): void {
    this.#higher = from.u8() === 1;
    this.#length = from.u32();
    while (this.#values.length < this.#length) this.#grow();
    for (let at = 0; at < this.#length; at++) {
      this.#values[at] = from.f64();
      this.#slices[at] = from.f64();
      this.#weights[at] = from.f64();
    }
  }

  #thin(slice: number): void {
    let entries = 0;
    let before = -1;
    let [left, right, least] = [-1, -1, Number.POSITIVE_INFINITY];
    for (let at = 0; at < this.#length; at++) {
      if (this.#slices[at] !== slice) continue;
      entries++;
      const together = before < 0 ? Number.POSITIVE_INFINITY : this.#weights[before]! + this.#weights[at]!;
      if (together < least) [left, right, least] = [before, at, together];
      before = at;
    }
    if (entries <= MOST_A_SLICE) return;
    this.#higher = !this.#higher;
    const [a, b] = [this.#weights[left]!, this.#weights[right]!];
    const [kept, dropped] = a > b || (a === b && this.#higher) ? [left, right] : [right, left];
    this.#weights[kept] = least;
    this.#keep((at) => at !== dropped);
  }

  #keep(wanted: (at: number) => boolean): void {
    let to = 0;
    for (let at = 0; at < this.#length; at++) {
      if (!wanted(at)) continue;
      this.#values[to] = this.#values[at]!;
      this.#slices[to] = this.#slices[at]!;
      this.#weights[to] = this.#weights[at]!;
      to++;
    }
    this.#length = to;
  }

  #grow(): void {
    const grown = (column: Float64Array) => {
      const larger = new Float64Array(2 * column.length);
      larger.set(column);
      return larger;
    };
    this.#values = grown(this.#values);
    this.#slices = grown(this.#slices);
    this.#weights = grown(this.#weights);
  }
}
