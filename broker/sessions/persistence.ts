import { Readable } from 'node:stream';
import type { SessionsFile } from './file.ts';
import type { Matched, Subscription } from './filters.ts';
import type { Queues } from './queues.ts';
import type { SessionRegistry } from './registry.ts';
import type { RetainedMessages, RetainedPacket } from './retained.ts';
import type { Packet, Session } from './session.ts';
import type { Will, Wills } from './wills.ts';

/** What a persistence knows of a client. */
interface ClientId {
  readonly id: string;
}
type Pubrel = { readonly cmd: 'pubrel'; readonly messageId: number };
type Incoming = Packet & { messageId: number };

/** What the persistence stands on. */
export interface PersistenceParts {
  readonly file: SessionsFile;
  readonly registry: SessionRegistry;
  readonly queues: Queues;
  readonly retained: RetainedMessages;
  readonly wills: Wills;
  /** The session of a client, begun where there is none; throws where it may not have one. */
  readonly begin: (id: string) => Session;
  /** Ends a session with all that belongs to it. */
  readonly end: (session: Session) => void;
  /** Whether a client may keep this subscription: Aedes hands over refused ones, too. */
  readonly mayRead: (id: string, filter: string) => boolean;
  /** Whether Aedes sends queues itself, when a client comes back. */
  readonly aedesDelivers: boolean;
  /** Called with each PUBACK. */
  readonly onAcknowledged: (id: string, messageId: number) => void;
}

const NO_PACKET = 'no such packet';

/** The asynchronous persistence of Aedes 1.2 (aedes-persistence 11) over the file of sessions. */
export class Persistence {
  readonly #parts: PersistenceParts;
  /**
   * Messages of QoS 2 that came in, until their PUBREL. In memory: each was on disk in the journal before it got here, and
   * one that comes again is found there by its content (promise 1).
   */
  readonly #incoming = new Map<string, Map<number, Incoming>>();
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

  /** Resolves when the subscriptions outlive a power loss. */
  async addSubscriptions({ id }: ClientId, subscriptions: readonly Subscription[]): Promise<void> {
    const allowed = subscriptions.filter(({ topic }) => this.#parts.mayRead(id, topic));
    if (allowed.length === 0) return;
    this.#parts.registry.subscribe(this.#parts.begin(id), allowed);
    await this.#parts.file.synced();
  }

  async removeSubscriptions({ id }: ClientId, filters: readonly string[]): Promise<void> {
    const session = this.#parts.registry.get(id);
    if (session === undefined) return;
    this.#parts.registry.unsubscribe(session, filters);
    await this.#parts.file.synced();
  }

  async subscriptionsByClient({ id }: ClientId): Promise<Subscription[]> {
    return [...(this.#parts.registry.get(id)?.subscriptions.values() ?? [])];
  }

  async subscriptionsByTopic(topic: string): Promise<Matched[]> {
    return this.#parts.registry.match(topic);
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    const { registry } = this.#parts;
    const clients = [...registry.all()].filter(({ subscriptions }) => subscriptions.size > 0);
    return { subsCount: registry.queueing, clientsCount: clients.length };
  }

  /** A client that connects without a kept session ends the one it had (MQTT 3.1.1 §3.1.2.4), with its queue. */
  async cleanSubscriptions({ id }: ClientId): Promise<void> {
    const session = this.#parts.registry.get(id);
    if (session !== undefined) this.#parts.end(session);
  }

  getClientList(filter: string): Readable {
    const having = [...this.#parts.registry.all()].filter(({ subscriptions }) => subscriptions.has(filter));
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
    const session = this.#parts.registry.get(id);
    if (session === undefined || !this.#parts.aedesDelivers) return Readable.from([]);
    return Readable.from(this.#parts.queues.all(session));
  }

  async outgoingUpdate({ id }: ClientId, packet: Packet | Pubrel): Promise<void> {
    const session = this.#parts.registry.get(id);
    if (session === undefined) throw new Error(NO_PACKET);
    if (packet.cmd === 'pubrel') {
      if (!this.#parts.queues.release(session, packet.messageId)) throw new Error(NO_PACKET);
      return;
    }
    const queued = this.#parts.queues.find(session, packet);
    if (queued === null) throw new Error(NO_PACKET);
    this.#parts.queues.assign(session, queued, packet.messageId!);
  }

  /** Without an id Aedes means a message that it did not send: that stays where it is. */
  async outgoingClearMessageId({ id }: ClientId, { messageId }: { messageId?: number }): Promise<Packet | undefined> {
    const session = this.#parts.registry.get(id);
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

  /** Wills of this run whose broker is not among these. */
  streamWill(brokers: Record<string, unknown> = {}): Readable {
    return Readable.from([...this.#parts.wills.all()].filter(({ brokerId }) => !(brokerId! in brokers)));
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error('destroyed twice');
    this.#destroyed = true;
    await this.#parts.file.close();
  }
}
