/** The key of a reading, and the message it came with. */
export interface SeenPlace {
  device: number;
  /** Index of its metric, shifted right by five; `HASHED_LANE` for what has no metric. */
  lane: number;
  ts: number;
  /** Number of the oldest message that still counts. */
  horizon: number;
  /** Number of the message it came with. */
  position: number;
}

/** Uplinks are keys beside the metrics, in a lane that no metric table reaches. Their `ts` is a hash, not a time. */
export const HASHED_LANE = 255;

/** What an entry counts for towards the horizon, and each of its hashes, bytes. */
export const ENTRY_BYTES = 24;
export const HASH_BYTES = 4;

/**
 * How many entries of one key a search looks at: a key that gets one value after the other must not make every next
 * search longer. A metric that none of these brought is new.
 */
const MOST_VERSIONS = 256;

const doubles = new Float64Array(1);
const words = new Int32Array(doubles.buffer);

/** Returns a hash of a value, 32 bits; equal for 0 and -0. */
export function hashValue(value: number): number {
  doubles[0] = value + 0;
  return Math.imul(words[0]!, 0x9e3779b1) ^ Math.imul(words[1]!, 0x85ebca6b);
}

/** Returns a hash of a key, 32 bits. Who does not know the seed cannot send keys that share one. */
export function hashKey({ device, lane, ts }: SeenPlace, seed: number): number {
  doubles[0] = ts + 0;
  const low = mixed(seed ^ words[0]!);
  return mixed(mixed(low ^ words[1]!) ^ Math.imul(device, 0x9e3779b1) ^ lane);
}

/** The last step of MurmurHash3: every bit of the result depends on every bit of the number. */
export function mixed(number: number): number {
  let at = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  at = Math.imul(at ^ (at >>> 13), 0xc2b2ae35);
  return at ^ (at >>> 16);
}

export function bitCount(mask: number): number {
  let rest = mask - ((mask >>> 1) & 0x55555555);
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333);
  return Math.imul((rest + (rest >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Words of an entry before its hashes: device, lane, mask. Hashes are in the order of their bits. */
const HEAD_WORDS = 3;

/** Collects what a search finds, from the newest entry to the oldest. One object is used again and again. */
export class Search {
  found = 0;
  /** The metrics among those found whose value was different. */
  changed = 0;
  place!: SeenPlace;
  #mask = 0;
  #hashes!: Int32Array;
  #within: number | null = null;
  #versions = 0;

  /** With `within`, hashes are numbers, and only entries whose number is not further away are found. */
  begin(place: SeenPlace, mask: number, hashes: Int32Array, within: number | null): void {
    this.#within = within;
    this.place = place;
    this.#mask = mask;
    this.#hashes = hashes;
    this.#versions = 0;
    this.found = 0;
    this.changed = 0;
  }

  /** Looks at an entry of this key. Returns whether the search is over. */
  visit(position: number, entry: Int32Array, at: number): boolean {
    if (position >= this.place.position) return false;
    if (position < this.place.horizon || ++this.#versions > MOST_VERSIONS) return true;
    const mask = entry[at + 2]!;
    let here = mask & this.#mask & ~this.found;
    for (let rest = here; rest !== 0; rest &= rest - 1) {
      const bit = 31 - Math.clz32(rest & -rest);
      const hash = entry[at + HEAD_WORDS + bitCount(mask & ((1 << bit) - 1))]!;
      if (this.#within !== null && Math.abs(hash - this.#hashes[bit]!) > this.#within) here &= ~(1 << bit);
      else if (hash !== this.#hashes[bit]) this.changed |= 1 << bit;
    }
    this.found |= here;
    return this.found === this.#mask;
  }
}

/** Entries in the order they were added, found by their keys. */
export class EntryTable {
  count = 0;
  /** Messages of the first and of the newest entry. */
  first = 0;
  last = 0;
  /** Times of the oldest and newest entry, without those of `HASHED_LANE`. */
  from = Number.POSITIVE_INFINITY;
  to = Number.NEGATIVE_INFINITY;
  #ts = new Float64Array(256);
  #position = new Float64Array(256);
  /** Where an entry begins in `#words`, its hash, and the entry before it in the list of its bucket. */
  #at = new Int32Array(256);
  #hash = new Int32Array(256);
  #before = new Int32Array(256);
  #words = new Int32Array(2_048);
  #used = 0;
  /** The newest entry of each bucket; -1 where there is none. */
  #buckets = new Int32Array(512).fill(-1);

  add(place: SeenPlace, hash: number, mask: number, hashes: Int32Array): void {
    const { device, lane, ts, position } = place;
    this.#makeRoom();
    const i = this.count++;
    const entry = this.#words;
    this.#ts[i] = ts;
    this.#position[i] = position;
    this.#at[i] = this.#used;
    this.#hash[i] = hash;
    entry[this.#used++] = device;
    entry[this.#used++] = lane;
    entry[this.#used++] = mask;
    for (let rest = mask; rest !== 0; rest &= rest - 1) {
      entry[this.#used++] = hashes[31 - Math.clz32(rest & -rest)]!;
    }
    const bucket = hash & (this.#buckets.length - 1);
    this.#before[i] = this.#buckets[bucket]!;
    this.#buckets[bucket] = i;
    if (i === 0) this.first = position;
    this.last = position;
    if (lane === HASHED_LANE) return;
    if (ts < this.from) this.from = ts;
    if (ts > this.to) this.to = ts;
  }

  /** Shows a search the entries of its key, the newest first. Returns whether it is over. */
  search(search: Search, hash: number): boolean {
    const { device, lane, ts } = search.place;
    for (let i = this.#buckets[hash & (this.#buckets.length - 1)]!; i >= 0; i = this.#before[i]!) {
      const at = this.#at[i]!;
      if (this.#ts[i] !== ts || this.#words[at] !== device || this.#words[at + 1] !== lane) continue;
      if (search.visit(this.#position[i]!, this.#words, at)) return true;
    }
    return false;
  }

  /** Entries from one on, in the layout of a row of `seen`: ts and position of each, then the words of all. */
  blob(from: number): Uint8Array {
    const count = this.count - from;
    const first = count === 0 ? this.#used : this.#at[from]!;
    const blob = new Uint8Array(8 + count * 16 + (this.#used - first) * 4);
    new DataView(blob.buffer).setUint32(0, count, true);
    const numbers = new Float64Array(blob.buffer, 8, count * 2);
    for (let i = 0; i < count; i++) {
      numbers[i * 2] = this.#ts[from + i]!;
      numbers[i * 2 + 1] = this.#position[from + i]!;
    }
    new Int32Array(blob.buffer, 8 + count * 16).set(this.#words.subarray(first, this.#used));
    return blob;
  }

  /** Calls `visit` with the hash of each entry. */
  eachHash(visit: (hash: number) => void): void {
    for (let i = 0; i < this.count; i++) visit(this.#hash[i]!);
  }

  /** Returns the entries as pages: which one an entry is on is what `pageOf` says of its hash. */
  pages(count: number, pageOf: (hash: number) => number): Uint8Array[] {
    const entries = new Int32Array(count);
    const size = new Int32Array(count);
    const end = (i: number) => (i + 1 < this.count ? this.#at[i + 1]! : this.#used);
    for (let i = 0; i < this.count; i++) {
      const page = pageOf(this.#hash[i]!);
      entries[page]!++;
      size[page]! += end(i) - this.#at[i]!;
    }
    const writers = Array.from(entries, (some, page) => new PageWriter(some, size[page]!));
    for (let i = 0; i < this.count; i++) {
      const writer = writers[pageOf(this.#hash[i]!)]!;
      writer.add(this.#ts[i]!, this.#position[i]!, this.#words.subarray(this.#at[i], end(i)));
    }
    return writers.map(({ bytes }) => bytes);
  }

  /** Forgets all entries; its memory is used again. */
  clear(): void {
    this.count = 0;
    this.#used = 0;
    this.#buckets.fill(-1);
    this.from = Number.POSITIVE_INFINITY;
    this.to = Number.NEGATIVE_INFINITY;
  }

  #makeRoom(): void {
    if (this.#used + HEAD_WORDS + 32 > this.#words.length) {
      const wider = new Int32Array(this.#words.length * 2);
      wider.set(this.#words);
      this.#words = wider;
    }
    if (this.count < this.#ts.length) return;
    const length = this.count * 2;
    const doubled = <T extends Float64Array | Int32Array>(wider: T, old: T): T => {
      wider.set(old);
      return wider;
    };
    this.#ts = doubled(new Float64Array(length), this.#ts);
    this.#position = doubled(new Float64Array(length), this.#position);
    this.#at = doubled(new Int32Array(length), this.#at);
    this.#hash = doubled(new Int32Array(length), this.#hash);
    this.#before = new Int32Array(length);
    this.#buckets = new Int32Array(length * 2).fill(-1);
    for (let i = 0; i < this.count; i++) {
      const bucket = this.#hash[i]! & (this.#buckets.length - 1);
      this.#before[i] = this.#buckets[bucket]!;
      this.#buckets[bucket] = i;
    }
  }
}

/** Reads what `blob` returned. */
export function readEntries(blob: Uint8Array, visit: (at: SeenPlace, mask: number, hashes: Int32Array) => void): void {
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

/** The layout of a page: how many entries; ts of each, position of each, where each begins; then their words. */
class PageWriter {
  readonly bytes: Uint8Array;
  readonly #ts: Float64Array;
  readonly #position: Float64Array;
  readonly #at: Int32Array;
  readonly #words: Int32Array;
  #count = 0;
  #used = 0;

  constructor(entries: number, wordsOfAll: number) {
    const buffer = new ArrayBuffer(8 + entries * 20 + wordsOfAll * 4);
    this.bytes = new Uint8Array(buffer);
    new DataView(buffer).setUint32(0, entries, true);
    this.#ts = new Float64Array(buffer, 8, entries);
    this.#position = new Float64Array(buffer, 8 + entries * 8, entries);
    this.#at = new Int32Array(buffer, 8 + entries * 16, entries);
    this.#words = new Int32Array(buffer, 8 + entries * 20, wordsOfAll);
  }

  add(ts: number, position: number, entry: Int32Array): void {
    const i = this.#count++;
    this.#ts[i] = ts;
    this.#position[i] = position;
    this.#at[i] = this.#used;
    this.#words.set(entry, this.#used);
    this.#used += entry.length;
  }
}

/** A page that is read. */
export class Page {
  readonly bytes: number;
  readonly #ts: Float64Array;
  readonly #position: Float64Array;
  readonly #at: Int32Array;
  readonly #words: Int32Array;

  constructor(blob: Uint8Array) {
    // The numbers begin at multiples of eight bytes of the buffer.
    const { buffer } = blob.byteOffset === 0 ? blob : blob.slice();
    const entries = new DataView(buffer).getUint32(0, true);
    this.bytes = blob.length;
    this.#ts = new Float64Array(buffer, 8, entries);
    this.#position = new Float64Array(buffer, 8 + entries * 8, entries);
    this.#at = new Int32Array(buffer, 8 + entries * 16, entries);
    this.#words = new Int32Array(buffer, 8 + entries * 20, (blob.length - 8 - entries * 20) / 4);
  }

  /** Shows a search the entries of its key, the newest first. Returns whether it is over. */
  search(search: Search): boolean {
    const { device, lane, ts } = search.place;
    for (let i = this.#ts.length - 1; i >= 0; i--) {
      if (this.#ts[i] !== ts) continue;
      const at = this.#at[i]!;
      if (this.#words[at] !== device || this.#words[at + 1] !== lane) continue;
      if (search.visit(this.#position[i]!, this.#words, at)) return true;
    }
    return false;
  }
}
