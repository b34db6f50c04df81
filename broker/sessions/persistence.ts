import { Readable } from 'node:stream';
import type { SessionChange } from '../../domain/index.ts';
import type { SessionsFile } from './file.ts';
import type { Matched, Subscription } from './filters.ts';
import type { SessionLog } from './log.ts';
import type { RetainedMessages, RetainedPacket } from './retained.ts';
import type { Packet, Session } from './session.ts';
import type { SessionTable } from './table.ts';
import type { Will, Wills } from './wills.ts';

/** The part of a client that the persistence uses. */
interface ClientId {
  readonly id: string;
}
type Incoming = Packet & { messageId: number };

/** The parts behind the persistence. */
export interface PersistenceParts {
  readonly file: SessionsFile;
  readonly table: SessionTable;
  readonly retained: RetainedMessages;
  readonly wills: Wills;
  readonly log: SessionLog;
  /**
   * Returns the changes that subscriptions make. Throws `forbidden` or `busy` where the client may not keep a session.
   */
  readonly subscribing: (id: string, subscriptions: readonly Subscription[]) => readonly SessionChange[];
  /** Resolves once the session of a client is as other nodes left it; null where there are none. */
  readonly ready: ((id: string) => Promise<void>) | null;
  /** Ends a session and all that belongs to it. */
  readonly end: (session: Session) => void;
  /** Whether a client may keep this subscription: Aedes passes refused ones, too. */
  readonly mayRead: (id: string, filter: string) => boolean;
  /** Called with each PUBACK. */
  readonly onAcknowledged: (id: string, messageId: number) => void;
}

const NO_PACKET = 'no such packet';
const NONE = { size: 0 };
/** Ids of received messages that are kept for clients that are away, of all of them; the longest away are forgotten. */
const MOST_AWAY = 100_000;

/**
 * The asynchronous persistence of Aedes 1.2 (aedes-persistence 11) over the file of sessions, without its queues of
 * outgoing messages: those are in the outbox.
 */
export class Persistence {
  readonly #parts: PersistenceParts;
  /**
   * Received messages of QoS 2 until their PUBREL, also while their client is away (MQTT-3.1.2-4). Memory is enough:
   * each is already in the journal, which after a crash finds a duplicate by its content (promise 1).
   */
  readonly #incoming = new Map<string, Map<number, Incoming>>();
  /** Clients that are away, in the order in which they left, with how many of these they have. */
  readonly #away = new Map<string, number>();
  #awayMessages = 0;
  /** What became of a list of subscriptions: Aedes passes the whole list once for each of its filters. */
  readonly #added = new WeakMap<readonly Subscription[], { readonly id: string; readonly done: Promise<void> }>();
  #broker: { readonly id: string } | undefined;
  #destroyed = false;

  constructor(parts: PersistenceParts) {
    this.#parts = parts;
  }

  get broker() {
    return this.#broker;
  }

  async setup(broker: { readonly id: string }): Promise<void> {
    this.#broker = broker;
  }

  async storeRetained(packet: RetainedPacket): Promise<void> {
    this.#parts.retained.store(packet);
  }

  createRetainedStream(filter: string): Readable {
    return Readable.from(this.#parts.retained.matching(filter));
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#parts.retained.matchingAny(filters));
  }

  /** Resolves when the subscriptions are on disk. */
  addSubscriptions(client: ClientId, subscriptions: readonly Subscription[]): Promise<void> {
    const known = this.#added.get(subscriptions);
    if (known?.id === client.id) return known.done;
    const done = this.#add(client, subscriptions);
    this.#added.set(subscriptions, { id: client.id, done });
    return done;
  }

  async #add({ id }: ClientId, subscriptions: readonly Subscription[]): Promise<void> {
    // Aedes passes the list with its first filter: the options of the others are noted in the same turn.
    await Promise.resolve();
    const allowed = subscriptions.filter(({ topic }) => this.#parts.mayRead(id, topic));
    if (allowed.length === 0) return;
    await this.#parts.log.append(this.#parts.subscribing(id, allowed));
  }

  async removeSubscriptions({ id }: ClientId, filters: readonly string[]): Promise<void> {
    if (this.#parts.table.get(id) === undefined) return;
    await this.#parts.log.append([{ do: 'unsubscribe', id, filters }]);
  }

  async subscriptionsByClient({ id }: ClientId): Promise<Subscription[]> {
    if (this.#parts.ready !== null) await this.#parts.ready(id);
    return [...(this.#parts.table.get(id)?.subscriptions.values() ?? [])].map(({ subscription }) => subscription);
  }

  async subscriptionsByTopic(topic: string): Promise<Matched[]> {
    return this.#parts.table.match(topic);
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    const { table } = this.#parts;
    const clients = [...table.all()].filter(({ subscriptions }) => subscriptions.size > 0);
    return { subsCount: table.queueing, clientsCount: clients.length };
  }

  /** Deletes the session and queue of a client that connects with a clean session (MQTT 3.1.1 §3.1.2.4). */
  async cleanSubscriptions({ id }: ClientId): Promise<void> {
    if (this.#parts.ready !== null && this.#parts.table.get(id) !== undefined) await this.#parts.ready(id);
    const session = this.#parts.table.get(id);
    if (session !== undefined) this.#parts.end(session);
  }

  getClientList(filter: string): Readable {
    const having = [...this.#parts.table.all()].filter(({ subscriptions }) => subscriptions.has(filter));
    return Readable.from(having.map(({ id }) => id));
  }

  /** Sends nothing: `Delivery` has the queue of a returning client. */
  outgoingStream(): Readable {
    return Readable.from([]);
  }

  /** Rejects: Aedes sends no message of a queue. */
  async outgoingUpdate(): Promise<void> {
    throw new Error(NO_PACKET);
  }

  /** Ends an acknowledged message. Without an id Aedes means a message that it did not send: that one stays. */
  async outgoingClearMessageId({ id }: ClientId, { messageId }: { messageId?: number }): Promise<undefined> {
    if (messageId !== undefined) this.#parts.onAcknowledged(id, messageId);
  }

  async incomingStorePacket({ id }: ClientId, { length: _, ...packet }: Incoming & { length?: number }): Promise<void> {
    const ofClient = this.#incoming.get(id) ?? new Map<number, Incoming>();
    this.#incoming.set(id, ofClient.set(packet.messageId, packet));
  }

  async incomingGetPacket({ id }: ClientId, { messageId }: { messageId: number }): Promise<Incoming> {
    const packet = this.#incoming.get(id)?.get(messageId);
    if (packet === undefined) throw new Error(NO_PACKET);
    return packet;
  }

  async incomingDelPacket({ id }: ClientId, { messageId }: { messageId: number }): Promise<void> {
    if (!this.#incoming.get(id)?.delete(messageId)) throw new Error(NO_PACKET);
  }

  /** Reports whether a message of QoS 2 was received whose PUBREL has not come. */
  isReceived(id: string, messageId: number): boolean {
    return this.#incoming.get(id)?.has(messageId) ?? false;
  }

  async cleanIncoming({ id }: ClientId): Promise<void> {
    this.returned(id);
    this.#incoming.delete(id);
  }

  /** The client of a kept session is away: its received messages are kept within the bound. */
  left(id: string): void {
    this.returned(id);
    const { size } = this.#incoming.get(id) ?? NONE;
    if (size === 0) return;
    this.#away.set(id, size);
    this.#awayMessages += size;
    for (const longest of this.#away.keys()) {
      if (this.#awayMessages <= MOST_AWAY) return;
      this.returned(longest);
      this.#incoming.delete(longest);
    }
  }

  /** The client is back, or its session ended. */
  returned(id: string): void {
    this.#awayMessages -= this.#away.get(id) ?? 0;
    this.#away.delete(id);
  }

  async putWill({ id }: ClientId, will: Will): Promise<void> {
    Object.assign(will, { brokerId: this.#broker?.id, clientId: id });
    this.#parts.wills.put(id, will);
  }

  async getWill({ id }: ClientId): Promise<Will | undefined> {
    return this.#parts.wills.get(id);
  }

  async delWill({ id }: ClientId): Promise<Will | undefined> {
    return this.#parts.wills.delete(id);
  }

  /** Streams the wills of this run whose broker is not in `brokers`. */
  streamWill(brokers: Record<string, unknown> = {}): Readable {
    return Readable.from([...this.#parts.wills.all()].filter(({ brokerId }) => !(brokerId! in brokers)));
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error('destroyed twice');
    this.#destroyed = true;
    await this.#parts.file.close();
  }
}
