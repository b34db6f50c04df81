import type { DatabaseSync } from 'node:sqlite';
import { transact } from '../store/index.ts';

export const CHANNELS = ['email', 'sms'] as const;
export type FollowChannel = (typeof CHANNELS)[number];

/** Somebody who wants news of a request. The contact is here and nowhere else. */
export interface Follower {
  readonly id: string;
  readonly ticket: string;
  /** The token of the request: their messages lead to its page. */
  readonly token: string;
  /** Confirms that they want it, and ends it. */
  readonly secret: string;
  readonly channel: FollowChannel;
  readonly contact: string;
  readonly language: 'en' | 'zh';
  readonly createdMs: number;
  /** Null: they have not said yet that it was they who asked. */
  readonly confirmedMs: number | null;
  /** Since when nothing could be sent to them; null: the last one was sent. */
  readonly failingMs: number | null;
}

/** A message that waits. */
export interface Waiting {
  readonly n: number;
  readonly follower: Follower;
  /** The same at every attempt. */
  readonly name: string;
  readonly body: string;
  /** The number of its event; 0: it is of none. */
  readonly event: number;
  /** Attempts so far. */
  readonly attempt: number;
}

/** A message that is to be sent. */
export interface Message extends Pick<Waiting, 'name' | 'body' | 'event'> {
  readonly follower: string;
  readonly dueMs: number;
}

/** How far the events of one outbox were read. */
interface Place {
  readonly store: string;
  readonly n: number;
}

const FIELDS = `id, ticket, token, secret, channel, contact, language, created_ms as createdMs,
  confirmed_ms as confirmedMs, failing_ms as failingMs`;

/** Who follows requests, and what waits to be sent to them: in the file of citizens, which its thread has opened. */
export class Followers {
  readonly #db: DatabaseSync;
  readonly #sql: ReturnType<typeof statementsOf>;
  /** Overwrites what deleted rows left in the file. */
  readonly #empty: () => void;

  constructor(db: DatabaseSync, empty: () => void) {
    this.#db = db;
    this.#sql = statementsOf(db);
    this.#empty = empty;
  }

  /** Adds a follower; returns the one that the contact is already. */
  add(follower: Follower): Follower {
    const { id, ticket, token, secret, channel, contact, language, createdMs } = follower;
    this.#sql.add.run(id, ticket, token, secret, channel, contact, language, createdMs);
    return followerOf(this.#sql.same.get(ticket, channel, contact))!;
  }

  bySecret(secret: string): Follower | null {
    return followerOf(this.#sql.bySecret.get(secret));
  }

  /** Returns the one that a contact is; null: it does not follow the request. */
  same(ticket: string, channel: FollowChannel, contact: string): Follower | null {
    return followerOf(this.#sql.same.get(ticket, channel, contact));
  }

  /** Returns who has confirmed that they follow a request, and was sent nothing of this event or a later one. */
  of(ticket: string, event: number): Follower[] {
    return this.#sql.of.all(ticket, event).map((row) => followerOf(row)!);
  }

  /** Returns how many follow a request, or were asked whether they do. */
  count(ticket: string): number {
    return Number(this.#sql.count.get(ticket)!.n);
  }

  /** Returns how many messages that ask were made for a contact since a moment. */
  asked(contact: string, sinceMs: number): number {
    return Number(this.#sql.asked.get(contact, sinceMs)!.n);
  }

  /** Returns the requests that somebody follows, in the order of their ids after one, up to a number. */
  followed(limit: number, after = ''): string[] {
    return this.#sql.followed.all(after, limit).map(({ ticket }) => String(ticket));
  }

  confirm(id: string, atMs: number): void {
    this.#sql.confirm.run(atMs, id);
  }

  failing(id: string, sinceMs: number | null): void {
    this.#sql.failing.run(sinceMs, id);
  }

  /** Deletes followers with what waits for them, from every byte of the file. */
  remove(ids: readonly string[]): void {
    if (ids.length === 0) return;
    transact(this.#db, () => {
      this.#sql.dropProgress.run(JSON.stringify(ids));
      this.#sql.drop.run(JSON.stringify(ids));
    });
    this.#empty();
  }

  /** Returns the ids of those who follow some requests, or were asked whether they do. */
  ofTickets(tickets: readonly string[]): string[] {
    return this.#sql.ofTickets.all(JSON.stringify(tickets)).map(({ id }) => String(id));
  }

  /** Returns the ids of those who were asked before a moment and have not confirmed. */
  unconfirmed(beforeMs: number): string[] {
    return this.#sql.unconfirmed.all(beforeMs).map(({ id }) => String(id));
  }

  /**
   * Adds messages and moves the place of the reader of events, both or neither. What was added before stays as it is.
   */
  put(messages: readonly Message[], place: Place | null): void {
    transact(this.#db, () => {
      for (const { follower, name, body, dueMs, event } of messages)
        this.#sql.put.run(follower, name, body, dueMs, event);
      if (place !== null) this.#sql.moveTo.run(place.store, place.n);
    });
  }

  place(): Place | null {
    const row = this.#sql.place.get();
    return row === undefined ? null : { store: String(row.store), n: Number(row.n) };
  }

  /** Returns the oldest message of each follower that is due, up to a number. */
  due(nowMs: number, limit: number): Waiting[] {
    return this.#sql.due.all(nowMs, limit).map(({ n, name, body, event, attempt, ...row }) => ({
      ...{ n: Number(n), name: String(name), body: String(body), event: Number(event), attempt: Number(attempt) },
      follower: followerOf(row)!,
    }));
  }

  /** Returns when the next message is due; null where none waits. */
  nextDue(): number | null {
    return (this.#sql.next.get()!.ms as number | null) ?? null;
  }

  done(n: number): void {
    this.#sql.done.run(n);
  }

  later(n: number, attempt: number, dueMs: number): void {
    this.#sql.later.run(attempt, dueMs, n);
  }
}

function followerOf(row: Readonly<Record<string, unknown>> | undefined): Follower | null {
  return row === undefined ? null : ({ ...row } as unknown as Follower);
}

function statementsOf(db: DatabaseSync) {
  const given = '(select value from json_each(?))';
  return {
    add: db.prepare(`
      insert or ignore into followers (id, ticket, token, secret, channel, contact, language, created_ms)
      values (?, ?, ?, ?, ?, ?, ?, ?)`),
    same: db.prepare(`select ${FIELDS} from followers where ticket = ? and channel = ? and contact = ?`),
    bySecret: db.prepare(`select ${FIELDS} from followers where secret = ?`),
    of: db.prepare(`select ${FIELDS} from followers
      where ticket = ? and confirmed_ms is not null and coalesce(sent_to, 0) < ?`),
    count: db.prepare('select count(*) as n from followers where ticket = ?'),
    asked: db.prepare('select count(*) as n from followers where contact = ? and created_ms > ?'),
    followed: db.prepare(`
      select distinct ticket from followers where ticket > ? and confirmed_ms is not null order by ticket limit ?`),
    confirm: db.prepare('update followers set confirmed_ms = ? where id = ? and confirmed_ms is null'),
    failing: db.prepare('update followers set failing_ms = ? where id = ?'),
    dropProgress: db.prepare(`delete from progress where follower in ${given}`),
    drop: db.prepare(`delete from followers where id in ${given}`),
    ofTickets: db.prepare(`select id from followers where ticket in ${given}`),
    unconfirmed: db.prepare('select id from followers where confirmed_ms is null and created_ms < ?'),
    put: db.prepare(`
      insert or ignore into progress (follower, name, body, attempt, due_ms, event) values (?, ?, ?, 0, ?, ?)`),
    moveTo: db.prepare('insert or replace into progress_cursor values (1, ?, ?)'),
    place: db.prepare('select store, n from progress_cursor'),
    due: db.prepare(`
      select progress.n, name, body, event, attempt, ${FIELDS} from progress join followers on followers.id = follower
      where due_ms <= ? and progress.n = (select min(n) from progress other where other.follower = progress.follower)
      order by progress.n limit ?`),
    next: db.prepare(`
      select min(due_ms) as ms from progress
      where n = (select min(n) from progress other where other.follower = progress.follower)`),
    done: db.prepare('delete from progress where n = ?'),
    later: db.prepare('update progress set attempt = ?, due_ms = ? where n = ?'),
  };
}
