import type { Client } from 'aedes';
import type { Logger } from 'pino';
import { type Clock, type DropReason, LamppostError } from '../../domain/index.ts';
import { Delivery } from './delivery.ts';
import { type Drop, Drops } from './drops.ts';
import { SessionsFile } from './file.ts';
import { Persistence } from './persistence.ts';
import { Queues } from './queues.ts';
import { SessionRegistry } from './registry.ts';
import { RetainedMessages } from './retained.ts';
import type { Owner, Packet, Session, SessionLimits } from './session.ts';
import { type LastWord, Wills } from './wills.ts';

/** What sessions ask of their surroundings. */
export interface SessionsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** A random id. */
  readonly newId: () => string;
  /** Who may open the session of this name now; null for nobody. */
  readonly ownerOf: (id: string) => Owner | null;
  /** Whether the owner of the session may read a topic or filter. */
  readonly mayRead: (id: string, topic: string) => boolean;
  /** What a retained topic says after a restart; null for what it said before. */
  readonly resting: (topic: string) => Buffer | null;
  readonly aedesDelivers?: boolean;
}

/** At most so many sessions end in one round: each may have a long queue. */
const MOST_ENDED = 10;
const NOBODY: ReadonlySet<string> = new Set();

/** What survives the broker: sessions with their queues, retained messages, wills. */
export class Sessions {
  readonly persistence: Persistence;
  readonly retained: RetainedMessages;
  readonly #deps: SessionsDeps;
  readonly #file: SessionsFile;
  readonly #registry: SessionRegistry;
  readonly #queues: Queues;
  readonly #drops: Drops;
  readonly #wills: Wills;
  readonly #delivery: Delivery;

  /** Opens or makes the file. Sessions whose owner is gone, or has another secret, end. Throws `disk` where it cannot. */
  constructor(deps: SessionsDeps, path: string, limits: SessionLimits) {
    this.#deps = deps;
    const file = new SessionsFile(path, deps.log);
    this.#file = file;
    this.#registry = new SessionRegistry(file, limits, deps.clock.now());
    this.#queues = new Queues(file, limits, (session, reason, messages) => this.#dropped(session, reason, messages));
    this.#drops = new Drops(file, deps.newId);
    this.#wills = new Wills(file);
    this.retained = new RetainedMessages(file, deps.resting);
    this.#delivery = new Delivery(this.#registry, this.#queues);
    this.persistence = new Persistence({
      file,
      registry: this.#registry,
      queues: this.#queues,
      retained: this.retained,
      wills: this.#wills,
      begin: (id) => this.#begin(id),
      end: (session) => this.#end(session),
      mayRead: deps.mayRead,
      aedesDelivers: deps.aedesDelivers ?? false,
      onAcknowledged: (id, messageId) => this.#delivery.acknowledged(id, messageId),
    });
    this.#queues.load(this.#registry.load());
    for (const session of [...this.#registry.all()]) if (!this.#isOwned(session)) this.#end(session);
  }

  /** Queues a message for every session that subscribes to its topic; answers which. */
  queue(packet: Packet): ReadonlySet<string> {
    const ids = new Set<string>();
    for (const { clientId } of this.#registry.match(packet.topic)) {
      if (this.#deps.mayRead(clientId, packet.topic)) ids.add(clientId);
    }
    if (ids.size === 0) return NOBODY;
    const sessions = [...ids].map((id) => this.#registry.get(id)!);
    const before = sessions.map(({ newest }) => newest);
    const message = this.#queues.add(sessions, packet);
    for (const [i, session] of sessions.entries()) this.#delivery.added(session, message, before[i]!);
    return ids;
  }

  /** Resolves when all that was published so far outlives a power loss. */
  synced(): Promise<void> {
    return this.#file.synced();
  }

  /** A client that asked for a kept session is known to Aedes, but has no CONNACK yet. */
  connected(client: Client): void {
    this.#delivery.open(client);
    this.#seen(client.id, true);
  }

  /** It has its CONNACK. */
  ready(client: Client): void {
    this.#delivery.start(client);
  }

  disconnected(client: Client): void {
    void this.persistence.cleanIncoming(client);
    if (this.#delivery.close(client)) this.#seen(client.id, false);
  }

  /** An id under which Aedes may send the client a retained message; 0 where there is none. */
  lendMessageId(id: string): number {
    return this.#delivery.lend(id);
  }

  /** Whether the client has a session or may begin one. */
  hasRoom(id: string): boolean {
    const owner = this.#deps.ownerOf(id);
    if (owner === null) return false;
    if (this.#registry.get(id) !== undefined || !this.#registry.isFull(owner.user)) return true;
    return this.#registry.longestAway(owner.user) !== null;
  }

  /** Ends the sessions of these users: what comes later is not for them, nor for others of their names. */
  endOf(users: Iterable<string>): void {
    for (const user of users) for (const session of [...this.#registry.of(user)]) this.#end(session);
  }

  /** Ends what has expired, some of it at once where it is much; answers which drops are to be told now. */
  maintain(): readonly Drop[] {
    const now = this.#deps.clock.now();
    for (const session of this.#registry.expired(now).slice(0, MOST_ENDED)) this.#lose(session, 'expired');
    return this.#drops.due(now);
  }

  /** These drops were heard. */
  told(drops: readonly Drop[]): void {
    this.#drops.told(drops);
  }

  /** Wills of connections that the run before did not end. */
  lastWords(): readonly LastWord[] {
    return this.#wills.left();
  }

  /** A last word has been said, or nobody may say it. */
  said(word: LastWord): void {
    this.#wills.said(word);
  }

  counts(): { sessions: number; sessionsConnected: number; queued: number; queueDropped: number; retained: number } {
    let queued = 0;
    let connected = 0;
    for (const session of this.#registry.all()) {
      queued += session.messages;
      if (session.connected) connected++;
    }
    const { size } = this.#registry;
    const retained = this.retained.size;
    return { sessions: size, sessionsConnected: connected, queued, queueDropped: this.#drops.messages, retained };
  }

  /** Sends nothing more, and closes the file when all is on disk. */
  async close(): Promise<void> {
    for (const session of this.#registry.all()) if (session.connected) this.#seen(session.id, false);
    this.#delivery.stop();
    await this.persistence.destroy();
  }

  #seen(id: string, connected: boolean): void {
    const session = this.#registry.get(id);
    if (session !== undefined) this.#registry.seen(session, connected, this.#deps.clock.now());
  }

  #begin(id: string): Session {
    const known = this.#registry.get(id);
    if (known !== undefined) return known;
    const owner = this.#deps.ownerOf(id);
    if (owner === null) throw new LamppostError('forbidden', `${id} may not keep a session`);
    if (this.#registry.isFull(owner.user)) this.#makeRoom(owner.user);
    const session = this.#registry.create(id, owner, this.#deps.clock.now());
    if (this.#delivery.isOpen(id)) this.#seen(id, true);
    return session;
  }

  #makeRoom(user: string): void {
    const away = this.#registry.longestAway(user);
    if (away === null) throw new LamppostError('busy', `${user} has as many sessions as it may, all of them connected`);
    this.#lose(away, 'too-many-sessions');
  }

  /** Ends a session that its owner did not end. */
  #lose(session: Session, reason: DropReason): void {
    this.#dropped(session, reason, session.messages);
    this.#end(session);
  }

  #dropped({ id, owner: { user } }: Session, reason: DropReason, messages: number): void {
    this.#deps.log.warn({ session: id, reason, messages }, 'messages of a session dropped');
    this.#drops.add({ session: id, user, reason, messages }, this.#deps.clock.now());
  }

  #end(session: Session): void {
    this.#queues.clear(session);
    this.#registry.delete(session);
  }

  #isOwned({ id, owner }: Session): boolean {
    const now = this.#deps.ownerOf(id);
    return now !== null && now.user === owner.user && Buffer.compare(now.secret, owner.secret) === 0;
  }
}
