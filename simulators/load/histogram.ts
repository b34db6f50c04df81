const SUB_BITS = 6;
const SUB = 1 << SUB_BITS;

/**
 * Counts of durations in buckets that grow with the value, as HdrHistogram does: exact below 128 µs and within
 * 1/64 above it, up to 35 minutes, in one fixed array.
 */
export class Histogram {
  readonly #counts = new Float64Array(SUB * (33 - SUB_BITS));
  count = 0;
  maxMicros = 0;

  /** Adds a duration in µs; fractions are dropped, negative ones count as 0. */
  record(micros: number): void {
    const value = micros > 0 ? Math.min(micros, 0x7fffffff) | 0 : 0;
    this.#counts[bucketOf(value)]! += 1;
    this.count += 1;
    if (value > this.maxMicros) this.maxMicros = value;
  }

  /** The smallest bucket bound that the share `p` (0..1) of the durations does not exceed, µs; 0 when empty. */
  percentile(p: number): number {
    const rank = Math.ceil(p * this.count);
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank && seen > 0) return Math.min(upperBound(bucket), this.maxMicros);
    }
    return 0;
  }
}

function bucketOf(value: number): number {
  const shift = Math.max(0, 31 - SUB_BITS - Math.clz32(value));
  return shift * SUB + (value >>> shift);
}

function upperBound(bucket: number): number {
  if (bucket < 2 * SUB) return bucket;
  const shift = Math.floor(bucket / SUB) - 1;
  return (bucket - shift * SUB + 1) * 2 ** shift - 1;
}
