/** What is compared: the newest event time of its series, and its figure; NaN while it has none. */
export interface Peer {
  readonly newest: number;
  value(): number;
}

const LEAST = 3;

/**
 * The figures of one clause for all devices of a profile and district, kept in order of size, so that the median costs no
 * look at each of them. Those that were too old at the last look at all are left out; where that, or a new one that became
 * too old since, could make a difference to who asks, all are looked at again.
 */
export class Peers {
  readonly #all = new Set<Peer>();
  readonly #left = new Set<Peer>();
  #sorted = new Float64Array(8);
  #length = 0;
  #ready = false;
  /** No figure in `sorted` is of a reading older than this. */
  #oldest = Number.POSITIVE_INFINITY;
  /** None that was left out is of one newer than this. */
  #newestLeft = Number.NEGATIVE_INFINITY;

  add(peer: Peer): void {
    this.#all.add(peer);
    this.#ready = false;
  }

  delete(peer: Peer): void {
    this.#all.delete(peer);
    this.#ready = false;
  }

  /** Figures have come from elsewhere. */
  reset(): void {
    this.#ready = false;
  }

  /** One has taken a reading; `before` is what its figure was. */
  changed(peer: Peer, before: number): void {
    if (!this.#ready) return;
    if (!this.#left.delete(peer) && !Number.isNaN(before)) this.#remove(before);
    const now = peer.value();
    if (Number.isNaN(now)) return;
    this.#insert(now);
    this.#oldest = Math.min(this.#oldest, peer.newest);
  }

  /** Of the others whose newest reading is at most `withinMs` older than that of `peer`, which has a figure; NaN with fewer than three. */
  median(peer: Peer, withinMs: number): number {
    const fromMs = peer.newest - withinMs;
    if (!this.#ready || this.#oldest < fromMs) this.#lookAtAll(fromMs);
    if (this.#newestLeft >= fromMs) return this.#medianOfAll(peer, fromMs);
    const own = this.#placeOf(peer.value());
    return middle(this.#length - 1, (at) => this.#sorted[at < own ? at : at + 1]!);
  }

  #lookAtAll(fromMs: number): void {
    this.#left.clear();
    this.#oldest = Number.POSITIVE_INFINITY;
    this.#newestLeft = Number.NEGATIVE_INFINITY;
    const figures: number[] = [];
    for (const peer of this.#all) {
      const value = peer.value();
      if (Number.isNaN(value)) continue;
      if (peer.newest >= fromMs) {
        figures.push(value);
        this.#oldest = Math.min(this.#oldest, peer.newest);
      } else {
        this.#left.add(peer);
        this.#newestLeft = Math.max(this.#newestLeft, peer.newest);
      }
    }
    this.#length = figures.length;
    if (this.#sorted.length < figures.length) this.#sorted = new Float64Array(2 * figures.length);
    this.#sorted.set(figures);
    this.#sorted.subarray(0, this.#length).sort();
    this.#ready = true;
  }

  #medianOfAll(peer: Peer, fromMs: number): number {
    const figures: number[] = [];
    for (const one of this.#all) {
      const value = one !== peer && one.newest >= fromMs ? one.value() : Number.NaN;
      if (!Number.isNaN(value)) figures.push(value);
    }
    figures.sort((a, b) => a - b);
    return middle(figures.length, (at) => figures[at]!);
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

  /** The first that is not smaller. */
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

/** Of `length` values in order; of an even number the mean of the middle two. */
function middle(length: number, valueAt: (at: number) => number): number {
  if (length < LEAST) return Number.NaN;
  const upper = length >> 1;
  return length % 2 === 1 ? valueAt(upper) : (valueAt(upper - 1) + valueAt(upper)) / 2;
}
