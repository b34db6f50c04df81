/**
 * The keys (device, metric, ts) that were accepted before, and a hash of each value. It depends on the journal alone.
 * Each entry carries the number of the message that brought it, so a consumer gets the same result however far behind
 * it is: a key counts as seen if an earlier message within the horizon brought it.
 *
 * An entry covers one device, one timestamp and up to 32 metrics (a lane of the metric table), with a 32-bit hash of
 * each value: two different values are taken for equal once in four billion. Devices mostly send in time order, and
 * then a look-up costs one comparison.
 */
export class SeenKeys {
  /** After `find`: the metrics among those found whose value was different. */
  changed = 0;
  /** Bytes of all entries that were ever added: about what they take in memory and in the state file. */
  bytes = 0;
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
    this.#insert(at, mask, hashes);
    this.#added.push(at, mask, hashes);
  }

  #insert(at: SeenPlace, mask: number, hashes: Int32Array): void {
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
    this.bytes += ENTRY_BYTES + HASH_BYTES * bitCount(mask);
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
    readEntries(blob, (at, mask, hashes) => this.#insert(at, mask, hashes));
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

/** What an entry takes, and each of its hashes. */
const ENTRY_BYTES = 24;
const HASH_BYTES = 4;

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

/** An entry is moved into its place in the main run past this many others at the most; else it goes to the late run. */
const NEAR = 512;
/** Entries of the late run; then it is merged into the main run, which costs the length of that. */
const MOST_LATE = 2_048;

/**
 * Entries of one device and lane. Nearly all come in order of time and go to the end of the main run. Late ones are
 * collected in a short run of their own: moving each into its place would cost the length of a day.
 */
class SeenSeries {
  newest = Number.NEGATIVE_INFINITY;
  changed = 0;
  #main = new Run();
  #late: Run | null = null;

  find(place: SeenPlace, mask: number, hashes: Int32Array): number {
    const { ts, horizon, position } = place;
    const [main, late] = [this.#main, this.#late];
    let found = 0;
    this.changed = 0;
    let inMain = main.before(ts, position);
    let inLate = late === null ? 0 : late.before(ts, position);
    while (found !== mask) {
      const next = main.positionAt(inMain, ts);
      const other = late === null ? Number.NEGATIVE_INFINITY : late.positionAt(inLate, ts);
      // All that follow are older.
      if (Math.max(next, other) < horizon) break;
      // Of one message, what is in the late run came later.
      const here =
        next > other ? main.bitsAt(inMain++, mask & ~found, hashes) : late!.bitsAt(inLate++, mask & ~found, hashes);
      found |= here;
      this.changed |= next > other ? main.changed : late!.changed;
    }
    return found;
  }

  insert(place: SeenPlace, mask: number, hashes: Int32Array, keepFrom: number): void {
    const { ts } = place;
    const main = this.#main;
    main.forget(keepFrom);
    if (ts > this.newest) {
      this.newest = ts;
      main.insert(main.end, place, mask, hashes);
      return;
    }
    const at = main.lowerBound(ts);
    if (main.end - at <= NEAR) main.insert(at, place, mask, hashes);
    else this.#insertLate(place, mask, hashes);
  }

  prune(keepFrom: number): void {
    this.#main.prune(keepFrom);
    if (this.#late?.prune(keepFrom) === 0) this.#late = null;
  }

  #insertLate(place: SeenPlace, mask: number, hashes: Int32Array): void {
    this.#late ??= new Run();
    this.#late.insert(this.#late.lowerBound(place.ts), place, mask, hashes);
    if (this.#late.end - this.#late.start < MOST_LATE) return;
    this.#main = merged(this.#main, this.#late);
    this.#late = null;
  }
}

/** Entries sorted by ts, the newest message first within one ts. Live entries are `start` to `end`. */
class Run {
  start = 0;
  end = 0;
  /** After `bitsAt`: the metrics whose value was different. */
  changed = 0;
  #ts: Float64Array;
  #position: Float64Array;
  #mask: Int32Array;
  /** Index in the pool of an entry's first hash; hashes are in the order of their bits. */
  #at: Int32Array;
  #pool: Int32Array;
  #used = 0;

  constructor(length = 16, hashes = 32) {
    this.#ts = new Float64Array(length);
    this.#position = new Float64Array(length);
    this.#mask = new Int32Array(length);
    this.#at = new Int32Array(length);
    this.#pool = new Int32Array(hashes);
  }

  /** Returns the index of the first entry of a timestamp, or of where it would be. */
  lowerBound(ts: number): number {
    return this.before(ts, Number.POSITIVE_INFINITY);
  }

  /** Returns the index of the first entry of a timestamp from a message before `position`. */
  before(ts: number, position: number): number {
    let low = this.start;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.#ts[middle]!;
      if (at < ts || (at === ts && this.#position[middle]! >= position)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Returns the message of an entry; -Infinity where there is none of this timestamp. */
  positionAt(i: number, ts: number): number {
    return i < this.end && this.#ts[i] === ts ? this.#position[i]! : Number.NEGATIVE_INFINITY;
  }

  /** Returns which of the metrics in `mask` an entry has, and sets `changed`. */
  bitsAt(i: number, mask: number, hashes: Int32Array): number {
    const here = this.#mask[i]! & mask;
    this.changed = 0;
    for (let rest = here; rest !== 0; rest &= rest - 1) {
      const bit = 31 - Math.clz32(rest & -rest);
      const hash = this.#pool[this.#at[i]! + bitCount(this.#mask[i]! & ((1 << bit) - 1))];
      if (hash !== hashes[bit]) this.changed |= 1 << bit;
    }
    return here;
  }

  insert(index: number, { ts, position }: SeenPlace, mask: number, hashes: Int32Array): void {
    let at = index;
    if (this.end === this.#ts.length || this.#used + 32 > this.#pool.length) {
      at -= this.start;
      this.#makeRoom();
    }
    if (at < this.end) {
      for (const column of [this.#ts, this.#position, this.#mask, this.#at]) column.copyWithin(at + 1, at, this.end);
    }
    this.#ts[at] = ts;
    this.#position[at] = position;
    this.#mask[at] = mask;
    this.#at[at] = this.#used;
    for (let rest = mask; rest !== 0; rest &= rest - 1) {
      this.#pool[this.#used++] = hashes[31 - Math.clz32(rest & -rest)]!;
    }
    this.end++;
  }

  /** Frees the oldest entries, as far as they are of messages before `keepFrom`. */
  forget(keepFrom: number): void {
    while (this.start < this.end && this.#position[this.start]! < keepFrom) this.start++;
  }

  /** Frees the entries of messages before `keepFrom`. Returns how many are left. */
  prune(keepFrom: number): number {
    let kept = 0;
    for (let i = this.start; i < this.end; i++) if (this.#position[i]! >= keepFrom) kept++;
    if (kept < this.end - this.start || this.#ts.length > kept * 4) this.#rebuild(Math.max(16, kept * 2), keepFrom);
    return kept;
  }

  /** Appends an entry of another run. */
  copy(from: Run, i: number): void {
    const to = this.end++;
    this.#ts[to] = from.#ts[i]!;
    this.#position[to] = from.#position[i]!;
    this.#mask[to] = from.#mask[i]!;
    this.#at[to] = this.#used;
    const hashes = bitCount(from.#mask[i]!);
    for (let j = 0; j < hashes; j++) this.#pool[this.#used++] = from.#pool[from.#at[i]! + j]!;
  }

  /** Whether an entry comes before one of another run. */
  precedes(i: number, other: Run, j: number): boolean {
    const [ts, than] = [this.#ts[i]!, other.#ts[j]!];
    return ts < than || (ts === than && this.#position[i]! > other.#position[j]!);
  }

  /** The hashes of the live entries of messages from `keepFrom` on. */
  hashes(keepFrom: number): number {
    let count = 0;
    for (let i = this.start; i < this.end; i++) if (this.#position[i]! >= keepFrom) count += bitCount(this.#mask[i]!);
    return count;
  }

  #makeRoom(): void {
    const live = this.end - this.start;
    this.#rebuild(live > this.#ts.length / 2 ? live * 2 : this.#ts.length, 0);
  }

  /** Copies the live entries of messages from `keepFrom` on, and their hashes, into columns of a new length. */
  #rebuild(length: number, keepFrom: number): void {
    const run = new Run(length, Math.max(64, this.hashes(keepFrom) * 2 + 32));
    for (let i = this.start; i < this.end; i++) if (this.#position[i]! >= keepFrom) run.copy(this, i);
    this.start = 0;
    this.end = run.end;
    this.#ts = run.#ts;
    this.#position = run.#position;
    this.#mask = run.#mask;
    this.#at = run.#at;
    this.#pool = run.#pool;
    this.#used = run.#used;
  }
}

/** Both runs as one. */
function merged(main: Run, late: Run): Run {
  const length = main.end - main.start + late.end - late.start;
  const run = new Run(length * 2, (main.hashes(0) + late.hashes(0)) * 2 + 32);
  let i = main.start;
  for (let j = late.start; j < late.end; j++) {
    while (i < main.end && main.precedes(i, late, j)) run.copy(main, i++);
    run.copy(late, j);
  }
  while (i < main.end) run.copy(main, i++);
  return run;
}

/**
 * Entries in the order they were added, in the layout of the state file: ts and position of all, then device, lane,
 * mask and hashes of each.
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
