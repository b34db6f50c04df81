/** One of the compared series. */
export interface Peer {
  /** Event time of its newest reading. */
  readonly newest: number;
  /** NaN while it has none. */
  value(): number;
}

const LEAST = 3;

/**
 * The values of one clause for all devices of a profile and district, sorted, so that the median does not visit each of
 * them. Values that were too old when the list was built are left out. The list is built again where a value in it has
 * become too old for the caller; where a value that was left out counts for the caller, all peers are visited.
 */
export class Peers {
  readonly #all = new Set<Peer>();
  readonly #left = new Set<Peer>();
  #sorted = new Float64Array(8);
  #length = 0;
  #ready = false;
  /** No value in `sorted` is of a reading older than this. */
  #oldest = Number.POSITIVE_INFINITY;
  /** No value that was left out is of a reading newer than this. */
  #newestLeft = Number.NEGATIVE_INFINITY;

  add(peer: Peer): void {
    this.#all.add(peer);
    this.#ready = false;
  }

  delete(peer: Peer): void {
    this.#all.delete(peer);
    this.#ready = false;
  }

  /** Discards the list after values were restored. */
  reset(): void {
    this.#ready = false;
  }

  /** Updates the list after a peer has added a reading; `before` is its value before that. */
  changed(peer: Peer, before: number): void {
    if (!this.#ready) return;
    if (!this.#left.delete(peer) && !Number.isNaN(before)) this.#remove(before);
    const now = peer.value();
    if (Number.isNaN(now)) return;
    this.#insert(now);
    this.#oldest = Math.min(this.#oldest, peer.newest);
  }

  /**
   * The median of the other peers whose newest reading is at most `withinMs` older than that of `peer`, which must have
   * a value; NaN with fewer than three.
   */
  median(peer: Peer, withinMs: number): number {
    const fromMs = peer.newest - withinMs;
    if (!this.#ready || this.#oldest < fromMs) this.#build(fromMs);
    if (this.#newestLeft >= fromMs) return this.#medianOfAll(peer, fromMs);
    const own = this.#placeOf(peer.value());
    return middle(this.#length - 1, (at) => this.#sorted[at < own ? at : at + 1]!);
  }

  #build(fromMs: number): void {
    this.#left.clear();
    this.#oldest = Number.POSITIVE_INFINITY;
    this.#newestLeft = Number.NEGATIVE_INFINITY;
    const values: number[] = [];
    for (const peer of this.#all) {
      const value = peer.value();
      if (Number.isNaN(value)) continue;
      if (peer.newest >= fromMs) {
        values.push(value);
        this.#oldest = Math.min(this.#oldest, peer.newest);
      } else {
        this.#left.add(peer);
        this.#newestLeft = Math.max(this.#newestLeft, peer.newest);
      }
    }
    this.#length = values.length;
    if (this.#sorted.length < values.length) this.#sorted = new Float64Array(2 * values.length);
    this.#sorted.set(values);
    this.#sorted.subarray(0, this.#length).sort();
    this.#ready = true;
  }

  #medianOfAll(peer: Peer, fromMs: number): number {
    const values: number[] = [];
    for (const one of this.#all) {
      const value = one !== peer && one.newest >= fromMs ? one.value() : Number.NaN;
      if (!Number.isNaN(value)) values.push(value);
    }
    values.sort((a, b) => a - b);
    return middle(values.length, (at) => values[at]!);
  }

  #insert(value: number): void {
    if (this.#length === this.#sorted.length) {
      const larger = new Float64Array(2 * this.#length);
      larger.set(this.#sorted);
      this.#sorted = larger;
    }
    const at = this.#placeOf(value);
    this.#sorted.copyWithin(at + 1, at, this.#length++);
    this.#sorted[at] = value;
  }

  #remove(value: number): void {
    const at = this.#placeOf(value);
    this.#sorted.copyWithin(at, at + 1, this.#length--);
  }

  /** Index of the first value that is not smaller. */
  #placeOf(value: number): number {
    let [low, high] = [0, this.#length];
    while (low < high) {
      const at = (low + high) >>> 1;
      if (this.#sorted[at]! < value) low = at + 1;
      else high = at;
    }
    return low;
  }
}

/** The median of `length` sorted values; of an even number the mean of the middle two. */
function middle(length: number, valueAt: (at: number) => number): number {
  if (length < LEAST) return Number.NaN;
  const upper = length >> 1;
  return length % 2 === 1 ? valueAt(upper) : (valueAt(upper - 1) + valueAt(upper)) / 2;
}
