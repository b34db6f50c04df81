import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { z } from 'zod';
import { type Clock, DAY_MS, isoOf, type ShapeOf } from '../domain/index.ts';
import { openDatabase, type RoomSchema, transact } from '../store/index.ts';
import { hashSecret, newSecret } from './credentials.ts';
import { LINK_MS, type OneTimeLink } from './one-time.ts';

const SCHEMA: RoomSchema = {
  room: 'signed-in',
  steps: [
    `create table web_sessions (
      hash blob primary key, id text not null unique, person text not null, stamp integer not null, how text not null,
      made_ms integer not null, seen_ms integer not null, address text not null, agent text not null
    ) strict, without rowid;
    create table links (
      person text primary key, hash blob not null unique, stamp integer not null, until_ms integer not null
    ) strict, without rowid;
    create table codes (person text primary key, step integer not null) strict, without rowid;`,
  ],
};

/** How somebody signed in. */
const WAYS = ['password', 'link', 'oidc'] as const;
export type Way = (typeof WAYS)[number];

/** A session of a person, without its secret. */
export const WebSessionSchema = z
  .object({
    id: z.string(),
    how: z.enum(WAYS),
    madeAt: z.iso.datetime(),
    seenAt: z.iso.datetime().describe('The last request, to a minute'),
    address: z.string().describe('Where the person signed in'),
    agent: z.string().describe('The browser, as it names itself'),
  })
  .meta({ id: 'Session', description: 'A browser in which a person is signed in' });
export type WebSession = ShapeOf<typeof WebSessionSchema>;

/** A session as it is kept. */
export interface KeptSession {
  readonly id: string;
  readonly person: string;
  readonly stamp: number;
  readonly how: Way;
  readonly madeMs: number;
  seenMs: number;
  readonly address: string;
  readonly agent: string;
}

interface Options {
  readonly path: string;
  /** A session ends this long after its last request. */
  readonly idleMs: number;
}

/** Whoever stays signed in does so for at most this long. */
const LONGEST_MS = 30 * DAY_MS;
/** The sessions of one person; beyond it, the one that was not used for the longest time ends. */
const MOST_OF_PERSON = 50;
/** The time of the last request is written this often. */
const SEEN_EVERY_MS = 60_000;
const MOST_AGENT = 200;

/**
 * Who is signed in: sessions and one-time links, by the SHA-256 of their random secrets. They are not in the log, and
 * not in backups: whoever restores one signs in again. Requests read them from memory.
 */
export class SignedIn {
  readonly #clock: Clock;
  readonly #options: Options;
  /** By the hash of the secret, hex. */
  readonly #sessions = new Map<string, KeptSession>();
  /** The hashes by the ids of their sessions. */
  readonly #hashes = new Map<string, string>();
  #db!: DatabaseSync;
  #put!: StatementSync;
  #drop!: StatementSync;

  constructor(clock: Clock, options: Options) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Opens the file, or creates it. Throws `disk`, `too-new`. */
  open(): this {
    this.#db = openDatabase(this.#options.path, { schemas: [SCHEMA] });
    this.#put = this.#db.prepare('insert or replace into web_sessions values (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#drop = this.#db.prepare('delete from web_sessions where hash = ?');
    for (const row of this.#db.prepare('select * from web_sessions').all())
      this.#keep(Buffer.from(row.hash as Uint8Array).toString('hex'), sessionOf(row));
    return this;
  }

  /** Idempotent. */
  close(): void {
    if (this.#db?.isOpen) this.#db.close();
  }

  /** Makes a session, on disk when it returns; returns its secret. */
  begin(
    { id: person, stamp }: { readonly id: string; readonly stamp: number },
    { how, address, agent }: Pick<KeptSession, 'how' | 'address' | 'agent'>,
  ): { readonly secret: string; readonly session: KeptSession } {
    this.#expire();
    const own = this.#of(person).toSorted(([, a], [, b]) => a.seenMs - b.seenMs);
    for (const [hash] of own.slice(0, Math.max(0, own.length + 1 - MOST_OF_PERSON))) this.#end(hash);
    const nowMs = this.#clock.now();
    const id = `ses-${newSecret().slice(0, 12)}`;
    const session = {
      id,
      person,
      stamp,
      how,
      madeMs: nowMs,
      seenMs: nowMs,
      address,
      agent: agent.slice(0, MOST_AGENT),
    };
    const secret = newSecret();
    const hash = hashSecret(secret).toString('hex');
    this.#write(hash, session);
    this.#keep(hash, session);
    return { secret, session };
  }

  /** Returns the session of a secret, and notes that it is used; null where there is none, or it has ended. */
  use(secret: string): KeptSession | null {
    const hash = hashSecret(secret).toString('hex');
    const session = this.#sessions.get(hash);
    if (session === undefined) return null;
    const nowMs = this.#clock.now();
    if (this.#isOver(session, nowMs)) {
      this.#end(hash);
      return null;
    }
    if (nowMs - session.seenMs >= SEEN_EVERY_MS) {
      session.seenMs = nowMs;
      this.#write(hash, session);
    }
    return session;
  }

  /** Returns the sessions of a person under a stamp, the newest first. */
  list(person: string, stamp: number): WebSession[] {
    const nowMs = this.#clock.now();
    return this.#of(person)
      .map(([, session]) => session)
      .filter((session) => session.stamp === stamp && !this.#isOver(session, nowMs))
      .toSorted((a, b) => b.madeMs - a.madeMs)
      .map(({ id, how, madeMs, seenMs, address, agent }) => {
        return { id, how, madeAt: isoOf(madeMs), seenAt: isoOf(seenMs), address, agent };
      });
  }

  /** Returns a session by its id; null where it has ended. */
  get(id: string): KeptSession | null {
    const found = this.#sessions.get(this.#hashes.get(id) ?? '');
    return found === undefined || this.#isOver(found, this.#clock.now()) ? null : found;
  }

  /** Ends one session of a person; false where there is none. */
  end(person: string, id: string): boolean {
    const hash = this.#hashes.get(id) ?? '';
    const found = this.#sessions.get(hash)?.person === person;
    if (found) this.#end(hash);
    return found;
  }

  /** Ends all sessions of a person, and their link. */
  endAll(person: string): void {
    for (const [hash] of this.#of(person)) this.#end(hash);
    this.#db.prepare('delete from links where person = ?').run(person);
  }

  /** Makes the link of a person, which replaces an earlier one; returns its secret. */
  makeLink({ id, stamp }: { readonly id: string; readonly stamp: number }): OneTimeLink {
    const secret = newSecret();
    const untilMs = this.#clock.now() + LINK_MS;
    this.#db.prepare('insert or replace into links values (?, ?, ?, ?)').run(id, hashSecret(secret), stamp, untilMs);
    return { secret, untilMs };
  }

  /** Uses up a link; returns whose it was, and under which stamp; null where there is none, or it is too old. */
  useLink(secret: string): { readonly person: string; readonly stamp: number } | null {
    const row = this.#db.prepare('delete from links where hash = ? returning *').get(hashSecret(secret));
    if (row === undefined || Number(row.until_ms) < this.#clock.now()) return null;
    return { person: String(row.person), stamp: Number(row.stamp) };
  }

  /** Accepts the code of a step; false where that one, or a later one, was accepted before. */
  useCode(person: string, step: number): boolean {
    const insert = `insert into codes values (?, ?)
      on conflict (person) do update set step = excluded.step where excluded.step > step`;
    return this.#db.prepare(insert).run(person, step).changes > 0;
  }

  #isOver({ madeMs, seenMs }: KeptSession, nowMs: number): boolean {
    return nowMs - seenMs > this.#options.idleMs || nowMs - madeMs > LONGEST_MS;
  }

  #of(person: string) {
    return [...this.#sessions].filter(([, session]) => session.person === person);
  }

  #keep(hash: string, session: KeptSession): void {
    this.#sessions.set(hash, session);
    this.#hashes.set(session.id, hash);
  }

  #end(hash: string): void {
    this.#drop.run(Buffer.from(hash, 'hex'));
    this.#hashes.delete(this.#sessions.get(hash)?.id ?? '');
    this.#sessions.delete(hash);
  }

  /** Forgets what is over: with every sign-in. */
  #expire(): void {
    const nowMs = this.#clock.now();
    transact(this.#db, () => {
      for (const [hash, session] of this.#sessions) if (this.#isOver(session, nowMs)) this.#end(hash);
      this.#db.prepare('delete from links where until_ms < ?').run(nowMs);
    });
  }

  #write(hash: string, { id, person, stamp, how, madeMs, seenMs, address, agent }: KeptSession): void {
    this.#put.run(Buffer.from(hash, 'hex'), id, person, stamp, how, madeMs, seenMs, address, agent);
  }
}

function sessionOf(row: Readonly<Record<string, SQLOutputValue>>): KeptSession {
  return {
    id: String(row.id),
    person: String(row.person),
    stamp: Number(row.stamp),
    how: String(row.how) as Way,
    madeMs: Number(row.made_ms),
    seenMs: Number(row.seen_ms),
    address: String(row.address),
    agent: String(row.agent),
  };
}
