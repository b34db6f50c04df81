import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { KeyChange, KeyCopy } from '../cluster/index.ts';
import type { ShapeOf } from '../domain/index.ts';
import { transact } from '../store/index.ts';
import { CHANNELS } from './followers.ts';
import { StoredReporterSchema } from './reporters.ts';

/** All that is known of a statement or comment: the value of its key. */
const StatementRowSchema = z.object({
  storedMs: z.number(),
  /** JSON; null: removed. */
  body: z.string().nullable(),
  media: z.array(z.string()),
  reporter: StoredReporterSchema.nullable(),
  /** `name` and `asked` in hex. */
  repeat: z.object({ name: z.string(), asked: z.string(), token: z.string() }).nullable(),
});
export type StatementRow = ShapeOf<typeof StatementRowSchema>;

/** All that is known of a follower: the value of its key. */
const FollowerRowSchema = z.object({
  id: z.string(),
  ticket: z.string(),
  token: z.string(),
  secret: z.string(),
  channel: z.enum(CHANNELS),
  contact: z.string(),
  language: z.enum(['en', 'zh']),
  createdMs: z.number(),
  confirmedMs: z.number().nullable(),
  failingMs: z.number().nullable(),
  /** The message that asks whether they want it, until it was sent. */
  ask: z.string().nullable(),
  /** The number of the newest event that was sent to them; null: not even the question was. */
  sentTo: z.int().nullable(),
});
export type FollowerRow = ShapeOf<typeof FollowerRowSchema>;

const STATEMENT = 's.';
const FOLLOWER = 'f.';
/** The name of the message that asks. */
export const ASKING = 'confirm';

export const statementKey = (id: string) => STATEMENT + id;
export const followerKey = (id: string) => FOLLOWER + id;
export const isStatementKey = (key: string) => key.startsWith(STATEMENT);
export const statementIn = (value: string): StatementRow => StatementRowSchema.parse(JSON.parse(value));
export const followerIn = (value: string): FollowerRow => FollowerRowSchema.parse(JSON.parse(value));
/** Always the same text for the same row. */
export const textOfRow = (row: StatementRow | FollowerRow): string =>
  JSON.stringify('sentTo' in row ? FollowerRowSchema.parse(row) : StatementRowSchema.parse(row));

/** A key of this node's rows. */
export interface OwnKey {
  readonly key: string;
  /** The revision of the bucket that this row is; null: the bucket did not have it yet. */
  readonly revision: number | null;
}

/**
 * A row became another one. `isErased`: something may be gone from it, and is to be overwritten; `media`: photos that
 * nobody uses any more.
 */
type Changed = (row: { readonly isErased: boolean; readonly media: readonly string[] }) => void;

/** The rows of the file of citizens as values of keys: what one node stored, another one takes over. */
export class CitizenRows implements KeyCopy {
  readonly #db: DatabaseSync;
  readonly #sql: ReturnType<typeof statementsOf>;
  readonly #changed: Changed;

  constructor(db: DatabaseSync, changed: Changed) {
    this.#db = db;
    this.#sql = statementsOf(db);
    this.#changed = changed;
  }

  place(): { bucket: string; revision: number } | null {
    const row = this.#sql.place.get();
    return row === undefined ? null : { bucket: String(row.bucket), revision: Number(row.revision) };
  }

  begin(bucket: string): void {
    transact(this.#db, () => {
      this.#sql.forgetRevisions.run();
      this.#sql.begin.run(bucket);
    });
  }

  apply({ key, value, revision }: KeyChange, followed: boolean): void {
    let after = () => {};
    transact(this.#db, () => {
      if (followed) this.#sql.moveTo.run(revision);
      const known = this.#sql.revision.get(key);
      if (known !== undefined && Number(known.revision) >= revision) return;
      // The bucket gets to know of it: what was removed anywhere does not come back.
      if (known === undefined && isStatementKey(key) && this.#isRemovedHere(key, value)) return;
      after = isStatementKey(key)
        ? this.#putStatement(key.slice(STATEMENT.length), value === null ? null : statementIn(value))
        : this.#putFollower(key.slice(FOLLOWER.length), value === null ? null : followerIn(value));
      if (value === null) this.#sql.forgetRevision.run(key);
      else this.#sql.know.run(key, revision);
    });
    after();
  }

  /** Returns the row of a key as its value; null where there is none. */
  value(key: string): string | null {
    const row = isStatementKey(key)
      ? this.#statement(key.slice(STATEMENT.length))
      : this.#follower(key.slice(FOLLOWER.length));
    return row === null ? null : textOfRow(row);
  }

  /** Whether the bucket had this key. */
  isShared(key: string): boolean {
    return this.#sql.revision.get(key) !== undefined;
  }

  /** The event of the oldest message that waits for a follower; null: none of an event waits. */
  oldestEvent(follower: string): number | null {
    return (this.#sql.oldestEvent.get(follower)!.event as number | null) ?? null;
  }

  all(): OwnKey[] {
    return this.#sql.all.all().map(({ key, revision }) => ({
      key: String(key),
      revision: revision === null ? null : Number(revision),
    }));
  }

  #isRemovedHere(key: string, value: string | null): boolean {
    const own = this.#statement(key.slice(STATEMENT.length));
    return own !== null && own.body === null && value !== null && statementIn(value).body !== null;
  }

  #statement(id: string): StatementRow | null {
    const row = this.#sql.statement.get(id);
    if (row === undefined) return null;
    const reporter = this.#sql.reporter.get(id);
    const hex = (bytes: unknown) => Buffer.from(bytes as Uint8Array).toString('hex');
    return {
      storedMs: Number(row.storedMs),
      body: row.body === null ? null : String(row.body),
      media: this.#sql.media.all(id).map(({ media }) => String(media)),
      reporter: reporter === undefined ? null : StoredReporterSchema.parse({ ...reporter }),
      repeat: row.repeat === null ? null : { name: hex(row.repeat), asked: hex(row.asked), token: String(row.token) },
    };
  }

  #follower(id: string): FollowerRow | null {
    const row = this.#sql.follower.get(id);
    if (row === undefined) return null;
    return FollowerRowSchema.parse({ ...row, ask: this.#sql.asking.get(id, ASKING)?.body ?? null });
  }

  #putStatement(id: string, row: StatementRow | null): () => void {
    const before = this.#statement(id);
    for (const sql of [this.#sql.dropReporter, this.#sql.dropMedia, this.#sql.dropStatement]) sql.run(id);
    if (row !== null) {
      const { storedMs, body, media, reporter, repeat } = row;
      const bytes = (hex: string | undefined) => (hex === undefined ? null : Buffer.from(hex, 'hex'));
      const repeated = [bytes(repeat?.name), bytes(repeat?.asked), repeat?.token ?? null] as const;
      this.#sql.putStatement.run(id, storedMs, body, ...repeated);
      for (const one of media) this.#sql.putMedia.run(id, one);
      if (reporter !== null) {
        const { name, email, phone, deviceId, accountId, reportedAt } = reporter;
        this.#sql.putReporter.run(id, name, email, phone, deviceId, accountId, reportedAt);
      }
    }
    if (before !== null && row !== null && textOfRow(before) === textOfRow(row)) return () => {};
    const media = (before?.media ?? []).filter((one) => this.#sql.isUsed.get(one) === undefined);
    return () => this.#changed({ media, isErased: before !== null });
  }

  #putFollower(id: string, row: FollowerRow | null): () => void {
    const before = this.#follower(id);
    if (row === null) {
      this.#sql.dropMessages.run(id);
      this.#sql.dropFollower.run(id);
      return before === null ? () => {} : () => this.#changed({ media: [], isErased: true });
    }
    const { ask, sentTo, ticket, token, secret, channel, contact, language, createdMs, confirmedMs, failingMs } = row;
    const about = [id, ticket, token, secret, channel, contact, language, createdMs, confirmedMs, failingMs] as const;
    this.#sql.putFollower.run(...about, sentTo);
    if (sentTo !== null) this.#sql.dropSent.run(id, ASKING, sentTo);
    else if (ask !== null) this.#sql.putMessage.run(id, ASKING, ask, createdMs);
    return () => {};
  }
}

function statementsOf(db: DatabaseSync) {
  return {
    place: db.prepare('select bucket, revision from shared_place'),
    begin: db.prepare('insert or replace into shared_place values (1, ?, 0)'),
    moveTo: db.prepare('update shared_place set revision = ?'),
    revision: db.prepare('select revision from shared_revisions where key = ?'),
    know: db.prepare('insert or replace into shared_revisions values (?, ?)'),
    forgetRevision: db.prepare('delete from shared_revisions where key = ?'),
    forgetRevisions: db.prepare('delete from shared_revisions'),
    all: db.prepare(`
      select own.key, revision from (
        select '${STATEMENT}' || id as key from statements union all select '${FOLLOWER}' || id from followers
      ) own left join shared_revisions on shared_revisions.key = own.key`),
    statement: db.prepare('select stored_ms as storedMs, body, repeat, asked, token from statements where id = ?'),
    reporter: db.prepare(`
      select name, email, phone, device_id as deviceId, account_id as accountId, reported_at as reportedAt
      from reporters where statement = ?`),
    media: db.prepare('select media from statement_media where statement = ? order by media'),
    isUsed: db.prepare('select 1 from statement_media where media = ?'),
    dropStatement: db.prepare('delete from statements where id = ?'),
    dropReporter: db.prepare('delete from reporters where statement = ?'),
    dropMedia: db.prepare('delete from statement_media where statement = ?'),
    putStatement: db.prepare(
      'insert into statements (id, stored_ms, body, repeat, asked, token) values (?, ?, ?, ?, ?, ?)',
    ),
    putMedia: db.prepare('insert or ignore into statement_media values (?, ?)'),
    putReporter: db.prepare('insert into reporters values (?, ?, ?, ?, ?, ?, ?)'),
    follower: db.prepare(`
      select id, ticket, token, secret, channel, contact, language, created_ms as createdMs,
        confirmed_ms as confirmedMs, failing_ms as failingMs, sent_to as sentTo
      from followers where id = ?`),
    asking: db.prepare('select body from progress where follower = ? and name = ?'),
    oldestEvent: db.prepare('select min(event) as event from progress where follower = ? and event > 0'),
    putFollower: db.prepare(`
      insert or replace into followers (id, ticket, token, secret, channel, contact, language, created_ms,
        confirmed_ms, failing_ms, sent_to)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    dropFollower: db.prepare('delete from followers where id = ?'),
    dropMessages: db.prepare('delete from progress where follower = ?'),
    // What was taken from the outbox before there was a cluster has no number.
    dropSent: db.prepare('delete from progress where follower = ? and (name = ? or (event > 0 and event <= ?))'),
    putMessage: db.prepare(`
      insert or ignore into progress (follower, name, body, attempt, due_ms, event) values (?, ?, ?, 0, ?, 0)`),
  };
}
