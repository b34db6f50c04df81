/** What a histogram has counted: how many values were at most each bound, how many there were, and their sum. */
export interface HistogramCounts {
  readonly upTo: readonly (readonly [bound: number, count: number])[];
  readonly count: number;
  readonly sum: number;
}

/** Durations counted into buckets, without an allocation for each of them. */
export class Histogram {
  readonly #bounds: Float64Array;
  /** A place for each bucket, and one for what is above all bounds. */
  readonly #places: Float64Array;
  #sum = 0;

  /** `bounds`: ascending, in the unit of the values. */
  constructor(bounds: readonly number[]) {
    this.#bounds = Float64Array.from(bounds);
    this.#places = new Float64Array(bounds.length + 1);
  }

  /** Counts how long ago each of the first `count` times is. */
  countSince(times: Float64Array, count: number, now: number): void {
    const [bounds, places] = [this.#bounds, this.#places];
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const took = Math.max(0, now - times[i]!);
      sum += took;
      let bucket = 0;
      while (bucket < bounds.length && took > bounds[bucket]!) bucket++;
      places[bucket]!++;
    }
    this.#sum += sum;
  }

  counts(): HistogramCounts {
    let count = 0;
    const upTo = Array.from(this.#bounds, (bound, i) => {
      count += this.#places[i]!;
      return [bound, count] as const;
    });
    return { upTo, count: count + this.#places.at(-1)!, sum: this.#sum };
  }
}
