import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type EntryTable, mixed, Page, type Search } from './seen-entries.ts';

/** Entries of a page: it is read as a whole, in about 5 µs. */
const PAGE_ENTRIES = 256;
/** Bits of a filter for each entry: of keys that a chunk does not have, it lets one in a hundred pass. */
const FILTER_BITS = 12;
/** The bits of one key are in one line of the processor's cache: 16 words. */
const LINE_WORDS = 16;
/** What the pages that were read lately may take, twice: several chunks, as a consumer reads them that is behind. */
const CACHED_BYTES = 8 * 2 ** 20;
/** Pages of a chunk have numbers from its own, times this, on. */
const MOST_PAGES = 2 ** 20;

/** The entries of a range of messages. They are on disk, in pages by the hash of their keys; what is here is small. */
interface Chunk {
  readonly id: number;
  /** Messages of its first and of its last entry. */
  readonly first: number;
  readonly last: number;
  /** Times of its oldest and of its newest entry, without those of `HASHED_LANE`. */
  readonly from: number;
  readonly to: number;
  readonly pages: number;
  readonly filter: Int32Array;
}

/** All chunks, the oldest first. */
export class Chunks {
  readonly #db: DatabaseSync;
  readonly #chunks: Chunk[] = [];
  readonly #pages: PageCache;
  readonly #saveChunk: StatementSync;
  readonly #savePage: StatementSync;
  readonly #dropChunks: StatementSync;
  readonly #dropPages: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#pages = new PageCache(db);
    this.#saveChunk = db.prepare('insert into seen_chunks values (?, ?, ?, ?, ?, ?, ?)');
    this.#savePage = db.prepare('insert into seen_pages values (?, ?)');
    this.#dropChunks = db.prepare('delete from seen_chunks where id < ?');
    this.#dropPages = db.prepare('delete from seen_pages where id < ?');
  }

  /** Reads the chunks without their pages. */
  open(): void {
    for (const row of this.#db.prepare('select * from seen_chunks order by id').all()) {
      const [id, first, last] = [Number(row.id), Number(row.first), Number(row.last)];
      const filter = new Int32Array((row.filter as Uint8Array).slice().buffer);
      const [from, to] = [row.from_ts as number, row.to_ts as number];
      this.#chunks.push({ id, first, last, from, to, pages: Number(row.pages), filter });
    }
  }

  /** Time of the newest entry of all; -Infinity where there is none. */
  newest(): number {
    return this.#chunks.reduce((newest, { to }) => Math.max(newest, to), Number.NEGATIVE_INFINITY);
  }

  /** Shows a search the entries of its key, those of the newest messages first. */
  search(search: Search, hash: number, hasTime: boolean): void {
    const { ts, position, horizon } = search.place;
    for (let i = this.#chunks.length - 1; i >= 0; i--) {
      const chunk = this.#chunks[i]!;
      if (chunk.last < horizon) return;
      if (chunk.first >= position || (hasTime && (ts < chunk.from || ts > chunk.to))) continue;
      if (!passes(chunk.filter, hash)) continue;
      if (this.#pages.get(chunk.id * MOST_PAGES + pageOf(hash, chunk.pages)).search(search)) return;
    }
  }

  /** Writes a table as a chunk, in the caller's transaction; call the result after the commit. */
  write(table: EntryTable): () => void {
    const { first, last, from, to } = table;
    const id = (this.#chunks.at(-1)?.id ?? 0) + 1;
    const pages = Math.min(MOST_PAGES, Math.ceil(table.count / PAGE_ENTRIES));
    const lines = Math.ceil((table.count * FILTER_BITS) / 32 / LINE_WORDS);
    const filter = new Int32Array(lines * LINE_WORDS);
    table.eachHash((hash) => mark(filter, hash));
    this.#saveChunk.run(id, first, last, from, to, pages, new Uint8Array(filter.buffer));
    for (const [page, bytes] of table.pages(pages, (hash) => pageOf(hash, pages)).entries()) {
      this.#savePage.run(id * MOST_PAGES + page, bytes);
    }
    return () => void this.#chunks.push({ id, first, last, from, to, pages, filter });
  }

  /** Deletes the chunks that have messages before `keepFrom` only. */
  prune(keepFrom: number): void {
    const unneeded = this.#chunks.findIndex(({ last }) => last >= keepFrom);
    const dropped = this.#chunks.splice(0, unneeded === -1 ? this.#chunks.length : unneeded);
    const newest = dropped.at(-1);
    if (newest === undefined) return;
    this.#dropChunks.run(newest.id + 1);
    this.#dropPages.run((newest.id + 1) * MOST_PAGES);
  }
}

/** Returns which of `pages` a key is on: the hash as a fraction of its range. */
function pageOf(hash: number, pages: number): number {
  return Math.floor(((hash >>> 0) / 2 ** 32) * pages);
}

/** Sets the three bits of a key, which are in one line. */
function mark(filter: Int32Array, hash: number): void {
  const bits = mixed(hash ^ 0x2545f491);
  const line = lineOf(filter, hash);
  for (let shift = 0; shift < 27; shift += 9) {
    const bit = (bits >>> shift) & 511;
    filter[line + (bit >>> 5)]! |= 1 << (bit & 31);
  }
}

/** Whether a filter has all bits of a key. */
function passes(filter: Int32Array, hash: number): boolean {
  const bits = mixed(hash ^ 0x2545f491);
  const line = lineOf(filter, hash);
  for (let shift = 0; shift < 27; shift += 9) {
    const bit = (bits >>> shift) & 511;
    if ((filter[line + (bit >>> 5)]! & (1 << (bit & 31))) === 0) return false;
  }
  return true;
}

function lineOf(filter: Int32Array, hash: number): number {
  return pageOf(hash, filter.length / LINE_WORDS) * LINE_WORDS;
}

/** Pages that were read lately. Two halves: what the older one has, and is asked for again, moves to the newer one. */
class PageCache {
  readonly #read: StatementSync;
  #newer = new Map<number, Page>();
  #older = new Map<number, Page>();
  #bytes = 0;

  constructor(db: DatabaseSync) {
    this.#read = db.prepare('select entries from seen_pages where id = ?');
  }

  get(id: number): Page {
    const newer = this.#newer.get(id);
    if (newer !== undefined) return newer;
    const page = this.#older.get(id) ?? new Page(this.#read.get(id)!.entries as Uint8Array);
    this.#newer.set(id, page);
    this.#bytes += page.bytes;
    if (this.#bytes > CACHED_BYTES) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#bytes = 0;
    }
    return page;
  }
}
