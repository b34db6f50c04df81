import { Readable } from 'node:stream';
import type { SessionsFile } from './file.ts';
import type { Matched, Subscription } from './filters.ts';
import type { Queues } from './queues.ts';
import type { RetainedMessages, RetainedPacket } from './retained.ts';
import type { Packet, Session } from './session.ts';
import type { SessionTable } from './table.ts';
import type { Will, Wills } from './wills.ts';

/** The part of a client that the persistence uses. */
interface ClientId {
  readonly id: string;
}
type Pubrel = { readonly cmd: 'pubrel'; readonly messageId: number };
type Incoming = Packet & { messageId: number };

/** The parts behind the persistence. */
export interface PersistenceParts {
  readonly file: SessionsFile;
  readonly table: SessionTable;
  readonly queues: Queues;
  readonly retained: RetainedMessages;
  readonly wills: Wills;
  /**
   * Returns the session of a client, creates it where there is none. Throws `forbidden` or `busy` where it may not
   * have one.
   */
  readonly begin: (id: string) => Session;
  /** Deletes a session and all that belongs to it. */
  readonly end: (session: Session) => void;
  /** Whether a client may keep this subscription: Aedes passes refused ones, too. */
  readonly mayRead: (id: string, filter: string) => boolean;
  /** Whether Aedes itself sends the queue to a returning client. */
  readonly aedesDelivers: boolean;
  /** Called with each PUBACK. */
  readonly onAcknowledged: (id: string, messageId: number) => void;
}

const NO_PACKET = 'no such packet';

/** The asynchronous persistence of Aedes 1.2 (aedes-persistence 11) over the file of sessions. */
export class Persistence {
  readonly #parts: PersistenceParts;
  /**
   * Received messages of QoS 2 until their PUBREL. Memory is enough: each is already in the journal, which finds a
   * duplicate by its content (promise 1).
   */
  readonly #incoming = new Map<string, Map<number, Incoming>>();
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

  /** Resolves when the subscriptions are synced to disk. */
  addSubscriptions(client: ClientId, subscriptions: readonly Subscription[]): Promise<void> {
    const known = this.#added.get(subscriptions);
    if (known?.id === client.id) return known.done;
    const done = this.#add(client, subscriptions);
    this.#added.set(subscriptions, { id: client.id, done });
    return done;
  }

  async #add({ id }: ClientId, subscriptions: readonly Subscription[]): Promise<void> {
    const allowed = subscriptions.filter(({ topic }) => this.#parts.mayRead(id, topic));
    if (allowed.length === 0) return;
    this.#parts.table.subscribe(this.#parts.begin(id), allowed);
    await this.#parts.file.synced();
  }

  async removeSubscriptions({ id }: ClientId, filters: readonly string[]): Promise<void> {
    const session = this.#parts.table.get(id);
    if (session === undefined) return;
    this.#parts.table.unsubscribe(session, filters);
    await this.#parts.file.synced();
  }

  async subscriptionsByClient({ id }: ClientId): Promise<Subscription[]> {
    return [...(this.#parts.table.get(id)?.subscriptions.values() ?? [])];
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
    const session = this.#parts.table.get(id);
    if (session !== undefined) this.#parts.end(session);
  }

  getClientList(filter: string): Readable {
    const having = [...this.#parts.table.all()].filter(({ subscriptions }) => subscriptions.has(filter));
    return Readable.from(having.map(({ id }) => id));
  }

  async outgoingEnqueue(subscription: { readonly clientId: string }, packet: Packet): Promise<void> {
    await this.outgoingEnqueueCombi([subscription], packet);
  }

  async outgoingEnqueueCombi(subscriptions: readonly { readonly clientId: string }[], packet: Packet): Promise<void> {
    const ids = new Set(subscriptions.map(({ clientId }) => clientId));
    this.#parts.queues.add(
      [...ids].map((id) => this.#parts.begin(id)),
      packet,
    );
  }

  outgoingStream({ id }: ClientId): Readable {
    const session = this.#parts.table.get(id);
    if (session === undefined || !this.#parts.aedesDelivers) return Readable.from([]);
    return Readable.from(this.#parts.queues.all(session));
  }

  async outgoingUpdate({ id }: ClientId, packet: Packet | Pubrel): Promise<void> {
    const session = this.#parts.table.get(id);
    if (session === undefined) throw new Error(NO_PACKET);
    if (packet.cmd === 'pubrel') {
      if (!this.#parts.queues.release(session, packet.messageId)) throw new Error(NO_PACKET);
      return;
    }
    const queued = this.#parts.queues.find(session, packet);
    if (queued === null) throw new Error(NO_PACKET);
    this.#parts.queues.assign(session, queued, packet.messageId!);
  }

  /** Removes an acknowledged message. Without an id Aedes means a message that it did not send: that one stays. */
  async outgoingClearMessageId({ id }: ClientId, { messageId }: { messageId?: number }): Promise<Packet | undefined> {
    const session = this.#parts.table.get(id);
    if (session === undefined || messageId === undefined) return undefined;
    const packet = this.#parts.queues.acknowledge(session, messageId);
    this.#parts.onAcknowledged(id, messageId);
    return packet;
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

  async cleanIncoming({ id }: ClientId): Promise<void> {
    this.#incoming.delete(id);
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
