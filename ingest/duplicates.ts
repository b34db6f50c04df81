/**
 * Which (device, metric, ts) were accepted before: a function of the journal alone. Each entry carries the number of the
 * message that brought it, so that any consumer, however far behind, gets the answer as it was at its own place:
 * a reading is a duplicate if its key came with an earlier message that still lies within the horizon.
 *
 * An entry stands for one device, one timestamp and up to 32 metrics (a lane of the metric table). Devices mostly send
 * in time order: then finding out costs one comparison.
 */
export class Duplicates {
  readonly #series: (SeenSeries | undefined)[][] = [];
  #added: number[] = [];

  /**
   * Which of the metrics in `mask` (bits of `lane`) were accepted for this timestamp by messages in
   * `[horizon, position)`.
   */
  seen(device: number, lane: number, ts: number, mask: number, horizon: number, position: number): number {
    const series = this.#series[device]?.[lane];
    if (series === undefined || ts > series.newest) return 0;
    return series.find(ts, horizon, position) & mask;
  }

  /** Notes metrics as accepted by the message `position`. Entries before `horizon` may go. */
  add(device: number, lane: number, ts: number, mask: number, horizon: number, position: number): void {
    let lanes = this.#series[device];
    if (lanes === undefined) {
      lanes = [];
      this.#series[device] = lanes;
    }
    let series = lanes[lane];
    if (series === undefined) {
      series = new SeenSeries();
      lanes[lane] = series;
    }
    series.insert(ts, mask, horizon, position);
    this.#added.push(device, lane, ts, mask, position);
  }

  /** What was added and is not yet in the state file; null where nothing was. `last` is its newest message. */
  added(): { blob: Uint8Array; last: number; count: number } | null {
    const count = this.#added.length;
    if (count === 0) return null;
    return { blob: new Uint8Array(Float64Array.from(this.#added).buffer), last: this.#added.at(-1)!, count };
  }

  /** The state file has what `added` gave. Nothing may be added between the two. */
  forgetAdded(saved: { count: number } | null): void {
    if (saved === null) return;
    if (saved.count !== this.#added.length) throw new Error('keys were added during the transaction that saved them');
    this.#added = [];
  }

  /** Reads back what `added` gave. */
  restore(blob: Uint8Array): void {
    const numbers = new Float64Array(blob.slice().buffer);
    for (let i = 0; i < numbers.length; i += 5) {
      this.add(numbers[i]!, numbers[i + 1]!, numbers[i + 2]!, numbers[i + 3]!, 0, numbers[i + 4]!);
    }
    this.#added = [];
  }

  /** Lets go of entries before `horizon`, also of devices that no longer send. */
  prune(horizon: number): void {
    for (const lanes of this.#series) {
      for (const series of lanes ?? []) series?.prune(horizon);
    }
  }
}

/** Entries of one device and lane, sorted by ts, in growing columns; live ones are `start` to `end`. */
class SeenSeries {
  newest = Number.NEGATIVE_INFINITY;
  #ts = new Float64Array(16);
  #position = new Float64Array(16);
  #mask = new Int32Array(16);
  #start = 0;
  #end = 0;

  find(ts: number, horizon: number, position: number): number {
    let found = 0;
    for (let i = this.#lowerBound(ts); i < this.#end && this.#ts[i] === ts; i++) {
      const at = this.#position[i]!;
      if (at >= horizon && at < position) found |= this.#mask[i]!;
    }
    return found;
  }

  insert(ts: number, mask: number, horizon: number, position: number): void {
    while (this.#start < this.#end && this.#position[this.#start]! < horizon) this.#start++;
    if (this.#end === this.#ts.length) this.#makeRoom();
    let at = this.#end;
    if (ts > this.newest) this.newest = ts;
    else {
      at = this.#lowerBound(ts);
      this.#ts.copyWithin(at + 1, at, this.#end);
      this.#position.copyWithin(at + 1, at, this.#end);
      this.#mask.copyWithin(at + 1, at, this.#end);
    }
    this.#ts[at] = ts;
    this.#position[at] = position;
    this.#mask[at] = mask;
    this.#end++;
  }

  prune(horizon: number): void {
    let kept = 0;
    for (let i = this.#start; i < this.#end; i++) {
      if (this.#position[i]! < horizon) continue;
      this.#ts[kept] = this.#ts[i]!;
      this.#position[kept] = this.#position[i]!;
      this.#mask[kept++] = this.#mask[i]!;
    }
    this.#start = 0;
    this.#end = kept;
    if (this.#ts.length > 64 && kept * 4 < this.#ts.length) this.#resize(Math.max(16, kept * 2));
  }

  #makeRoom(): void {
    if (this.#start > this.#ts.length / 2) {
      const { length } = this.#ts;
      this.#ts.copyWithin(0, this.#start, length);
      this.#position.copyWithin(0, this.#start, length);
      this.#mask.copyWithin(0, this.#start, length);
      this.#end -= this.#start;
      this.#start = 0;
    } else this.#resize(this.#ts.length * 2);
  }

  #resize(length: number): void {
    const ts = new Float64Array(length);
    const position = new Float64Array(length);
    const mask = new Int32Array(length);
    ts.set(this.#ts.subarray(this.#start, this.#end));
    position.set(this.#position.subarray(this.#start, this.#end));
    mask.set(this.#mask.subarray(this.#start, this.#end));
    this.#end -= this.#start;
    this.#start = 0;
    this.#ts = ts;
    this.#position = position;
    this.#mask = mask;
  }

  #lowerBound(ts: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ts[middle]! < ts) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
