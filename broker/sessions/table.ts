import type { SQLOutputValue } from 'node:sqlite';
import { DAY_MS, HOUR_MS, UNNAMED } from '../../domain/index.ts';
import { isShared } from '../share.ts';
import type { SessionsFile } from './file.ts';
import { FilterTree, type Subscription } from './filters.ts';
import { isGroup, type KeptSubscription, type Owner, type Sent, type Session, type SessionLimits } from './session.ts';

/** Time after a start in which no session expires: while the server was down, no client could return. */
const GRACE_MS = HOUR_MS;
/** Stored as the last-seen time of a connected session; after a crash the next start counts instead. */
const CONNECTED = 0;
/**
 * How long a place waits for its row: one for all that is acknowledged meanwhile. After a crash its messages come
 * again.
 */
const PLACE_MS = 100;

/** How places get into the log of a cluster. */
export interface PlaceLog {
  /** Whether the session of this name is this node's. */
  isHere(id: string): boolean;
  /** The client of a session of this node has acknowledged something. */
  moved(session: Session): void;
}

/** What groups of shared subscriptions need of the table. */
export interface SharedHooks {
  /** A session has a shared subscription; `qos` null: no longer. */
  kept(session: Session, filter: string, qos: number | null): void;
  ended(session: Session): void;
}

/**
 * Kept sessions with their subscriptions and places, in memory and in the file; `Queues` has their queues. In a cluster
 * the file changes only by what the log says, places included.
 */
export class SessionTable {
  readonly #file: SessionsFile;
  readonly #limits: SessionLimits;
  readonly #sql;
  readonly #byId = new Map<string, Session>();
  readonly #byUser = new Map<string, Set<Session>>();
  readonly #tree = new FilterTree();
  readonly #startedMs: number;
  readonly #places: PlaceLog | null;
  /** Sessions with another place than their row. */
  readonly #moved = new Set<Session>();
  #timer: NodeJS.Timeout | undefined;
  #lastKey = 0;
  /** Number of the newest event of the outbox. */
  head = 0;
  shared: SharedHooks | null = null;

  /** `places`: null on one machine. */
  constructor(file: SessionsFile, limits: SessionLimits, nowMs: number, places: PlaceLog | null = null) {
    this.#startedMs = nowMs;
    this.#places = places;
    this.#file = file;
    this.#limits = limits;
    this.#sql = statementsOf(file);
  }

  /** Reads the sessions from the file; on one machine none of them is connected. */
  load(outbox: { readonly store: string; readonly head: number }): void {
    this.head = outbox.head;
    const most = this.#places === null ? this.#goBack(outbox) : Number.POSITIVE_INFINITY;
    const byKey = new Map<number, Session>();
    for (const row of this.#sql.all.iterate()) {
      const session = sessionOf(row, most);
      session.connected = this.#places !== null && row.seen === CONNECTED;
      if (row.seen === CONNECTED) session.seenMs = this.#startedMs;
      session.isHere = this.#places?.isHere(session.id) ?? true;
      if (!session.isHere) session.counted = null;
      this.#lastKey = Math.max(this.#lastKey, session.key);
      byKey.set(session.key, session);
      this.#insert(session);
      if (this.#places === null) this.write(session);
    }
    for (const { session, body, since } of this.#sql.subscriptions.iterate()) {
      const subscription = JSON.parse(String(body)) as Subscription;
      const of = byKey.get(Number(session));
      if (of !== undefined) this.#subscribe(of, { subscription, since: Math.min(Number(since), most) });
    }
  }

  /**
   * A place in another outbox, or in one that went back to a backup, is none in this one: returns the last event that a
   * place may be. In a cluster the outbox follows the log, perhaps after the sessions do.
   */
  #goBack({ store, head }: { readonly store: string; readonly head: number }): number {
    const known = this.#sql.store.get()?.store ?? store;
    const most = known === store || known === UNNAMED ? head : 0;
    this.#file.write(this.#sql.setStore, store);
    this.#file.write(this.#sql.goBack, most, most);
    return most;
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

  /** Creates a session; only events after its place are for it. */
  create(id: string, owner: Owner, nowMs: number, place = this.head): Session {
    const session = newSession(++this.#lastKey, id, owner, nowMs);
    session.place = place;
    session.recorded = place;
    session.isHere = this.#places?.isHere(id) ?? true;
    this.#insert(session);
    this.#file.write(this.#sql.insert, session.key, id, owner.user, owner.secret, nowMs, session.place);
    return session;
  }

  /** Deletes a session and its subscriptions. */
  delete(session: Session): void {
    this.unsubscribe(session, [...session.subscriptions.keys()]);
    this.#byId.delete(session.id);
    const others = this.#byUser.get(session.owner.user);
    if (others?.delete(session) && others.size === 0) this.#byUser.delete(session.owner.user);
    this.#moved.delete(session);
    this.shared?.ended(session);
    this.#file.write(this.#sql.delete, session.key);
  }

  /** Returns the subscriptions that a session does not have: a returning client often repeats those that it has. */
  newTo(session: Session | undefined, subscriptions: readonly Subscription[]): Subscription[] {
    const known = (topic: string) => session?.subscriptions.get(topic)?.subscription;
    return subscriptions.filter((one) => JSON.stringify(known(one.topic)) !== JSON.stringify(one));
  }

  /**
   * Adds subscriptions to events after number `after`; one that the session has stays as it is. Returns whether one of
   * them has become one of QoS 0, which queues nothing.
   */
  subscribe(session: Session, subscriptions: readonly Subscription[], after = this.head): boolean {
    let isLess = false;
    for (const one of this.newTo(session, subscriptions)) {
      const known = session.subscriptions.get(one.topic);
      const wasQueued = known !== undefined && known.subscription.qos > 0;
      const since = wasQueued ? known.since : after;
      this.#subscribe(session, { subscription: { ...one }, since });
      this.#file.write(this.#sql.subscribe, session.key, one.topic, JSON.stringify(one), since);
      isLess ||= wasQueued && one.qos === 0;
    }
    return isLess;
  }

  /** Ends subscriptions; returns whether any of them was there. */
  unsubscribe(session: Session, filters: readonly string[]): boolean {
    const ended = filters.filter((filter) => session.subscriptions.delete(filter));
    for (const filter of ended) {
      this.#tree.remove(session.id, filter);
      this.#file.write(this.#sql.unsubscribe, session.key, filter);
      if (isShared(filter)) this.shared?.kept(session, filter, null);
    }
    return ended.length > 0;
  }

  /** Notes that a session has another place or other messages in flight: soon in its row, or in the log. */
  moved(session: Session): void {
    if (this.#places !== null) {
      this.#places.moved(session);
      return;
    }
    this.#moved.add(session);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const one of this.#moved) this.write(one);
      this.#moved.clear();
    }, PLACE_MS);
  }

  /** Reports whether events after the place of a session may be for it: where nothing waits, none is. */
  isBehind({ place, messages, counted }: Session): boolean {
    return place < this.head && (messages > 0 || counted !== null);
  }

  /** Returns the event up to which the client of a session has all that is for it. */
  acknowledged(session: Session): number {
    const [oldest] = session.sent.values();
    const place = this.isBehind(session) ? session.place : Math.max(session.place, this.head);
    return oldest === undefined ? place : Math.min(place, oldest.n - 1);
  }

  /** Notes what the log says of the place of a session. */
  placed(session: Session, place: number): void {
    session.recorded = place;
    if (!session.isHere) session.place = place;
    this.#file.write(this.#sql.place, place, '[]', session.key);
  }

  /** The client has come to this node: its queue is counted from its place in the log. */
  arrived(session: Session): void {
    this.left(session);
    session.isHere = true;
    session.counted = session.place < this.head ? session.place : null;
  }

  /** The client has gone to another node, which sends it what follows its place in the log. */
  left(session: Session): void {
    session.sent.clear();
    Object.assign(session, {
      isHere: false,
      place: session.recorded,
      messages: 0,
      bytes: 0,
      counted: null,
      before: null,
    });
  }

  /** Writes the place and the messages in flight of a session; in a cluster soon into the log. */
  write(session: Session): void {
    if (this.#places !== null) {
      this.#places.moved(session);
      return;
    }
    const sent = JSON.stringify([...session.sent].map(rowOf));
    this.#file.write(this.#sql.place, this.isBehind(session) ? session.place : this.head, sent, session.key);
  }

  /** Writes the places of all sessions, also of those for which nothing came. */
  save(): void {
    for (const session of this.all()) if (session.isHere) this.write(session);
    this.#moved.clear();
  }

  /** Writes the places for the last time. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#places === null) this.save();
  }

  /** Stores whether a session is connected, and now as its last-seen time. */
  seen(session: Session, connected: boolean, nowMs: number): void {
    session.connected = connected;
    session.seenMs = nowMs;
    this.#file.write(this.#sql.seen, connected ? CONNECTED : nowMs, session.expiry, session.key);
  }

  /** Returns the subscriptions of QoS 1 and 2 whose filter matches the topic. */
  match(topic: string): ReturnType<FilterTree['match']> {
    return this.#tree.match(topic);
  }

  /**
   * Returns the sessions that have not been connected for `limits.days` or their own time; in the first hour after a
   * start only those that were connected since.
   */
  expired(nowMs: number): Session[] {
    const inGrace = nowMs - this.#startedMs < GRACE_MS;
    const mostMs = this.#limits.days * DAY_MS;
    return [...this.all()].filter(({ id, connected, seenMs, expiry }) => {
      // A group ends with its last member.
      if (isGroup(id) || connected || (inGrace && seenMs <= this.#startedMs)) return false;
      return seenMs < nowMs - Math.min(mostMs, (expiry ?? Number.POSITIVE_INFINITY) * 1_000);
    });
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
    if (isGroup(session.id)) return;
    const { user } = session.owner;
    const others = this.#byUser.get(user) ?? new Set();
    this.#byUser.set(user, others.add(session));
  }

  #subscribe(session: Session, kept: KeptSubscription): void {
    const { subscription } = kept;
    session.subscriptions.set(subscription.topic, kept);
    const { topic, qos } = subscription;
    // Its messages are in the queue of the group.
    if (isShared(topic)) this.shared?.kept(session, topic, qos);
    else if (qos > 0) this.#tree.add(session.id, subscription);
    else this.#tree.remove(session.id, topic);
  }
}

function newSession(key: number, id: string, owner: Owner, seenMs: number): Session {
  const queue = {
    place: 0,
    recorded: 0,
    messages: 0,
    bytes: 0,
    counted: null,
    before: null,
    sent: new Map(),
    lastMessageId: 0,
  };
  const connection = { isHere: true, connected: false, seenMs, expiry: null };
  return { key, id, owner, subscriptions: new Map(), ...connection, ...queue };
}

/** A message in flight: its id, event, place among the messages of that, bytes; of a group also who got it, as what. */
type SentRow = [id: number, n: number, i: number, bytes: number, to?: string, messageId?: number];

function rowOf([id, { n, i, bytes, to }]: [number, Sent]): SentRow {
  return to === undefined ? [id, n, i, bytes] : [id, n, i, bytes, to.id, to.messageId];
}

/** Returns the session of a row, whose queue is not counted yet; it goes on after event `most` at the latest. */
function sessionOf(row: Record<string, SQLOutputValue>, most: number): Session {
  const owner = { user: String(row.user), secret: row.secret as Uint8Array };
  const session = newSession(Number(row.key), String(row.id), owner, Number(row.seen));
  for (const [id, n, i, bytes, to, messageId] of JSON.parse(String(row.sent)) as SentRow[]) {
    const of = to === undefined || messageId === undefined ? {} : { to: { id: to, messageId } };
    if (n <= most) session.sent.set(id, { n, i, bytes, ...of });
  }
  session.expiry = row.expiry === null ? null : Number(row.expiry);
  session.place = Math.min(Number(row.place), most);
  session.recorded = session.place;
  session.counted = session.place;
  return session;
}

function statementsOf({ db }: SessionsFile) {
  return {
    store: db.prepare('select store from outbox'),
    setStore: db.prepare('insert or replace into outbox values (1, ?)'),
    goBack: db.prepare('update subscriptions set since = ? where since > ?'),
    all: db.prepare('select * from sessions'),
    subscriptions: db.prepare('select session, body, since from subscriptions'),
    insert: db.prepare('insert into sessions (key, id, user, secret, seen, place) values (?, ?, ?, ?, ?, ?)'),
    delete: db.prepare('delete from sessions where key = ?'),
    subscribe: db.prepare('insert or replace into subscriptions values (?, ?, ?, ?)'),
    unsubscribe: db.prepare('delete from subscriptions where session = ? and filter = ?'),
    seen: db.prepare('update sessions set seen = ?, expiry = ? where key = ?'),
    place: db.prepare('update sessions set place = ?, sent = ? where key = ?'),
  };
}
