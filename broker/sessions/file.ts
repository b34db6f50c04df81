import { closeSync, fdatasync, openSync } from 'node:fs';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { LamppostError } from '../../domain/index.ts';
import { diskFault, openDatabase, type RoomSchema } from '../../store/index.ts';

/** Tables of `sessions.sqlite`. `takeOver` fills the places of the file of an earlier version. */
const schemaOf = (takeOver: (db: DatabaseSync) => void): RoomSchema => ({
  room: 'sessions',
  steps: [
    `
  create table sessions (
    key integer primary key, id text not null unique, user text not null, secret blob not null, seen integer not null
  ) strict;
  create table subscriptions (
    session integer not null, filter text not null, body text not null, primary key (session, filter)
  ) strict, without rowid;
  create table packets (
    n integer primary key, topic text not null, payload any not null, qos integer not null, retain integer not null,
    broker text not null, counter integer not null, bytes integer not null
  ) strict;
  create table queue (
    session integer not null, n integer not null, message_id integer, released integer not null default 0,
    primary key (session, n)
  ) strict, without rowid;
  create table retained (topic text primary key, payload any not null, qos integer not null) strict;
  create table wills (session text primary key, topic text not null, payload any not null) strict;
  create table drops (
    id text primary key, session text not null, user text not null, reason text not null,
    messages integer not null, from_ms integer not null, to_ms integer not null
  ) strict;
`,
    // A queue is a place in the outbox in place of a copy of each message; retained tickets are those of the state.
    (db) => {
      db.exec(`
        alter table sessions add column place integer not null default 0;
        alter table sessions add column sent text not null default '[]';
        alter table subscriptions add column since integer not null default 0;
        create table outbox (key integer primary key, store text not null) strict;
        delete from retained where topic not like 'devices/%';`);
      takeOver(db);
      db.exec('drop table queue; drop table packets;');
    },
    // Seconds after the connection; null: as long as the limit of all.
    'alter table sessions add column expiry integer;',
    // What a node of a cluster knows from the `sessions` records of the log; empty on one machine.
    `
  create table holders (
    id text primary key, node text not null, online integer not null, device integer not null
  ) strict, without rowid;
  create table nodes (
    node text primary key, run text not null, n integer not null, alive_ms integer not null, gone integer not null
  ) strict, without rowid;
  create table followed (
    one integer primary key check (one = 1), node text not null, seq integer not null, at_ms integer not null,
    alive_ms integer not null, adopted integer not null
  ) strict;
`,
  ],
});

// 64 MiB. Normally the checkpointer keeps the log shorter (store/checkpoint.ts).
const PAGES_BEFORE_CHECKPOINT = 16_384;
const RETRY_MS = 1_000;
const CLOSED = 'the sessions are closed';

interface Write {
  readonly statement: StatementSync;
  readonly values: readonly SQLInputValue[];
}

/**
 * The file of sessions. All writes of one turn of the event loop are one transaction. A commit does not wait for the
 * disk; `synced` does, in the thread pool, so that the event loop never blocks on an fsync.
 */
export class SessionsFile {
  readonly db: DatabaseSync;
  readonly #log: Logger;
  readonly #wal: number;
  #waiting: Write[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Number of writes so far, of those committed, and of those synced to disk. */
  #written = 0;
  #committed = 0;
  #durable = 0;
  #syncing = false;
  #closed = false;
  #waiters: { readonly until: number; readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  /** Opens or creates the file. Throws `disk` where it cannot, `too-new` where a newer Lamppost wrote it. */
  constructor(path: string, log: Logger, takeOver: (db: DatabaseSync) => void) {
    this.#log = log;
    this.db = openDatabase(path, { schemas: [schemaOf(takeOver)] });
    try {
      this.db.exec(`pragma synchronous = normal; pragma wal_autocheckpoint = ${PAGES_BEFORE_CHECKPOINT};`);
      // A file that was closed has no log until it is read.
      this.db.exec('select count(*) from sessions');
      this.#wal = openSync(`${path}-wal`, 'r+');
    } catch (error) {
      this.db.close();
      throw diskFault(error, `${path} cannot be opened`) ?? error;
    }
  }

  /** Adds a write to the transaction of this turn; discards it once the file is closed. */
  write(statement: StatementSync, ...values: SQLInputValue[]): void {
    this.#written++;
    if (this.#closed) return;
    this.#waiting.push({ statement, values });
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /**
   * Commits the pending writes; returns false where the disk does not take them, and retries every second until it
   * does.
   */
  flush(): boolean {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    if (this.#waiting.length === 0) return true;
    try {
      this.#commit();
    } catch (error) {
      const fault = diskFault(error, 'the sessions');
      if (fault === null || !fault.retryable) throw error;
      this.#tryLater(fault);
      return false;
    }
    this.#waiting = [];
    this.#committed = this.#written;
    this.#sync();
    return true;
  }

  /** Resolves when every write so far is synced to disk; rejects with `disk` where the file is closed before. */
  synced(): Promise<void> {
    if (this.#durable >= this.#written) return Promise.resolve();
    if (this.#closed) return Promise.reject(new LamppostError('disk', CLOSED, { retryable: true }));
    return new Promise((resolve, reject) => {
      this.#waiters.push({ until: this.#written, resolve, reject });
      this.#sync();
    });
  }

  /** Commits and syncs the pending writes where the disk takes them, then closes. */
  async close(): Promise<void> {
    const settled = this.flush() ? this.synced() : Promise.resolve();
    await settled.catch((error: unknown) =>
      this.#log.error({ err: error }, 'the last writes of the sessions are not on disk'),
    );
    this.#closed = true;
    clearImmediate(this.#scheduled);
    clearTimeout(this.#retry);
    for (const { reject } of this.#waiters.splice(0)) reject(new LamppostError('disk', CLOSED, { retryable: true }));
    closeSync(this.#wal);
    this.db.close();
  }

  #commit(): void {
    try {
      this.db.exec('begin');
      for (const { statement, values } of this.#waiting) statement.run(...values);
      this.db.exec('commit');
    } catch (error) {
      // A full disk may have ended the transaction by itself.
      if (this.db.isTransaction) this.db.exec('rollback');
      throw error;
    }
  }

  #tryLater(error: Error): void {
    if (this.#retry !== undefined) return;
    this.#log.error({ err: error, writes: this.#waiting.length }, 'the sessions wait for the disk');
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.flush();
    }, RETRY_MS);
  }

  /** Runs one fdatasync at a time, for all that was committed before it, and only while a caller waits. */
  #sync(): void {
    if (this.#syncing || this.#waiters.length === 0 || this.#durable >= this.#committed) return;
    this.#syncing = true;
    const upTo = this.#committed;
    fdatasync(this.#wal, (error) => {
      // After a failed fsync data may be lost even if a second one succeeds. The crash makes the next start read the
      // file.
      if (error !== null) throw error;
      this.#syncing = false;
      this.#durable = upTo;
      const settled = this.#waiters.filter(({ until }) => until <= upTo);
      this.#waiters = this.#waiters.filter(({ until }) => until > upTo);
      for (const { resolve } of settled) resolve();
      this.#sync();
    });
  }
}
