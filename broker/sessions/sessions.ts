import type { Client } from 'aedes';
import type { Logger } from 'pino';
import {
  type Clock,
  type DropReason,
  LamppostError,
  type Publication,
  type SessionChange,
  type Timers,
} from '../../domain/index.ts';
import { shown } from '../../limits/index.ts';
import { QuietLog } from '../quiet-log.ts';
import { Changes } from './changes.ts';
import { Clients } from './clients.ts';
import { Delivery } from './delivery.ts';
import { type Drop, Drops } from './drops.ts';
import { SessionsFile } from './file.ts';
import type { Subscription } from './filters.ts';
import { Groups, type MemberHooks } from './groups.ts';
import { Holders } from './holders.ts';
import { OwnLog, type SessionLog, type SessionRecords, SharedLog } from './log.ts';
import { type EventMessages, type MqttOutbox, Pages, Turns } from './outbox.ts';
import { Persistence } from './persistence.ts';
import { Queues } from './queues.ts';
import { RetainedMessages } from './retained.ts';
import { isGroup, nameOf, type Owner, type Session, type SessionLimits } from './session.ts';
import { SessionTable } from './table.ts';
import { takeOver } from './take-over.ts';
import { type LeftWill, Wills } from './wills.ts';

/** Who may open a session; while a secret is replaced, the old one is right too. */
interface Allowed extends Owner {
  readonly oldSecret?: Uint8Array | null;
}

/** What the sessions are given. */
export interface SessionsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns a random id. */
  readonly newId: () => string;
  /** Returns who may open the session of this name now; null where no user may. */
  readonly ownerOf: (id: string) => Allowed | null;
  /** Whether the owner of the session may read a topic or filter, and still wants the payload. */
  readonly mayRead: (id: string, topic: string, payload?: string) => boolean;
  /** Called with each command that its device has acknowledged. */
  readonly onArrived: (payload: string) => void;
  /** Called with each message that a network server has acknowledged. */
  readonly onDownlink: (topic: string, payload: string) => void;
  /** What groups of shared subscriptions ask about connections; absent: what is so of MQTT 3.1.1. */
  readonly members?: MemberHooks;
  /** Returns what a topic has for a new subscription beside its retained message. */
  readonly waiting: (topic: string) => readonly Publication[];
  /** Returns what waits for network servers. */
  readonly waitingDownlinks: () => readonly Publication[];
  /** Returns the payload of a retained topic after a restart; null keeps the one before. */
  readonly resting: (topic: string) => Buffer | null;
  readonly outbox: MqttOutbox;
  /** What this node shares with the others of a cluster; absent: it is alone. */
  readonly shared?: Shared | null;
}

/** The parts around the sessions of a cluster. */
export interface Shared {
  readonly records: SessionRecords;
  readonly timers: Timers;
  /** The status of a device, wherever it is connected. */
  readonly onStatus: (id: string, isOnline: boolean) => void;
  /** The client of a connection has logged in at another node. */
  readonly onTakenOver: (connection: object) => void;
  /** The others take this node for gone. */
  readonly onCutOff: () => void;
}

const PLAIN: MemberHooks = { sending: (_client, _share, write) => write(), mostOf: () => Number.POSITIVE_INFINITY };

/** Sessions that end in one round, at most: each may have a long queue. */
const MOST_ENDED = 10;
/** How often all places are written: after a crash the queues are counted from there. */
const SAVE_MS = 600_000;

/** What outlives the process: sessions with their places in the outbox, retained messages, wills. */
export class Sessions {
  readonly persistence: Persistence;
  readonly retained: RetainedMessages;
  /** Groups of shared subscriptions. */
  readonly groups: Groups;
  /** The connections of this node, as the other ones know them; null where there are none. */
  readonly clients: Clients | null;
  readonly #deps: SessionsDeps;
  readonly #quiet: QuietLog;
  readonly #table: SessionTable;
  readonly #outbox: MqttOutbox;
  readonly #turns = new Turns();
  readonly #queues: Queues;
  readonly #drops: Drops;
  readonly #wills: Wills;
  readonly #delivery: Delivery;
  readonly #log: SessionLog;
  readonly #holders: Holders | null;
  /** Sessions whose end is on its way into the log. */
  readonly #ending = new WeakSet<Session>();
  /** How long the sessions of connected clients of MQTT 5 are kept, s. */
  readonly #expiry = new Map<string, number>();
  #savedMs = 0;

  /** Opens or creates the file and ends sessions whose owner is gone or has a new secret. Throws `disk`, `too-new`. */
  constructor(deps: SessionsDeps, path: string, limits: SessionLimits) {
    this.#deps = deps;
    this.#quiet = new QuietLog(deps.log, deps.clock);
    this.#outbox = deps.outbox;
    const file = new SessionsFile(path, deps.log, (db) => takeOver(db, deps.outbox, deps.clock.now()));
    const { shared = null } = deps;
    const holders = shared === null ? null : new Holders(file, shared.records.node);
    this.#holders = holders;
    const places = {
      isHere: (id: string) => holders!.isHere(id),
      moved: (session: Session) => (this.#log as SharedLog).moved(session),
    };
    const table = new SessionTable(file, limits, deps.clock.now(), shared === null ? null : places);
    this.#table = table;
    const onDropped = (session: Session, reason: DropReason, messages: number) =>
      this.#dropped(session, reason, messages);
    const turns = this.#turns;
    const { mayRead } = deps;
    this.#queues = new Queues({ table, pages: new Pages(deps.outbox), turns, limits, mayRead, onDropped });
    this.#drops = new Drops(file, deps.newId, holders?.isOfAnother);
    this.#wills = new Wills(file, holders?.isOfAnother);
    this.retained = new RetainedMessages(file, deps.resting, deps.waiting, deps.waitingDownlinks);
    const { onArrived, onDownlink } = deps;
    this.#delivery = new Delivery({ table, queues: this.#queues, turns, onDropped, onArrived, onDownlink });
    const { ownerOf, members = PLAIN } = deps;
    const isAlone = shared === null;
    const about = { table, turns, limits, mayRead, onDropped, ownerOf, members, isAlone };
    this.groups = new Groups({ ...about, queues: this.#queues, delivery: this.#delivery });
    table.shared = this.groups;
    const changes = new Changes(table, holders, {
      onLost: (session, reason) => this.#dropped(session, reason, session.messages + session.sent.size),
      onLess: (session) => this.#queues.recount(session),
      onArrived: (session) => this.#turns.add(() => this.#queues.count(session)),
      onHeld: (id, isHere) => this.clients!.held(id, isHere),
      onStatus: (id, isOnline) => shared!.onStatus(id, isOnline),
    });
    const joined = shared === null ? null : this.#join(shared, { file, holders: holders!, changes });
    this.clients = joined?.clients ?? null;
    this.#log = joined?.log ?? new OwnLog(changes, file, deps.clock);
    this.persistence = new Persistence({
      file,
      table,
      retained: this.retained,
      wills: this.#wills,
      log: this.#log,
      subscribing: (id, subscriptions) => this.#subscribing(id, subscriptions),
      end: (session) => this.#end(session),
      mayRead,
      ready: joined === null ? null : (id) => joined.clients.ready(id),
      onAcknowledged: (id, messageId) => this.settled(id, messageId, true),
    });
    this.#load();
  }

  #load(): void {
    const { head, retained } = this.#outbox.now();
    for (const { payload, ...message } of retained)
      this.retained.store({ cmd: 'publish', ...message, payload: Buffer.from(payload), retain: true });
    this.#table.load({ store: this.#outbox.store(), head });
    this.groups.loaded();
    for (const session of [...this.#table.all()]) {
      if (isGroup(session.id) || this.#isOwned(session)) this.#turns.add(() => this.#queues.count(session));
      else if (session.isHere) this.#end(session);
    }
  }

  #join({ records, ...shared }: Shared, parts: { file: SessionsFile; holders: Holders; changes: Changes }) {
    const { clock, newId } = this.#deps;
    const [table, run] = [this.#table, newId()];
    const log = new SharedLog({ ...parts, ...shared, records, run, clock, table });
    const clients = new Clients({ ...parts, ...shared, log, table, isOwned: (session) => this.#isOwned(session) });
    return { log, clients };
  }

  /** Returns the next events of the outbox, at most `limit`; none where there are none yet. */
  events(limit: number): readonly EventMessages[] {
    const after = Math.max(this.#table.head, this.#outbox.oldest() - 1);
    return this.#outbox.between(after, after + limit);
  }

  /** Adds the next event to the queues; returns for each of its messages the sessions whose queue has it. */
  queue(event: EventMessages): readonly ReadonlySet<string>[] {
    const added = this.#queues.add(event);
    const ids = event.messages.map(() => new Set<string>());
    for (const [session, messages] of added) {
      for (const { i } of messages) ids[i]!.add(session.id);
      this.#queues.trim(session);
      const share = { n: event.n, messages };
      if (isGroup(session.id)) this.groups.added(session, share);
      else this.#delivery.added(session, share);
    }
    return ids;
  }

  /**
   * Opens the delivery to a client with a kept session. The client has no CONNACK yet. `expiry`: how long its session
   * is kept after the connection, s; null: as long as the limit.
   */
  connected(client: Client, expiry: number | null = null): void {
    if (expiry === null) this.#expiry.delete(client.id);
    else this.#expiry.set(client.id, expiry);
    this.persistence.returned(client.id);
    this.#delivery.open(client);
    this.#seen(client.id, true);
  }

  /** Starts the delivery: the client has its CONNACK. */
  ready(client: Client): void {
    this.#delivery.start(client);
  }

  /** Ends a message to a client, which has acknowledged it, or (`isArrived` false) cannot get it. */
  settled(id: string, messageId: number, isArrived: boolean): void {
    this.groups.acknowledged(id, messageId);
    // A kept session has lent its id.
    this.#delivery.acknowledged(id, messageId, isArrived);
  }

  /**
   * Ends the delivery, unless another connection of the session has replaced this one. `expiry` as for `connected`;
   * with 0 the session ends.
   */
  disconnected(client: Client, expiry: number | null = null): void {
    this.groups.left(client);
    if (client.clean || expiry === 0) void this.persistence.cleanIncoming(client);
    else this.persistence.left(client.id);
    if (!this.#delivery.close(client)) return;
    if (expiry !== null) this.#expiry.set(client.id, expiry);
    this.#seen(client.id, false);
    this.#expiry.delete(client.id);
    const session = this.#table.get(client.id);
    if (expiry === 0 && session !== undefined && this.clients === null) this.#end(session);
  }

  /** Returns a message id for a retained message that Aedes sends; 0 where none is free. */
  lendMessageId(id: string): number {
    return this.#delivery.lend(id);
  }

  /**
   * Whether the session of a client has this subscription already, and keeps messages for it: with QoS 0 it does not.
   */
  hasSubscription(id: string, filter: string): boolean {
    return (this.#table.get(id)?.subscriptions.get(filter)?.subscription.qos ?? 0) > 0;
  }

  /** Whether the client has a session or may begin one. */
  hasRoom(id: string): boolean {
    const owner = this.#deps.ownerOf(id);
    if (owner === null) return false;
    if (this.#table.get(id) !== undefined || !this.#table.isFull(owner.user)) return true;
    return this.#table.longestAway(owner.user) !== null;
  }

  /** Whether the user of a session may subscribe to this filter: it has a bound of groups. */
  hasGroup(id: string, filter: string): boolean {
    return this.groups.hasRoom(id, filter);
  }

  /** Ends the sessions of these users: a later user of the same name must not inherit them. */
  endOf(users: Iterable<string>): void {
    for (const user of users) {
      for (const session of [...this.#table.of(user)]) if (session.isHere) this.#end(session);
      void this.persistence.cleanIncoming({ id: user });
    }
  }

  /** Ends expired sessions, at most `MOST_ENDED` a call; returns the drops to publish now. */
  maintain(): readonly Drop[] {
    const now = this.#deps.clock.now();
    for (const session of this.#table.expired(now).slice(0, MOST_ENDED)) this.#expire(session);
    const oldest = this.#outbox.oldest();
    for (const session of this.#table.all()) this.#queues.check(session, oldest);
    if (now - this.#savedMs >= SAVE_MS) {
      this.#savedMs = now;
      this.#table.save();
    }
    return this.#drops.due(now);
  }

  /** Deletes drops whose publication is confirmed. */
  published(drops: readonly Drop[]): void {
    this.#drops.published(drops);
  }

  /** Whether a client is connected to another node of the cluster. */
  isElsewhere(id: string): boolean {
    const holder = this.#holders?.get(id);
    return holder?.online === true && holder.node !== this.#holders!.me;
  }

  /** Returns the wills of connections that were open when the run before ended. */
  leftWills(): readonly LeftWill[] {
    return this.#wills.left();
  }

  /** Forgets a left will that is on disk or may not be published. */
  settleWill(will: LeftWill): void {
    this.#wills.settle(will);
  }

  /** Returns the gauges of sessions, queues and retained messages. */
  counts(): { sessions: number; sessionsConnected: number; queued: number; queueDropped: number; retained: number } {
    let queued = 0;
    let connected = 0;
    let sessions = 0;
    for (const session of this.#table.all()) {
      queued += session.messages + session.sent.size;
      if (!isGroup(session.id)) sessions++;
      if (session.connected && session.isHere) connected++;
    }
    const retained = this.retained.size;
    return { sessions, sessionsConnected: connected, queued, queueDropped: this.#drops.messages, retained };
  }

  /** Stops the delivery and closes the file when all writes are on disk. */
  async close(): Promise<void> {
    if (this.clients === null)
      for (const session of this.#table.all()) if (session.connected) this.#seen(session.id, false);
    await this.clients?.stop();
    this.#delivery.stop();
    this.#turns.stop();
    this.#table.stop();
    await this.persistence.destroy();
  }

  #seen(id: string, connected: boolean): void {
    const session = this.#table.get(id);
    // In a cluster the log says who is connected.
    if (session === undefined || this.clients !== null) return;
    session.expiry = this.#expiry.get(id) ?? null;
    this.#table.seen(session, connected, this.#deps.clock.now());
  }

  /**
   * Returns the changes that a SUBSCRIBE makes. Throws `forbidden` or `busy` where the client may not have a session.
   */
  #subscribing(id: string, subscriptions: readonly Subscription[]): SessionChange[] {
    const session = this.#table.get(id);
    const begun = session === undefined ? this.#beginning(id) : [];
    const wanted = subscriptions.filter(({ topic }) => this.hasGroup(id, topic));
    const added = this.#table.newTo(session, wanted);
    if (added.length === 0) return begun;
    return [...begun, { do: 'subscribe', id, subscriptions: added, since: this.#table.head }];
  }

  #beginning(id: string): SessionChange[] {
    const owner = this.#deps.ownerOf(id);
    if (owner === null) throw new LamppostError('forbidden', `${id} may not keep a session`);
    const [connected, expiry] = [this.#delivery.isOpen(id), this.#expiry.get(id) ?? null];
    const room = this.#table.isFull(owner.user) ? this.#roomFor(owner.user) : [];
    return [...room, { ...Changes.begin(id, owner), place: this.#table.head, connected, expiry }];
  }

  #roomFor(user: string): SessionChange[] {
    const away = this.#table.longestAway(user);
    if (away === null) throw new LamppostError('busy', `${user} has as many sessions as it may, all of them connected`);
    return [{ ...Changes.end(away), seen: away.seenMs, reason: 'too-many-sessions' }];
  }

  #expire(session: Session): void {
    if (this.#holders?.endsHere(session.id) ?? true) this.#end(session, { seen: session.seenMs, reason: 'expired' });
  }

  /** Ends a session: at once, or where the log says so. */
  #end(session: Session, why: { readonly seen: number; readonly reason: 'expired' } | null = null): void {
    if (this.#ending.has(session)) return;
    this.#ending.add(session);
    const ended = this.#log.append([{ ...Changes.end(session), ...why }]);
    // What the log does not take in time is appended later; what the disk does not take is ended again at the start.
    void ended.catch(() => {}).finally(() => this.#ending.delete(session));
  }

  #dropped(session: Session, reason: DropReason, messages: number): void {
    const { owner } = session;
    const [id, { user }] = [nameOf(session.id), owner];
    this.#quiet.warn(user, reason, 'messages of a session dropped', { session: shown(id), messages });
    this.#drops.add({ session: id, user, reason, messages }, this.#deps.clock.now());
    // In one transaction, or a crash would count them twice.
    this.#table.write(session);
  }

  #isOwned({ id, owner }: Session): boolean {
    const now = this.#deps.ownerOf(id);
    if (now === null || now.user !== owner.user) return false;
    const secrets = [now.secret, ...(now.oldSecret ? [now.oldSecret] : [])];
    return secrets.some((secret) => Buffer.compare(secret, owner.secret) === 0);
  }
}
