import { rmSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { openDatabase, transact } from '../store/index.ts';
import { type BlockRow, type DamagedBlocks, faultOf, KINDS, sumOf } from './blocks.ts';
import { walkBlocks } from './examine.ts';
import { JOURNAL_SCHEMA, PAGE_SIZE } from './store.ts';

/** What a new journal has to hold. */
export interface Wanted {
  /** The oldest block that a consumer has still to read. */
  readonly from: number;
  /** The newest block that any consumer has read. */
  readonly to: number;
  /** How many messages were in the journal up to `to`, replayed ones included, where that is known; else 0. */
  readonly messages: number;
  /** The time of lost blocks beside which no sound one says when they came, epoch ms. */
  readonly atMs: number;
}

/** What a new journal holds. */
export interface Rebuilt {
  readonly kept: number;
  /** Blocks that were taken from the backup. */
  readonly fromBackup: number;
  /** Blocks that nobody has: `lost` blocks stand for them. */
  readonly lost: readonly DamagedBlocks[];
}

const EMPTY = new Uint8Array(0);

/**
 * Makes a journal at `to` from the sound blocks of another, those of a backup where the other has none, and `lost`
 * blocks for the rest: the numbers of blocks and messages go on as they were. Null for a file that does not exist.
 */
export function rebuildJournal(
  from: DatabaseSync | null,
  backup: DatabaseSync | null,
  to: string,
  wanted: Wanted,
): Rebuilt {
  for (const tail of ['', '-wal', '-shm']) rmSync(to + tail, { force: true });
  const db = openDatabase(to, { schemas: [JOURNAL_SCHEMA], pageSize: PAGE_SIZE });
  try {
    return transact(db, () => new Rebuild(db, backup, wanted).run(from));
  } finally {
    db.close();
  }
}

class Rebuild {
  readonly #insert: StatementSync;
  readonly #ofBackup: StatementSync | null;
  readonly #db: DatabaseSync;
  readonly #backup: DatabaseSync | null;
  readonly #wanted: Wanted;
  readonly #lost: DamagedBlocks[] = [];
  #before: Omit<BlockRow, 'body' | 'sum'> | null = null;
  #kept = 0;
  #fromBackup = 0;

  constructor(db: DatabaseSync, backup: DatabaseSync | null, wanted: Wanted) {
    this.#db = db;
    this.#backup = backup;
    this.#wanted = wanted;
    this.#insert = db.prepare(
      'insert into blocks (seq, kind, first, count, received_at, body, steady_at, sum) values (?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#ofBackup = backup?.prepare('select * from blocks where seq = ?') ?? null;
  }

  run(from: DatabaseSync | null): Rebuilt {
    let at: number | null = null;
    let why = from === null ? 'the journal cannot be opened' : 'they are not in the journal';
    for (const { row, damaged } of from === null ? [] : walkBlocks(from, this.#wanted.to)) {
      if (damaged !== undefined) {
        why = damaged.why;
        continue;
      }
      const next: number = at === null ? this.#wanted.from : at + 1;
      if (row.seq > next) this.#fill(next, row.seq - 1, row, why);
      this.#put(row);
      this.#kept++;
      at = row.seq;
    }
    const newest = Math.max(
      this.#wanted.to,
      Number(this.#backup?.prepare('select max(seq) as n from blocks').get()?.n ?? 0),
    );
    const next = at === null ? this.#wanted.from : at + 1;
    if (next <= newest) this.#fill(next, newest, null, why);
    this.#copyHeads(from);
    return { kept: this.#kept, fromBackup: this.#fromBackup, lost: this.#lost };
  }

  /** Fills a gap before a sound block with those of the backup, and with lost ones. */
  #fill(from: number, to: number, next: BlockRow | null, why: string): void {
    let missing = from;
    for (let seq = from; seq <= to; seq++) {
      const row = this.#ofBackup?.get(seq) as BlockRow | undefined;
      if (row === undefined || faultOf(row, null) !== null) continue;
      if (seq > missing) this.#lose(missing, seq - 1, row, why);
      this.#put(row);
      this.#fromBackup++;
      missing = seq + 1;
    }
    if (missing <= to) this.#lose(missing, to, next, why);
  }

  #lose(from: number, to: number, next: BlockRow | null, why: string): void {
    const before = this.#before;
    const first = before === null ? (next?.first ?? 0) : before.first + before.count;
    const end = next?.first ?? Math.max(first, this.#wanted.messages);
    const [afterMs, beforeMs] = [before?.received_at ?? null, next?.received_at ?? null];
    this.#lost.push({ from, to, first, end, afterMs, beforeMs, why });
    const received_at = afterMs ?? beforeMs ?? this.#wanted.atMs;
    for (let seq = from; seq <= to; seq++) {
      const count = seq === from ? end - first : 0;
      const row = { seq, kind: KINDS.indexOf('lost'), first: seq === from ? first : end, count, received_at };
      this.#put({ ...row, body: EMPTY, steady_at: before?.steady_at ?? next?.steady_at ?? null, sum: null });
    }
  }

  #put(row: BlockRow): void {
    const { seq, kind, first, count, received_at: at, steady_at: steady, body } = row;
    this.#insert.run(seq, kind, first, count, at, body, steady, sumOf(row));
    this.#before = row;
  }

  /**
   * The versions of city and registry are left out where blocks are lost: one of these may have been in them, so that
   * the next start appends both again.
   */
  #copyHeads(from: DatabaseSync | null): void {
    const heads = headsOf(from) ?? headsOf(this.#backup) ?? [];
    const set = this.#db.prepare('insert or replace into heads values (?, ?)');
    for (const { name, value } of heads) if (this.#lost.length === 0 || name === 'replayed') set.run(name!, value!);
  }
}

function headsOf(db: DatabaseSync | null) {
  try {
    return db?.prepare('select name, value from heads').all() ?? null;
  } catch {
    return null;
  }
}
