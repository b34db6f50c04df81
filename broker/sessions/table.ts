import { DAY_MS } from '../../domain/index.ts';
import type { SessionsFile } from './file.ts';
import { FilterTree, type Subscription } from './filters.ts';
import type { Owner, Session, SessionLimits } from './session.ts';

/** Time after a start in which no session expires: while the server was down, no client could return. */
const GRACE_MS = 3_600_000;
/** Stored as the last-seen time of a connected session; after a crash the next start counts instead. */
const CONNECTED = 0;

/** Kept sessions and their subscriptions, in memory and in the file; `Queues` has their queues. */
export class SessionTable {
  readonly #file: SessionsFile;
  readonly #limits: SessionLimits;
  readonly #sql;
  readonly #byId = new Map<string, Session>();
  readonly #byUser = new Map<string, Set<Session>>();
  readonly #tree = new FilterTree();
  readonly #startedMs: number;
  #lastKey = 0;

  constructor(file: SessionsFile, limits: SessionLimits, nowMs: number) {
    this.#startedMs = nowMs;
    this.#file = file;
    this.#limits = limits;
    this.#sql = statementsOf(file);
  }

  /** Reads the sessions from the file, none of them connected; returns them by key. */
  load(): ReadonlyMap<number, Session> {
    const byKey = new Map<number, Session>();
    for (const { key, id, user, secret, seen } of this.#sql.all.iterate()) {
      const owner = { user: String(user), secret: secret as Uint8Array };
      const session = newSession(Number(key), String(id), owner, seen === CONNECTED ? this.#startedMs : Number(seen));
      this.#lastKey = Math.max(this.#lastKey, session.key);
      byKey.set(session.key, session);
      this.#insert(session);
    }
    for (const { session, body } of this.#sql.subscriptions.iterate()) {
      const of = byKey.get(Number(session));
      if (of !== undefined) this.#subscribe(of, JSON.parse(String(body)) as Subscription);
    }
    return byKey;
  }

  get(id: string): Session | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<Session> {
    return this.#byId.values();
  }

  of(user: string): ReadonlySet<Session> {
    return this.#byUser.get(user) ?? new Set();
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Number of subscriptions of QoS 1 and 2: only these queue messages. */
  get queueing(): number {
    return this.#tree.size;
  }

  /** Creates a session. */
  create(id: string, owner: Owner, nowMs: number): Session {
    const session = newSession(++this.#lastKey, id, owner, nowMs);
    this.#insert(session);
    this.#file.write(this.#sql.insert, session.key, id, owner.user, owner.secret, nowMs);
    return session;
  }

  /** Deletes a session and its subscriptions. */
  delete(session: Session): void {
    this.unsubscribe(session, [...session.subscriptions.keys()]);
    this.#byId.delete(session.id);
    const others = this.#byUser.get(session.owner.user);
    if (others?.delete(session) && others.size === 0) this.#byUser.delete(session.owner.user);
    this.#file.write(this.#sql.delete, session.key);
  }

  subscribe(session: Session, subscriptions: readonly Subscription[]): void {
    for (const subscription of subscriptions) {
      const body = JSON.stringify(subscription);
      // A returning client often repeats the subscriptions that it has.
      if (JSON.stringify(session.subscriptions.get(subscription.topic)) === body) continue;
      this.#subscribe(session, { ...subscription });
      this.#file.write(this.#sql.subscribe, session.key, subscription.topic, body);
    }
  }

  unsubscribe(session: Session, filters: readonly string[]): void {
    for (const filter of filters) {
      if (!session.subscriptions.delete(filter)) continue;
      this.#tree.remove(session.id, filter);
      this.#file.write(this.#sql.unsubscribe, session.key, filter);
    }
  }

  /** Stores whether a session is connected, and now as its last-seen time. */
  seen(session: Session, connected: boolean, nowMs: number): void {
    session.connected = connected;
    session.seenMs = nowMs;
    this.#file.write(this.#sql.seen, connected ? CONNECTED : nowMs, session.key);
  }

  /** Returns the subscriptions of QoS 1 and 2 whose filter matches the topic. */
  match(topic: string): ReturnType<FilterTree['match']> {
    return this.#tree.match(topic);
  }

  /** Returns the sessions that have not been connected for `limits.days`; none in the first hour after a start. */
  expired(nowMs: number): Session[] {
    if (nowMs - this.#startedMs < GRACE_MS) return [];
    const oldest = nowMs - this.#limits.days * DAY_MS;
    return [...this.all()].filter(({ connected, seenMs }) => !connected && seenMs < oldest);
  }

  /** Returns whether a user has reached the limit of sessions. */
  isFull(user: string): boolean {
    return this.of(user).size >= this.#limits.perUser;
  }

  /** Returns the user's session that was disconnected first; null where all are connected. */
  longestAway(user: string): Session | null {
    let found: Session | null = null;
    for (const session of this.of(user)) {
      if (!session.connected && (found === null || session.seenMs < found.seenMs)) found = session;
    }
    return found;
  }

  #insert(session: Session): void {
    this.#byId.set(session.id, session);
    const { user } = session.owner;
    const others = this.#byUser.get(user) ?? new Set();
    this.#byUser.set(user, others.add(session));
  }

  #subscribe(session: Session, subscription: Subscription): void {
    session.subscriptions.set(subscription.topic, subscription);
    if (subscription.qos > 0) this.#tree.add(session.id, subscription);
    else this.#tree.remove(session.id, subscription.topic);
  }
}

function newSession(key: number, id: string, owner: Owner, seenMs: number): Session {
  const queue = { messages: 0, bytes: 0, newest: 0, inFlight: new Map(), lastMessageId: 0 };
  return { key, id, owner, subscriptions: new Map(), connected: false, seenMs, ...queue };
}

function statementsOf({ db }: SessionsFile) {
  return {
    all: db.prepare('select * from sessions'),
    subscriptions: db.prepare('select session, body from subscriptions'),
    insert: db.prepare('insert into sessions values (?, ?, ?, ?, ?)'),
    delete: db.prepare('delete from sessions where key = ?'),
    subscribe: db.prepare('insert or replace into subscriptions values (?, ?, ?)'),
    unsubscribe: db.prepare('delete from subscriptions where session = ? and filter = ?'),
    seen: db.prepare('update sessions set seen = ? where key = ?'),
  };
}
