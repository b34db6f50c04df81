import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { type Block, type BlockKind, LamppostError } from '../domain/index.ts';
import { openDatabase, type RoomSchema, transact } from '../store/index.ts';

const KINDS: readonly BlockKind[] = ['messages', 'tick', 'city', 'devices', 'replay', 'rule', 'actions'];

/** With this size a lone message costs one page, and a full group commit few overflow pages (docs/performance.md). */
const PAGE_SIZE = 16_384;

const SCHEMA: RoomSchema = {
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
  ],
};

/** Versions of the newest control records: with them a start detects what changed while the process was down. */
export interface ControlHeads {
  /** Version of the newest city in the journal; null before the first. */
  readonly city: string | null;
  /** Version of the newest registry in the journal; 0 before the first. */
  readonly registry: number;
}

/** Writes the journal's file. One thread owns it; every call is one durable transaction. */
export class JournalStore {
  readonly #path: string;
  #db!: DatabaseSync;
  #insert!: StatementSync;
  #setHead!: StatementSync;
  #addReplayed!: StatementSync;
  #trim!: StatementSync;
  #receivedAtOf!: StatementSync;
  #seq = 0;
  #messages = 0;
  #receivedAt = 0;
  #oldest = 1;
  #bytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Opens the file, or creates it. Throws `disk` where that fails, `too-new` where a newer Lamppost wrote it. */
  open(): this {
    this.#db = openDatabase(this.#path, { schemas: [SCHEMA], pageSize: PAGE_SIZE });
    this.#insert = this.#db.prepare('insert into blocks values (?, ?, ?, ?, ?, ?)');
    this.#setHead = this.#db.prepare('insert or replace into heads values (?, ?)');
    this.#addReplayed = this.#db.prepare(
      `insert into heads values ('replayed', ?) on conflict (name) do update set value = value + excluded.value`,
    );
    this.#trim = this.#db.prepare('delete from blocks where seq < ?');
    this.#receivedAtOf = this.#db.prepare('select received_at from blocks where seq = ?');
    const last = this.#db
      .prepare('select seq, first + count as n, received_at from blocks order by seq desc limit 1')
      .get();
    if (last === undefined) return this;
    this.#seq = Number(last.seq);
    this.#messages = Number(last.n);
    this.#receivedAt = Number(last.received_at);
    const kept = this.#db.prepare('select min(seq) as oldest, sum(length(body)) as bytes from blocks').get()!;
    this.#oldest = Number(kept.oldest);
    this.#bytes = Number(kept.bytes);
    return this;
  }

  /** Bytes of all bodies in the journal. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of the newest block; 0 before the first. */
  get seq(): number {
    return this.#seq;
  }

  get heads(): ControlHeads {
    const value = (name: string) => this.#db.prepare('select value from heads where name = ?').get(name)?.value;
    return { city: (value('city') as string | undefined) ?? null, registry: Number(value('registry') ?? 0) };
  }

  /** Appends a group commit of messages; durable when it returns. Throws `disk` (retryable) where the disk refuses. */
  appendMessages(body: Uint8Array, count: number, now: number): void {
    this.#append('messages', body, count, now);
  }

  /** Appends a control record and, in the same transaction, sets the version that `heads` returns. */
  appendControl(kind: BlockKind, body: Uint8Array, now: number, head: string | null): void {
    this.#transact(() => {
      this.#append(kind, body, 0, now);
      if (head !== null) this.#setHead.run(kind === 'city' ? 'city' : 'registry', head);
    });
  }

  /** Appends messages that are replayed. They are numbered as messages, but `head` does not count them again. */
  appendReplay(body: Uint8Array, count: number, now: number): void {
    this.#transact(() => {
      this.#append('replay', body, count, now);
      this.#addReplayed.run(String(count));
    });
  }

  #transact(work: () => void): void {
    const before = { seq: this.#seq, messages: this.#messages, receivedAt: this.#receivedAt, bytes: this.#bytes };
    try {
      transact(this.#db, work);
    } catch (cause) {
      this.#seq = before.seq;
      this.#messages = before.messages;
      this.#receivedAt = before.receivedAt;
      this.#bytes = before.bytes;
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
      const freed = this.#db.prepare('select sum(length(body)) as bytes from blocks where seq < ?').get(until)!;
      this.#trim.run(until);
      this.#bytes -= Number(freed.bytes);
    } catch (cause) {
      throw diskError(cause);
    }
    const deleted = until - this.#oldest;
    this.#oldest = until;
    return deleted;
  }

  /**
   * Returns the number of the first block that was received at or after `ms`; one past the newest where there is none.
   */
  seqAt(ms: number): number {
    let low = this.#oldest;
    let high = this.#seq + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const at = Number(this.#receivedAtOf.get(middle)?.received_at ?? 0);
      if (at < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Idempotent. */
  close(): void {
    if (this.#db?.isOpen) this.#db.close();
  }

  #append(kind: BlockKind, body: Uint8Array, count: number, now: number): void {
    const receivedAt = Math.max(this.#receivedAt, now);
    try {
      this.#insert.run(this.#seq + 1, KINDS.indexOf(kind), this.#messages, count, receivedAt, body);
    } catch (cause) {
      throw diskError(cause);
    }
    this.#seq++;
    this.#messages += count;
    this.#receivedAt = receivedAt;
    this.#bytes += body.length;
  }
}

function diskError(cause: unknown): LamppostError {
  if (cause instanceof LamppostError) return cause;
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
  #head!: StatementSync;

  constructor(path: string) {
    this.#path = path;
  }

  /** Opens the file read-only. */
  open(): this {
    this.#db = new DatabaseSync(this.#path, { readOnly: true });
    this.#after = this.#db.prepare('select * from blocks where seq > ? order by seq limit ?');
    this.#head = this.#db.prepare(`
      select seq, first + count - coalesce((select value from heads where name = 'replayed'), 0) as messages
      from blocks order by seq desc limit 1`);
    return this;
  }

  /** Returns the next blocks after a cursor, in order, at most `limit`. */
  after(seq: number, limit: number): Block[] {
    return this.#after.all(seq, limit).map(blockOf);
  }

  /** Returns the next blocks of one kind after a cursor, in order, at most `limit`. */
  ofKind(kind: BlockKind, seq: number, limit: number): Block[] {
    const select = 'select * from blocks where seq > ? and kind = ? order by seq limit ?';
    return this.#db.prepare(select).all(seq, KINDS.indexOf(kind), limit).map(blockOf);
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

function blockOf(row: Readonly<Record<string, SQLOutputValue>>): Block {
  return {
    seq: Number(row.seq),
    kind: KINDS[Number(row.kind)]!,
    first: Number(row.first),
    count: Number(row.count),
    receivedAt: Number(row.received_at),
    body: row.body as Uint8Array,
  };
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
  return `they need blocks ${first} to ${cursors.newest}, and the journal's are ${journal.oldest} to ${journal.newest}`;
}
