import type { Client } from 'aedes';
import type { Logger } from 'pino';
import { type Clock, type DropReason, LamppostError } from '../../domain/index.ts';
import { QuietLog, shown } from '../quiet-log.ts';
import { Delivery } from './delivery.ts';
import { type Drop, Drops } from './drops.ts';
import { SessionsFile } from './file.ts';
import { Persistence } from './persistence.ts';
import { Queues } from './queues.ts';
import { RetainedMessages } from './retained.ts';
import type { Owner, Packet, Session, SessionLimits } from './session.ts';
import { SessionTable } from './table.ts';
import { type LeftWill, Wills } from './wills.ts';

/** What the sessions are given. */
export interface SessionsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns a random id. */
  readonly newId: () => string;
  /** Returns who may open the session of this name now; null where no user may. */
  readonly ownerOf: (id: string) => Owner | null;
  /** Whether the owner of the session may read a topic or filter. */
  readonly mayRead: (id: string, topic: string) => boolean;
  /** Returns the payload of a retained topic after a restart; null keeps the one before. */
  readonly resting: (topic: string) => Buffer | null;
  /** Whether Aedes sends queues itself; default false. */
  readonly aedesDelivers?: boolean;
}

/** Sessions that end in one round, at most: each may have a long queue. */
const MOST_ENDED = 10;
const NONE: ReadonlySet<string> = new Set();

/** What outlives the process: sessions with their queues, retained messages, wills. */
export class Sessions {
  readonly persistence: Persistence;
  readonly retained: RetainedMessages;
  readonly #deps: SessionsDeps;
  readonly #quiet: QuietLog;
  readonly #file: SessionsFile;
  readonly #table: SessionTable;
  readonly #queues: Queues;
  readonly #drops: Drops;
  readonly #wills: Wills;
  readonly #delivery: Delivery;

  /** Opens or creates the file and ends sessions whose owner is gone or has a new secret. Throws `disk`, `too-new`. */
  constructor(deps: SessionsDeps, path: string, limits: SessionLimits) {
    this.#deps = deps;
    this.#quiet = new QuietLog(deps.log, deps.clock);
    const file = new SessionsFile(path, deps.log);
    this.#file = file;
    this.#table = new SessionTable(file, limits, deps.clock.now());
    this.#queues = new Queues(file, limits, (session, reason, messages) => this.#dropped(session, reason, messages));
    this.#drops = new Drops(file, deps.newId);
    this.#wills = new Wills(file);
    this.retained = new RetainedMessages(file, deps.resting);
    this.#delivery = new Delivery(this.#table, this.#queues);
    this.persistence = new Persistence({
      file,
      table: this.#table,
      queues: this.#queues,
      retained: this.retained,
      wills: this.#wills,
      begin: (id) => this.#begin(id),
      end: (session) => this.#end(session),
      mayRead: deps.mayRead,
      aedesDelivers: deps.aedesDelivers ?? false,
      onAcknowledged: (id, messageId) => this.#delivery.acknowledged(id, messageId),
    });
    this.#queues.load(this.#table.load());
    for (const session of [...this.#table.all()]) if (!this.#isOwned(session)) this.#end(session);
  }

  /** Queues a message for every session that subscribes to its topic; returns their ids. */
  queue(packet: Packet): ReadonlySet<string> {
    const ids = new Set<string>();
    for (const { clientId } of this.#table.match(packet.topic)) {
      if (this.#deps.mayRead(clientId, packet.topic)) ids.add(clientId);
    }
    if (ids.size === 0) return NONE;
    const sessions = [...ids].map((id) => this.#table.get(id)!);
    const before = sessions.map(({ newest }) => newest);
    const message = this.#queues.add(sessions, packet);
    for (const [i, session] of sessions.entries()) this.#delivery.added(session, message, before[i]!);
    return ids;
  }

  /** Resolves when all that was published so far outlives a power loss. */
  synced(): Promise<void> {
    return this.#file.synced();
  }

  /** Opens the delivery to a client with a kept session. The client has no CONNACK yet. */
  connected(client: Client): void {
    this.#delivery.open(client);
    this.#seen(client.id, true);
  }

  /** Starts the delivery: the client has its CONNACK. */
  ready(client: Client): void {
    this.#delivery.start(client);
  }

  /** Ends the delivery, unless another connection of the session has replaced this one. */
  disconnected(client: Client): void {
    void this.persistence.cleanIncoming(client);
    if (this.#delivery.close(client)) this.#seen(client.id, false);
  }

  /** Returns a message id for a retained message that Aedes sends; 0 where none is free. */
  lendMessageId(id: string): number {
    return this.#delivery.lend(id);
  }

  /** Whether the client has a session or may begin one. */
  hasRoom(id: string): boolean {
    const owner = this.#deps.ownerOf(id);
    if (owner === null) return false;
    if (this.#table.get(id) !== undefined || !this.#table.isFull(owner.user)) return true;
    return this.#table.longestAway(owner.user) !== null;
  }

  /** Ends the sessions of these users: a later user of the same name must not inherit them. */
  endOf(users: Iterable<string>): void {
    for (const user of users) for (const session of [...this.#table.of(user)]) this.#end(session);
  }

  /** Ends expired sessions, at most `MOST_ENDED` a call; returns the drops to publish now. */
  maintain(): readonly Drop[] {
    const now = this.#deps.clock.now();
    for (const session of this.#table.expired(now).slice(0, MOST_ENDED)) this.#lose(session, 'expired');
    return this.#drops.due(now);
  }

  /** Deletes drops whose publication is confirmed. */
  published(drops: readonly Drop[]): void {
    this.#drops.published(drops);
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
    for (const session of this.#table.all()) {
      queued += session.messages;
      if (session.connected) connected++;
    }
    const { size } = this.#table;
    const retained = this.retained.size;
    return { sessions: size, sessionsConnected: connected, queued, queueDropped: this.#drops.messages, retained };
  }

  /** Stops the delivery and closes the file when all writes are on disk. */
  async close(): Promise<void> {
    for (const session of this.#table.all()) if (session.connected) this.#seen(session.id, false);
    this.#delivery.stop();
    await this.persistence.destroy();
  }

  #seen(id: string, connected: boolean): void {
    const session = this.#table.get(id);
    if (session !== undefined) this.#table.seen(session, connected, this.#deps.clock.now());
  }

  #begin(id: string): Session {
    const known = this.#table.get(id);
    if (known !== undefined) return known;
    const owner = this.#deps.ownerOf(id);
    if (owner === null) throw new LamppostError('forbidden', `${id} may not keep a session`);
    if (this.#table.isFull(owner.user)) this.#makeRoom(owner.user);
    const session = this.#table.create(id, owner, this.#deps.clock.now());
    if (this.#delivery.isOpen(id)) this.#seen(id, true);
    return session;
  }

  #makeRoom(user: string): void {
    const away = this.#table.longestAway(user);
    if (away === null) throw new LamppostError('busy', `${user} has as many sessions as it may, all of them connected`);
    this.#lose(away, 'too-many-sessions');
  }

  /** Ends a session against its owner's wish and counts its messages as dropped. */
  #lose(session: Session, reason: DropReason): void {
    this.#dropped(session, reason, session.messages);
    this.#end(session);
  }

  #dropped({ id, owner: { user } }: Session, reason: DropReason, messages: number): void {
    this.#quiet.warn(user, reason, 'messages of a session dropped', { session: shown(id), messages });
    this.#drops.add({ session: id, user, reason, messages }, this.#deps.clock.now());
  }

  #end(session: Session): void {
    this.#queues.clear(session);
    this.#table.delete(session);
  }

  #isOwned({ id, owner }: Session): boolean {
    const now = this.#deps.ownerOf(id);
    return now !== null && now.user === owner.user && Buffer.compare(now.secret, owner.secret) === 0;
  }
}
