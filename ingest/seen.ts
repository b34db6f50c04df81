import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type RoomSchema, transact } from '../store/index.ts';
import { Chunks } from './seen-chunks.ts';
import {
  bitCount,
  ENTRY_BYTES,
  EntryTable,
  HASH_BYTES,
  HASHED_LANE,
  hashKey,
  readEntries,
  Search,
  type SeenPlace,
} from './seen-entries.ts';

/** Steps of the tables of seen keys, after the first step of the room. */
export const SEEN_STEPS: RoomSchema['steps'] = [
  `
  create table seen_chunks (
    id integer primary key, first integer not null, last integer not null, from_ts real not null, to_ts real not null,
    pages integer not null, filter blob not null
  ) strict;
  create table seen_pages (id integer primary key, entries blob not null) strict;
  create table seen_seed (one integer primary key check (one = 1), seed integer not null) strict;
  insert into seen_seed values (1, random() & 2147483647);
`,
];

/** Bytes of entries that a start reads at once, about a millisecond, and what a row counts for besides. */
const STEP_BYTES = 128 * 1024;
const ROW_BYTES = 256;

/**
 * The keys (device, metric, ts) that were accepted before, and a hash of each value. It depends on the journal alone.
 * Each entry carries the number of the message that brought it, so a consumer gets the same result however far behind
 * it is: a key counts as seen if an earlier message within the horizon brought it.
 *
 * An entry covers one device, one timestamp and up to 32 metrics (a lane of the metric table), with a 32-bit hash of
 * each value: two different values are taken for equal once in four billion.
 *
 * Devices mostly send in time order, and then a search costs one comparison. The newest entries are in memory; in the
 * state file they are rows of `seen`, one a commit. When they are many they become a chunk there, whose pages are read
 * when a key is asked for (ADR 29). So a start reads some megabytes, however much was seen.
 */
export class SeenKeys {
  /** After `find`: the metrics among those found whose value was different. */
  changed = 0;
  /** Bytes of all entries that were ever added, as the horizon counts them. */
  bytes = 0;
  readonly #db: DatabaseSync;
  readonly #chunkBytes: number;
  readonly #seed: number;
  readonly #search = new Search();
  readonly #chunks: Chunks;
  readonly #recent = new EntryTable();
  readonly #newest: NewestTimes;
  readonly #save: StatementSync;
  readonly #drop: StatementSync;
  #recentBytes = 0;
  /** How many of the newest entries have a row in the state file. */
  #saved = 0;

  /** Reads the chunks from a file with the tables of intake; the newest keys come with `restore`. */
  constructor(db: DatabaseSync, chunkBytes: number) {
    this.#db = db;
    this.#chunkBytes = chunkBytes;
    this.#seed = Number(db.prepare('select seed from seen_seed').get()!.seed);
    this.#save = db.prepare('insert or replace into seen values (?, ?)');
    this.#drop = db.prepare('delete from seen where last <= ?');
    this.#chunks = new Chunks(db);
    this.#chunks.open();
    this.#newest = new NewestTimes(this.#chunks.newest());
  }

  /** Steps that read the newest keys back, some at a time: all of them before the first `find` or `add`. */
  *restore(): Generator<void, void, undefined> {
    const next = this.#db.prepare('select last, entries from seen where last > ? order by last limit 1');
    let bytes = 0;
    for (let row = next.get(-1); row !== undefined; row = next.get(row.last!)) {
      readEntries(row.entries as Uint8Array, (at, mask, hashes) => this.#insert(at, mask, hashes));
      this.#saved = this.#recent.count;
      // Files from before there were chunks have a day of rows.
      if (this.#recentBytes >= this.#chunkBytes) transact(this.#db, () => this.#seal())();
      bytes += ROW_BYTES + (row.entries as Uint8Array).length;
      if (bytes < STEP_BYTES) continue;
      bytes = 0;
      yield;
    }
  }

  /**
   * Returns which of the metrics in `mask` (bits of `lane`) were accepted for this timestamp by messages in `[horizon,
   * position)`. `hashes` holds the hash of each value at the index of its bit. Sets `changed`. With `within`, the
   * hashes are numbers, and what was accepted counts only where its number is not further away than this.
   */
  find(at: SeenPlace, mask: number, hashes: Int32Array, within: number | null = null): number {
    this.changed = 0;
    const hasTime = at.lane !== HASHED_LANE;
    if (hasTime && at.ts > this.#newest.of(at.device, at.lane)) return 0;
    const search = this.#search;
    const hash = hashKey(at, this.#seed);
    search.begin(at, mask, hashes, within);
    if (!this.#recent.search(search, hash)) this.#chunks.search(search, hash, hasTime);
    this.changed = search.changed;
    return search.found;
  }

  /** Records metrics as accepted by the message `at.position`. Messages come in order. */
  add(at: SeenPlace, mask: number, hashes: Int32Array): void {
    this.bytes += this.#insert(at, mask, hashes);
  }

  /** Writes what was added, in the caller's transaction; call the result after the commit, or it is written again. */
  persist(): () => void {
    const { count, last } = this.#recent;
    if (this.#recentBytes >= this.#chunkBytes) return this.#seal();
    if (count > this.#saved) this.#save.run(last, this.#recent.blob(this.#saved));
    return () => {
      this.#checkNothingAdded(count);
      this.#saved = count;
    };
  }

  /** Frees the chunks that have entries of messages before `keepFrom` only. */
  prune(keepFrom: number): void {
    this.#chunks.prune(keepFrom);
  }

  #insert(at: SeenPlace, mask: number, hashes: Int32Array): number {
    this.#recent.add(at, hashKey(at, this.#seed), mask, hashes);
    if (at.lane !== HASHED_LANE) this.#newest.note(at.device, at.lane, at.ts);
    const bytes = ENTRY_BYTES + HASH_BYTES * bitCount(mask);
    this.#recentBytes += bytes;
    return bytes;
  }

  /** Writes the newest entries as a chunk, instead of their rows. */
  #seal(): () => void {
    const { count, last } = this.#recent;
    const written = this.#chunks.write(this.#recent);
    this.#drop.run(last);
    return () => {
      this.#checkNothingAdded(count);
      written();
      this.#recent.clear();
      this.#recentBytes = 0;
      this.#saved = 0;
    };
  }

  #checkNothingAdded(count: number): void {
    if (this.#recent.count !== count) throw new Error('keys were added during the transaction that saved them');
  }
}

/**
 * A time for each device and lane that none of its entries is newer than. After a start that is the newest of all that
 * was seen, until something newer comes: only the chunks that reach to such a time are asked for what is older.
 */
class NewestTimes {
  readonly #unknown: number;
  readonly #byLane: Float64Array[] = [];

  constructor(unknown: number) {
    this.#unknown = unknown;
  }

  of(device: number, lane: number): number {
    return this.#byLane[lane]?.[device] ?? this.#unknown;
  }

  note(device: number, lane: number, ts: number): void {
    let times = this.#byLane[lane];
    if (times === undefined || device >= times.length) times = this.#grow(device, lane);
    if (ts > times[device]!) times[device] = ts;
  }

  #grow(device: number, lane: number): Float64Array {
    const before = this.#byLane[lane] ?? new Float64Array(0);
    const times = new Float64Array(Math.max(64, before.length * 2, device + 1)).fill(this.#unknown);
    times.set(before);
    for (let at = this.#byLane.length; at < lane; at++) this.#byLane[at] = new Float64Array(0);
    this.#byLane[lane] = times;
    return times;
  }
}
