import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { openDatabase, type RoomSchema, transact } from '../store/index.ts';
import { Followers } from './followers.ts';
import type { StoredReporter } from './reporters.ts';
import { CitizenRows } from './rows.ts';
import type { Known, Statement } from './statements.ts';

/** The file of what citizens wrote, and of their names and contacts, in the data folder. */
export const CITIZENS_FILE = 'reporters.sqlite';

const SCHEMA: RoomSchema = {
  room: 'citizens',
  steps: [
    `create table if not exists reporters (
      ticket text primary key, name text, email text, phone text, device_id text, account_id text, reported_at text not null
    ) strict, without rowid;`,
    // `body` null: removed. `repeat`, `asked` and `token` are of requests with an Idempotency-Key, for a day.
    `alter table reporters rename column ticket to statement;
    create table statements (
      id text primary key, stored_ms integer not null, body text, media text, repeat blob, asked blob, token text
    ) strict, without rowid;
    create index statements_by_media on statements (media) where media is not null;
    create index statements_by_repeat on statements (repeat) where repeat is not null;
    insert into statements (id, stored_ms, body)
      select statement, unixepoch(reported_at) * 1000,
        '{"description":null,"address":null,"addressId":null,"mediaUrl":null,"attributes":{}}'
      from reporters;`,
    // Several photos. Who follows a request by mail or SMS, and what is to be sent to them; 'secret' ends it.
    `create table statement_media (
      statement text not null, media text not null, primary key (statement, media)
    ) strict, without rowid;
    create index statement_media_by_media on statement_media (media);
    insert into statement_media select id, media from statements where media is not null;
    update statements set media = null where media is not null;
    drop index statements_by_media;
    create table followers (
      id text primary key, ticket text not null, token text not null, secret text not null unique,
      channel text not null, contact text not null, language text not null, created_ms integer not null,
      confirmed_ms integer, failing_ms integer, unique (ticket, channel, contact)
    ) strict, without rowid;
    create index followers_by_contact on followers (contact, created_ms);
    create table progress (
      n integer primary key, follower text not null, name text not null, body text not null, attempt integer not null,
      due_ms integer not null, unique (follower, name)
    ) strict;
    create index progress_by_time on progress (due_ms);
    create table progress_cursor (
      one integer primary key check (one = 1), store text not null, n integer not null
    ) strict;`,
    // In a cluster: which revision of the bucket a row is, and up to where the bucket was read. The numbers of events
    // are the same on every node; 0: the message is of no event.
    `alter table progress add column event integer not null default 0;
    alter table followers add column sent_to integer;
    create table shared_revisions (key text primary key, revision integer not null) strict, without rowid;
    create table shared_place (
      one integer primary key check (one = 1), bucket text not null, revision integer not null
    ) strict;`,
  ],
};

/** A request that its app may send again under the same name, and what it got. */
export interface Repeat {
  /** SHA-256 of the app's key and the name. */
  readonly name: Uint8Array;
  /** SHA-256 of what was asked for. */
  readonly asked: Uint8Array;
  readonly token: string;
}

/** What is stored of a request before it is in the log. */
export interface Entry {
  readonly id: string;
  /** Steady time, ms. */
  readonly storedMs: number;
  readonly statement: Statement;
  readonly reporter: StoredReporter | null;
  /** Null: the app gave it no name. */
  readonly repeat: Repeat | null;
}

/**
 * What citizens wrote, and their names and contacts: a file of its own, from which they can be deleted. One thread owns
 * it. What a method stored or deleted is on disk when it returns.
 */
export interface CitizenStore {
  put(entry: Entry): void;
  /** `mediaUrls`: the photos that came with it. */
  putComment(id: string, comment: string, storedMs: number, mediaUrls?: readonly string[]): void;
  statement(id: string): Known<Statement>;
  comment(id: string): Known<string>;
  /** Returns the addresses of the photos of a statement or comment. */
  media(id: string): string[];
  reporter(id: string): StoredReporter | null;
  /** Returns the request of this name, where one was stored since a moment. */
  repeated(name: Uint8Array, sinceMs: number): (Repeat & { readonly id: string }) | null;
  /** Forgets the names of requests from before a moment, and their tokens. */
  forgetRepeats(beforeMs: number): void;
  /** Deletes names and contacts from every byte of the file; returns how many reporters had some. */
  forgetReporters(ids: readonly string[]): number;
  /**
   * Deletes words, names and contacts from every byte of the file; only that they were removed is kept. Returns the
   * addresses of photos that nobody else uses; null where there was nothing to delete.
   */
  remove(ids: readonly string[]): string[] | null;
  /** Deletes what no ticket has, with no trace. */
  drop(ids: readonly string[]): void;
  /** Returns the ids after this one, in their order. */
  after(id: string, limit: number): { readonly id: string; readonly storedMs: number; readonly hasReporter: boolean }[];
  /** Returns the statements that have a photo. */
  withMedia(mediaUrl: string): string[];
  /** Who follows requests by mail or SMS. There once it is open. */
  readonly followers: Followers;
  /** The same rows as values of keys, as nodes of a cluster share them. There once it is open. */
  readonly rows: CitizenRows;
  /** Calls the listener with photos that nobody uses any more, after rows were taken over from another node. */
  onUnused(listener: (mediaUrls: readonly string[]) => void): void;
  /** Returns the requests from before a moment that still have a name. */
  namedBefore(beforeMs: number): string[];
  /** Returns every photo that somebody uses. */
  allMedia(): string[];
  /** Counts removals, and what came from other nodes: what was shown before may have changed. */
  rewrites(): number;
  /** Opens the file, or creates it. Throws `disk`, and `too-new` where a newer Lamppost wrote it. */
  open(): this;
  /** Idempotent. */
  close(): void;
}

/** Returns the store of a file; it opens nothing until `open`. */
export function createCitizenStore(options: { readonly path: string }): CitizenStore {
  return new CitizenFile(options.path);
}

const GIVEN = '(select value from json_each(?))';
const STATEMENTS = {
  // The words of an older ticket come after its reporter.
  put: `
    insert into statements (id, stored_ms, body, repeat, asked, token) values (?, ?, ?, ?, ?, ?)
    on conflict (id) do update set body = excluded.body`,
  putMedia: 'insert or ignore into statement_media values (?, ?)',
  putReporter: 'insert or ignore into reporters values (?, ?, ?, ?, ?, ?, ?)',
  one: 'select body from statements where id = ?',
  reporter: `
    select name, email, phone, device_id as deviceId, account_id as accountId, reported_at as reportedAt
    from reporters where statement = ?`,
  repeated: 'select id, asked, token from statements where repeat = ? and stored_ms >= ? order by stored_ms desc',
  forgetRepeats:
    'update statements set repeat = null, asked = null, token = null where repeat is not null and stored_ms < ?',
  forgetReporters: `delete from reporters where statement in ${GIVEN}`,
  media: `select distinct media from statement_media where statement in ${GIVEN}`,
  forgetMedia: `delete from statement_media where statement in ${GIVEN}`,
  remove: `
    update statements set body = null, repeat = null, asked = null, token = null
    where body is not null and id in ${GIVEN}`,
  drop: `delete from statements where id in ${GIVEN}`,
  after: `
    select id, stored_ms as storedMs, exists (select 1 from reporters where statement = id) as hasReporter
    from statements where id > ? order by id limit ?`,
  namedBefore: 'select id from statements where repeat is not null and stored_ms < ?',
  allMedia: 'select distinct media from statement_media',
  withMedia: 'select statement as id from statement_media where media = ?',
} as const;

class CitizenFile implements CitizenStore {
  readonly #path: string;
  #db!: DatabaseSync;
  #run!: Readonly<Record<keyof typeof STATEMENTS, StatementSync>>;
  #rewrites = 0;
  followers!: Followers;
  rows!: CitizenRows;
  #unused: (mediaUrls: readonly string[]) => void = () => {};

  constructor(path: string) {
    this.#path = path;
  }

  open(): this {
    this.#db = openDatabase(this.#path, { schemas: [SCHEMA] });
    // Deleted rows are overwritten.
    this.#db.exec('pragma secure_delete = on');
    const prepared = Object.entries(STATEMENTS).map(([name, sql]) => [name, this.#db.prepare(sql)]);
    this.followers = new Followers(this.#db, () => this.#empty());
    this.rows = new CitizenRows(this.#db, ({ media, isErased }) => {
      this.#rewrites++;
      if (isErased) this.#empty();
      if (media.length > 0) this.#unused(media);
    });
    this.#run = Object.fromEntries(prepared) as Record<keyof typeof STATEMENTS, StatementSync>;
    return this;
  }

  put({ id, storedMs, statement, reporter, repeat }: Entry): void {
    transact(this.#db, () => {
      const { name = null, asked = null, token = null } = repeat ?? {};
      this.#run.put.run(id, storedMs, JSON.stringify(statement), name, asked, token);
      const { mediaUrl, moreMedia = [] } = statement;
      for (const one of mediaUrl === null ? [] : [mediaUrl, ...moreMedia]) this.#run.putMedia.run(id, one);
      if (reporter === null) return;
      const { name: who, email, phone, deviceId, accountId, reportedAt } = reporter;
      this.#run.putReporter.run(id, who, email, phone, deviceId, accountId, reportedAt);
    });
  }

  putComment(id: string, comment: string, storedMs: number, mediaUrls: readonly string[] = []): void {
    transact(this.#db, () => {
      this.#run.put.run(id, storedMs, JSON.stringify(comment), null, null, null);
      for (const one of mediaUrls) this.#run.putMedia.run(id, one);
    });
  }

  statement(id: string): Known<Statement> {
    return this.#known<Statement>(id);
  }

  comment(id: string): Known<string> {
    return this.#known<string>(id);
  }

  #known<T>(id: string): Known<T> {
    const row = this.#run.one.get(id);
    if (row === undefined) return null;
    return row.body === null ? 'removed' : { said: JSON.parse(String(row.body)) as T };
  }

  media(id: string): string[] {
    return this.#run.media.all(JSON.stringify([id])).map((row) => String(row.media));
  }

  reporter(id: string): StoredReporter | null {
    const row = this.#run.reporter.get(id);
    return row === undefined ? null : ({ ...row } as unknown as StoredReporter);
  }

  repeated(name: Uint8Array, sinceMs: number): (Repeat & { readonly id: string }) | null {
    const row = this.#run.repeated.get(name, sinceMs);
    if (row === undefined) return null;
    return { name, id: String(row.id), asked: row.asked as Uint8Array, token: String(row.token) };
  }

  forgetRepeats(beforeMs: number): void {
    this.#run.forgetRepeats.run(beforeMs);
    // Also after what was deleted while a backup read the file.
    this.#empty();
  }

  forgetReporters(ids: readonly string[]): number {
    const { changes } = this.#run.forgetReporters.run(JSON.stringify(ids));
    if (changes !== 0) this.#empty();
    return Number(changes);
  }

  remove(ids: readonly string[]): string[] | null {
    const given = JSON.stringify(ids);
    const media = this.#run.media.all(given).map((row) => String(row.media));
    const removed = transact(this.#db, () => {
      this.#run.forgetMedia.run(given);
      return Number(this.#run.forgetReporters.run(given).changes) + Number(this.#run.remove.run(given).changes);
    });
    if (removed === 0) return null;
    this.#rewrites++;
    this.#empty();
    return media.filter((one) => this.withMedia(one).length === 0);
  }

  drop(ids: readonly string[]): void {
    const given = JSON.stringify(ids);
    transact(this.#db, () => {
      this.#run.forgetReporters.run(given);
      this.#run.forgetMedia.run(given);
      this.#run.drop.run(given);
    });
    this.#empty();
  }

  after(id: string, limit: number) {
    return this.#run.after.all(id, limit).map((row) => ({
      id: String(row.id),
      storedMs: Number(row.storedMs),
      hasReporter: row.hasReporter === 1,
    }));
  }

  withMedia(mediaUrl: string): string[] {
    return this.#run.withMedia.all(mediaUrl).map(({ id }) => String(id));
  }

  onUnused(listener: (mediaUrls: readonly string[]) => void): void {
    this.#unused = listener;
  }

  namedBefore(beforeMs: number): string[] {
    return this.#run.namedBefore.all(beforeMs).map(({ id }) => String(id));
  }

  allMedia(): string[] {
    return this.#run.allMedia.all().map(({ media }) => String(media));
  }

  rewrites(): number {
    return this.#rewrites;
  }

  close(): void {
    if (this.#db?.isOpen) this.#db.close();
  }

  /** The write-ahead log holds deleted rows until it is truncated. */
  #empty(): void {
    this.#db.exec('pragma wal_checkpoint(truncate)');
  }
}
