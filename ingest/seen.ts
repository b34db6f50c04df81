/**
 * The keys (device, metric, ts) that were accepted before, and a hash of each value. It depends on the journal alone.
 * Each
 * entry carries the number of the message that brought it, so a consumer gets the same result however far behind it is:
 * a
 * key counts as seen if an earlier message within the horizon brought it.
 *
 * An entry covers one device, one timestamp and up to 32 metrics (a lane of the metric table), with a 32-bit hash of
 * each
 * value: two different values are taken for equal once in four billion. Devices mostly send in time order, and then a
 * look-up costs one comparison.
 */
export class SeenKeys {
  /** After `find`: the metrics among those found whose value was different. */
  changed = 0;
  readonly #series: (SeenSeries | undefined)[][] = [];
  #added = new EntryLog();
  /** Number of the oldest message that any consumer may still need. */
  #keepFrom = 0;

  /**
   * Returns which of the metrics in `mask` (bits of `lane`) were accepted for this timestamp by messages in
   * `[horizon, position)`. `hashes` holds the hash of each value at the index of its bit. Sets `changed`.
   */
  find(at: SeenPlace, mask: number, hashes: Int32Array): number {
    this.changed = 0;
    const series = this.#series[at.device]?.[at.lane];
    if (series === undefined || at.ts > series.newest) return 0;
    const found = series.find(at, mask, hashes);
    this.changed = series.changed;
    return found;
  }

  /** Records metrics as accepted by the message `at.position`. */
  add(at: SeenPlace, mask: number, hashes: Int32Array): void {
    let lanes = this.#series[at.device];
    if (lanes === undefined) {
      lanes = [];
      this.#series[at.device] = lanes;
    }
    let series = lanes[at.lane];
    if (series === undefined) {
      series = new SeenSeries();
      lanes[at.lane] = series;
    }
    series.insert(at, mask, hashes, this.#keepFrom);
    this.#added.push(at, mask, hashes);
  }

  /** Returns what was added and is not yet in the state file, null where nothing was. `last` is its newest message. */
  added(): { blob: Uint8Array; last: number; count: number } | null {
    const { count, last } = this.#added;
    return count === 0 ? null : { blob: this.#added.blob(), last, count };
  }

  /** Confirms that the state file holds what `added` returned. Throws if anything was added in between. */
  confirmAdded(saved: { count: number } | null): void {
    if (saved === null) return;
    if (saved.count !== this.#added.count) throw new Error('keys were added during the transaction that saved them');
    this.#added = new EntryLog();
  }

  /** Reads back what `added` returned. */
  restore(blob: Uint8Array): void {
    readEntries(blob, (at, mask, hashes) => this.add(at, mask, hashes));
    this.#added = new EntryLog();
  }

  /** Frees the entries of messages before `keepFrom`, also those of devices that no longer send. */
  prune(keepFrom: number): void {
    this.#keepFrom = keepFrom;
    for (const lanes of this.#series) {
      for (const series of lanes ?? []) series?.prune(keepFrom);
    }
  }
}

/** The key of a reading, and the message it came with. */
export interface SeenPlace {
  device: number;
  /** Index of its metric, shifted right by five. */
  lane: number;
  ts: number;
  /** Number of the oldest message that still counts. */
  horizon: number;
  /** Number of the message it came with. */
  position: number;
}

const doubles = new Float64Array(1);
const words = new Int32Array(doubles.buffer);

/** Returns a hash of a value, 32 bits; equal for 0 and -0. */
export function hashValue(value: number): number {
  doubles[0] = value + 0;
  return Math.imul(words[0]!, 0x9e3779b1) ^ Math.imul(words[1]!, 0x85ebca6b);
}

function bitCount(mask: number): number {
  let rest = mask - ((mask >>> 1) & 0x55555555);
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333);
  return Math.imul((rest + (rest >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * Entries of one device and lane, sorted by ts, the newest message first within one ts. Live entries are `start` to
 * `end`.
 */
class SeenSeries {
  newest = Number.NEGATIVE_INFINITY;
  changed = 0;
  #ts = new Float64Array(16);
  #position = new Float64Array(16);
  #mask = new Int32Array(16);
  /** Index in the pool of an entry's first hash; hashes are in the order of their bits. */
  #at = new Int32Array(16);
  #pool = new Int32Array(32);
  #used = 0;
  #start = 0;
  #end = 0;

  find({ ts, horizon, position }: SeenPlace, mask: number, hashes: Int32Array): number {
    let found = 0;
    this.changed = 0;
    for (let i = this.#lowerBound(ts); i < this.#end && this.#ts[i] === ts; i++) {
      const at = this.#position[i]!;
      if (at < horizon || at >= position) continue;
      const here = this.#mask[i]! & mask & ~found;
      found |= here;
      for (let rest = here; rest !== 0; rest &= rest - 1) {
        const bit = 31 - Math.clz32(rest & -rest);
        const hash = this.#pool[this.#at[i]! + bitCount(this.#mask[i]! & ((1 << bit) - 1))];
        if (hash !== hashes[bit]) this.changed |= 1 << bit;
      }
    }
    return found;
  }

  insert({ ts, position }: SeenPlace, mask: number, hashes: Int32Array, keepFrom: number): void {
    while (this.#start < this.#end && this.#position[this.#start]! < keepFrom) this.#start++;
    if (this.#end === this.#ts.length || this.#used + 32 > this.#pool.length) this.#makeRoom();
    let at = this.#end;
    if (ts > this.newest) this.newest = ts;
    else {
      at = this.#lowerBound(ts);
      for (const column of [this.#ts, this.#position, this.#mask, this.#at]) column.copyWithin(at + 1, at, this.#end);
    }
    this.#ts[at] = ts;
    this.#position[at] = position;
    this.#mask[at] = mask;
    this.#at[at] = this.#used;
    for (let rest = mask; rest !== 0; rest &= rest - 1) {
      this.#pool[this.#used++] = hashes[31 - Math.clz32(rest & -rest)]!;
    }
    this.#end++;
  }

  prune(keepFrom: number): void {
    let kept = 0;
    for (let i = this.#start; i < this.#end; i++) if (this.#position[i]! >= keepFrom) kept++;
    if (kept === this.#end - this.#start && this.#ts.length <= kept * 4) return;
    this.#rebuild(Math.max(16, kept * 2), keepFrom);
  }

  #makeRoom(): void {
    const live = this.#end - this.#start;
    this.#rebuild(live > this.#ts.length / 2 ? live * 2 : this.#ts.length, 0);
  }

  /**
   * Copies the live entries from message `keepFrom` on into columns of a new length, and their hashes into a new pool.
   */
  #rebuild(length: number, keepFrom: number): void {
    const [ts, position, mask, at] = [this.#ts, this.#position, this.#mask, this.#at];
    const [start, end, pool] = [this.#start, this.#end, this.#pool];
    this.#ts = new Float64Array(length);
    this.#position = new Float64Array(length);
    this.#mask = new Int32Array(length);
    this.#at = new Int32Array(length);
    let needed = 0;
    for (let i = start; i < end; i++) if (position[i]! >= keepFrom) needed += bitCount(mask[i]!);
    this.#pool = new Int32Array(Math.max(64, needed * 2 + 32));
    this.#start = this.#end = this.#used = 0;
    for (let i = start; i < end; i++) {
      if (position[i]! < keepFrom) continue;
      this.#ts[this.#end] = ts[i]!;
      this.#position[this.#end] = position[i]!;
      this.#mask[this.#end] = mask[i]!;
      this.#at[this.#end++] = this.#used;
      const hashes = bitCount(mask[i]!);
      for (let j = 0; j < hashes; j++) this.#pool[this.#used++] = pool[at[i]! + j]!;
    }
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

/**
 * Entries in the order they were added, in the layout of the state file: ts and position of all, then device, lane,
 * mask and
 * hashes of each.
 */
class EntryLog {
  count = 0;
  last = 0;
  #doubles = new Float64Array(64);
  #words = new Int32Array(256);
  #used = 0;

  push({ device, lane, ts, position }: SeenPlace, mask: number, hashes: Int32Array): void {
    if (this.count * 2 === this.#doubles.length) this.#doubles = twice(this.#doubles, new Float64Array(this.count * 4));
    if (this.#used + 35 > this.#words.length) this.#words = twice(this.#words, new Int32Array(this.#words.length * 2));
    this.#doubles[this.count * 2] = ts;
    this.#doubles[this.count * 2 + 1] = position;
    this.#words[this.#used++] = device;
    this.#words[this.#used++] = lane;
    this.#words[this.#used++] = mask;
    for (let rest = mask; rest !== 0; rest &= rest - 1) {
      this.#words[this.#used++] = hashes[31 - Math.clz32(rest & -rest)]!;
    }
    this.last = position;
    this.count++;
  }

  blob(): Uint8Array {
    const numbers = new Uint8Array(this.#doubles.buffer, 0, this.count * 16);
    const rest = new Uint8Array(this.#words.buffer, 0, this.#used * 4);
    const blob = new Uint8Array(8 + numbers.length + rest.length);
    new DataView(blob.buffer).setUint32(0, this.count, true);
    blob.set(numbers, 8);
    blob.set(rest, 8 + numbers.length);
    return blob;
  }
}

function twice<T extends Float64Array | Int32Array>(old: T, wider: T): T {
  wider.set(old);
  return wider;
}

function readEntries(blob: Uint8Array, visit: (at: SeenPlace, mask: number, hashes: Int32Array) => void): void {
  const { buffer } = blob.slice();
  const count = new DataView(buffer).getUint32(0, true);
  const numbers = new Float64Array(buffer, 8, count * 2);
  const rest = new Int32Array(buffer, 8 + count * 16);
  const hashes = new Int32Array(32);
  for (let i = 0, at = 0; i < count; i++) {
    const place = { device: rest[at++]!, lane: rest[at++]!, ts: numbers[i * 2]!, horizon: 0, position: 0 };
    place.position = numbers[i * 2 + 1]!;
    const mask = rest[at++]!;
    for (let bits = mask; bits !== 0; bits &= bits - 1) hashes[31 - Math.clz32(bits & -bits)] = rest[at++]!;
    visit(place, mask, hashes);
  }
}
