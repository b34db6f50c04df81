import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type Block, type BlockKind, LamppostError } from '../domain/index.ts';
import { isDamage, openDatabase, type RoomSchema, readingFile, transact } from '../store/index.ts';
import { type BlockRow, blockDamage, blockOf, faultOf, KINDS, sumOf } from './blocks.ts';

/** With this size a lone message costs one page, and a full group commit few overflow pages (docs/performance.md). */
export const PAGE_SIZE = 16_384;

export const JOURNAL_SCHEMA: RoomSchema = {
  room: 'journal',
  steps: [
    `
  create table if not exists blocks (
    seq integer primary key,
    kind integer not null,
    first integer not null,
    count integer not null,
    received_at integer not null,
    body blob not null
  ) strict;
  create table if not exists heads (name text primary key, value text not null) strict, without rowid;
`,
    // Null in blocks of before, when civil time was steady: it never decreased.
    'alter table blocks add column steady_at integer;',
    // CRC-32 of the block; null in blocks from before.
    'alter table blocks add column sum integer',
    // Bytes of all bodies up to this one, so that a start need not look at each; null in blocks from before.
    'alter table blocks add column total integer',
  ],
};

/** Versions of the newest control records: with them a start detects what changed while the process was down. */
export interface ControlHeads {
  /** Version of the newest city in the journal; null before the first. */
  readonly city: string | null;
  /** Version of the newest registry in the journal; 0 before the first. */
  readonly registry: number;
}

/** A block that the log has already, with its two times. */
export interface FollowedBlock {
  readonly kind: BlockKind;
  readonly body: Uint8Array;
  readonly count: number;
  readonly head: string | null;
  readonly steadyAt: number;
  readonly offsetMs: number;
}

/** Writes the journal's file. One thread owns it; every call is one durable transaction. */
export class JournalStore {
  readonly #path: string;
  #db!: DatabaseSync;
  #insert!: StatementSync;
  #setHead!: StatementSync;
  #addReplayed!: StatementSync;
  #trim!: StatementSync;
  #steadyAtOf!: StatementSync;
  #sizeOf!: StatementSync;
  #seq = 0;
  #messages = 0;
  #receivedAt = 0;
  #steadyAt = 0;
  #oldest = 1;
  #bytes = 0;
  #total = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Opens the file, or creates it. Throws `disk` where that fails, `damaged` where its newest block cannot be read,
   * `too-new` where a newer Lamppost wrote it.
   */
  open(): this {
    this.#db = openDatabase(this.#path, { schemas: [JOURNAL_SCHEMA], pageSize: PAGE_SIZE });
    return readingFile(this.#path, () => this.#read());
  }

  #read(): this {
    this.#insert = this.#db.prepare(
      `insert into blocks (seq, kind, first, count, received_at, body, steady_at, sum, total)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#setHead = this.#db.prepare('insert or replace into heads values (?, ?)');
    this.#addReplayed = this.#db.prepare(
      `insert into heads values ('replayed', ?) on conflict (name) do update set value = value + excluded.value`,
    );
    this.#trim = this.#db.prepare('delete from blocks where seq < ?');
    this.#steadyAtOf = this.#db.prepare(
      'select coalesce(steady_at, received_at) as steady_at from blocks where seq = ?',
    );
    this.#sizeOf = this.#db.prepare('select total, length(body) as bytes from blocks where seq = ?');
    const last = this.#db.prepare('select * from blocks order by seq desc limit 1').get() as BlockRow | undefined;
    if (last === undefined) return this;
    // The numbering goes on from it.
    const fault = faultOf(last, null);
    if (fault !== null) throw blockDamage(this.#path, this.#db, last.seq - 1, fault);
    this.#seq = last.seq;
    this.#messages = last.first + last.count;
    this.#receivedAt = last.received_at;
    this.#steadyAt = last.steady_at ?? last.received_at;
    this.#oldest = Number(this.#db.prepare('select min(seq) as oldest from blocks').get()!.oldest);
    this.#bytes = this.#bytesOf(this.#oldest, this.#seq);
    this.#total = Number(this.#sizeOf.get(this.#seq)!.total ?? this.#bytes);
    return this;
  }

  /** Bytes of the bodies of a range of blocks, both ends included. */
  #bytesOf(from: number, to: number): number {
    const [first, last] = [this.#sizeOf.get(from), this.#sizeOf.get(to)];
    if (typeof first?.total === 'number' && typeof last?.total === 'number')
      return last.total - first.total + Number(first.bytes);
    const sum = 'select sum(length(body)) as bytes from blocks where seq between ? and ?';
    return Number(this.#db.prepare(sum).get(from, to)!.bytes ?? 0);
  }

  /** Bytes of all bodies in the journal. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of the newest block; 0 before the first. */
  get seq(): number {
    return this.#seq;
  }

  /** The two times of the newest block; null before the first. */
  get newest(): { readonly receivedAt: number; readonly steadyAt: number } | null {
    return this.#seq === 0 ? null : { receivedAt: this.#receivedAt, steadyAt: this.#steadyAt };
  }

  /** Returns a block; null where the file does not have it. */
  block(seq: number): Block | null {
    const row = this.#db.prepare('select * from blocks where seq = ?').get(seq);
    return row === undefined ? null : blockOf(row as BlockRow);
  }

  get heads(): ControlHeads {
    const value = (name: string) => this.#db.prepare('select value from heads where name = ?').get(name)?.value;
    return { city: (value('city') as string | undefined) ?? null, registry: Number(value('registry') ?? 0) };
  }

  /**
   * Appends a group commit of messages; durable when it returns. Throws `disk` (retryable) where the disk refuses.
   * `now` is civil time here and below, `offsetMs` how far it is ahead of steady time.
   */
  appendMessages(body: Uint8Array, count: number, now: number, offsetMs = 0): void {
    this.#append('messages', body, count, { now, offsetMs });
  }

  /** Appends a control record and, in the same transaction, sets the version that `heads` returns. */
  appendControl(kind: BlockKind, body: Uint8Array, now: number, head: string | null, offsetMs = 0): void {
    this.#transact(() => {
      this.#append(kind, body, 0, { now, offsetMs });
      if (head !== null) this.#setHead.run(kind === 'city' ? 'city' : 'registry', head);
    });
  }

  /** Appends messages that are replayed. They are numbered as messages, but `head` does not count them again. */
  appendReplay(body: Uint8Array, count: number, now: number, offsetMs = 0): void {
    this.#transact(() => {
      this.#append('replay', body, count, { now, offsetMs });
      this.#addReplayed.run(String(count));
    });
  }

  /**
   * Appends blocks of a log that others append to as well, all or none. Throws `disk` (retryable) where the disk
   * refuses.
   */
  appendAll(blocks: readonly FollowedBlock[]): void {
    this.#transact(() => {
      for (const { kind, body, count, head, steadyAt, offsetMs } of blocks) {
        this.#append(kind, body, count, { now: steadyAt + offsetMs, offsetMs });
        if (kind === 'replay') this.#addReplayed.run(String(count));
        if (head !== null) this.#setHead.run(kind === 'city' ? 'city' : 'registry', head);
      }
    });
  }

  #transact(work: () => void): void {
    const [seq, messages, bytes, total] = [this.#seq, this.#messages, this.#bytes, this.#total];
    const [receivedAt, steadyAt] = [this.#receivedAt, this.#steadyAt];
    try {
      transact(this.#db, work);
    } catch (cause) {
      this.#seq = seq;
      this.#messages = messages;
      this.#bytes = bytes;
      this.#total = total;
      this.#receivedAt = receivedAt;
      this.#steadyAt = steadyAt;
      throw diskError(cause);
    }
  }

  /**
   * Deletes blocks below `seq`, at most `most` of them, and never the newest one, which carries the numbering. Returns
   * how many. Throws `disk` (retryable) where the disk refuses, and then deletes none.
   */
  trim(seq: number, most: number): number {
    const until = Math.min(seq, this.#seq, this.#oldest + most);
    if (until <= this.#oldest) return 0;
    try {
      const freed = this.#bytesOf(this.#oldest, until - 1);
      this.#trim.run(until);
      this.#bytes -= freed;
    } catch (cause) {
      throw diskError(cause);
    }
    const deleted = until - this.#oldest;
    this.#oldest = until;
    return deleted;
  }

  /**
   * Returns the number of the first block that was received at or after a steady time; one past the newest where there
   * is none.
   */
  seqAt(ms: number): number {
    let low = this.#oldest;
    let high = this.#seq + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const at = Number(this.#steadyAtOf.get(middle)?.steady_at ?? 0);
      if (at < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Idempotent. */
  close(): void {
    if (this.#db?.isOpen) this.#db.close();
  }

  #append(
    kind: BlockKind,
    body: Uint8Array,
    count: number,
    { now, offsetMs }: { readonly now: number; readonly offsetMs: number },
  ): void {
    const steadyAt = Math.max(this.#steadyAt, now - offsetMs);
    const receivedAt = steadyAt + offsetMs;
    const numbers = { seq: this.#seq + 1, kind: KINDS.indexOf(kind), first: this.#messages, count };
    const sum = sumOf({ ...numbers, received_at: receivedAt, steady_at: steadyAt, body });
    const total = this.#total + body.length;
    try {
      this.#insert.run(numbers.seq, numbers.kind, numbers.first, count, receivedAt, body, steadyAt, sum, total);
    } catch (cause) {
      throw diskError(cause);
    }
    this.#seq++;
    this.#messages += count;
    this.#receivedAt = receivedAt;
    this.#steadyAt = steadyAt;
    this.#bytes += body.length;
    this.#total = total;
  }
}

function diskError(cause: unknown): LamppostError {
  if (cause instanceof LamppostError) return cause;
  if (isDamage(cause))
    return new LamppostError('damaged', `the journal is damaged: ${(cause as Error).message}`, { cause });
  return new LamppostError('disk', `the journal could not be written: ${(cause as Error).message}`, {
    retryable: true,
    cause,
  });
}

/** Reads the journal's file. Any thread may open one; it sees what is committed. */
export class JournalReader {
  readonly #path: string;
  #db!: DatabaseSync;
  #after!: StatementSync;
  #upTo!: StatementSync;
  #head!: StatementSync;

  constructor(path: string) {
    this.#path = path;
  }

  /** Opens the file read-only. Throws `damaged`. */
  open(): this {
    this.#db = new DatabaseSync(this.#path, { readOnly: true });
    return readingFile(this.#path, () => this.#prepare());
  }

  #prepare(): this {
    this.#after = this.#db.prepare('select * from blocks where seq > ? order by seq limit ?');
    this.#upTo = this.#db.prepare('select 1 from blocks where seq <= ? limit 1');
    this.#head = this.#db.prepare(`
      select seq, first + count - coalesce((select value from heads where name = 'replayed'), 0) as messages
      from blocks order by seq desc limit 1`);
    return this;
  }

  /**
   * Returns the next blocks after a cursor, in order, at most `limit`. Throws `damaged` where the next one is missing,
   * or is not what was written: none is left out.
   */
  after(seq: number, limit: number): Block[] {
    const blocks: Block[] = [];
    let before: BlockRow | null = null;
    const fail = (cause: unknown) => blockDamage(this.#path, this.#db, before?.seq ?? seq, cause);
    try {
      for (const found of this.#after.iterate(seq, limit)) {
        const row = found as BlockRow;
        const fault: string | null = faultOf(row, before) ?? (before === null ? this.#gapBefore(row, seq) : null);
        if (fault !== null) {
          if (blocks.length > 0) break;
          throw fail(fault);
        }
        blocks.push(blockOf(row));
        before = row;
      }
    } catch (error) {
      if (error instanceof LamppostError || !isDamage(error)) throw error;
      if (blocks.length === 0) throw fail(error);
    }
    return blocks;
  }

  /** A block that is not the next one is the oldest that is kept, or there is a gap before it. */
  #gapBefore(row: BlockRow, seq: number): string | null {
    if (row.seq === seq + 1 || this.#upTo.get(seq) === undefined) return null;
    return `block ${seq + 1} is missing`;
  }

  /** Returns the next blocks of one kind after a cursor, in order, at most `limit`. */
  ofKind(kind: BlockKind, seq: number, limit: number): Block[] {
    const select = 'select * from blocks where seq > ? and kind = ? order by seq limit ?';
    return this.#db
      .prepare(select)
      .all(seq, KINDS.indexOf(kind), limit)
      .map((row) => blockOf(row as BlockRow));
  }

  /** Returns the newest block of one kind; null where the file has none. */
  newestOf(kind: BlockKind): Block | null {
    const row = this.#db
      .prepare('select * from blocks where kind = ? order by seq desc limit 1')
      .get(KINDS.indexOf(kind));
    return row === undefined ? null : blockOf(row as BlockRow);
  }

  /** Returns the numbers of the blocks of a range, both ends included, whose bodies have more than so many bytes. */
  largerThan(bytes: number, { from, to }: { readonly from: number; readonly to: number }): number[] {
    const select = 'select seq from blocks where seq between ? and ? and length(body) > ? order by seq';
    return this.#db
      .prepare(select)
      .all(from, to, bytes)
      .map(({ seq }) => Number(seq));
  }

  /** Returns the number of the newest block, and how many messages were ever received. */
  head(): { seq: number; messages: number } {
    const row = this.#head.get();
    return row === undefined ? { seq: 0, messages: 0 } : { seq: Number(row.seq), messages: Number(row.messages) };
  }

  /** Idempotent. */
  close(): void {
    if (this.#db?.isOpen) this.#db.close();
  }
}

/** How far the consumers of the journal have come, in numbers of blocks; 0 where one has read none. */
interface Cursors {
  /** The newest block that any consumer committed effects of. */
  readonly newest: number;
  /** The block whose windows are on disk: the rules read again from there. */
  readonly checkpoint: number;
  /** The newest block that the ledger counts: the history reads on from there. */
  readonly ledger: number;
}

/**
 * Checks that a start over these files can go on: the journal must hold every block that consumers have still to read,
 * and all blocks they have read. Returns null where it does, otherwise a sentence that says what is missing.
 */
export function missingBlocks(
  cursors: Cursors,
  journal: { readonly oldest: number; readonly newest: number },
): string | null {
  const first = Math.min(cursors.checkpoint, cursors.ledger) + 1;
  if (journal.oldest <= first && journal.newest >= cursors.newest) return null;
  const need =
    first <= cursors.newest ? `they need blocks ${first} to ${cursors.newest}` : `they end at block ${first - 1}`;
  return `${need}, and the journal ${journal.newest < journal.oldest ? 'has none' : `has ${journal.oldest} to ${journal.newest}`}`;
}
