import { Aedes, type AedesPublishPacket, type Client } from 'aedes';
import mqemitter from 'mqemitter';
import type { EventMessages, Packet, Sessions } from './sessions/index.ts';
import { plainFilter } from './share.ts';

type Published = Partial<Packet> & Pick<Packet, 'topic' | 'payload'>;
const NONE: ReadonlySet<string> = new Set();

/** Members that Aedes 1.2.0 does not declare. */
interface Undeclared {
  id: string;
  counter: number;
  opts: { persistence?: unknown };
  mq: { emit(packet: object): void };
  maxTopicLevels: number;
  readonly clients: Readonly<Record<string, Client | undefined>>;
}

/**
 * An Aedes that fans out only messages of Lamppost itself: messages of clients go to the journal, and are never fanned
 * out or stored as retained. The fan-out is synchronous: in the asynchronous steps of Aedes one message could
 * overtake another, which Aedes would then drop as a duplicate.
 */
export class IngestAedes extends Aedes {
  #sessions: Sessions | undefined;
  /** Ids of the sessions that have queued the message of the current fan-out. */
  #queuedFor = NONE;

  constructor(options: ConstructorParameters<typeof Aedes>[0]) {
    super({ mq: eagerEmitter(), ...options });
    // Topics of clients never come to its emitter, and `SUBSCRIBE` refuses filters that are too deep for it. Aedes
    // would end the connection instead.
    (this as unknown as Undeclared).maxTopicLevels = Number.POSITIVE_INFINITY;
  }

  /** Starts with these sessions as persistence. */
  async listenWith(sessions: Sessions): Promise<void> {
    this.#sessions = sessions;
    (this as unknown as Undeclared).opts.persistence = sessions.persistence;
    await this.listen();
  }

  override publish(...args: Parameters<Aedes['publish']>): void {
    const [packet, client, done] = args as unknown as [Published, Client | null | (() => void), (() => void)?];
    const isOurs = client === null || client === undefined || typeof client === 'function';
    if (isOurs) this.#fanOut(packet);
    if (typeof client === 'function') client();
    else done?.();
  }

  /** Publishes the messages of the next event of the outbox: kept sessions get them from their queues. */
  publishEvent(event: EventMessages): void {
    const queued = this.#sessions!.queue(event);
    for (const [i, message] of event.messages.entries()) {
      this.#queuedFor = queued[i]!;
      this.#fanOut({ ...message, payload: Buffer.from(message.payload) });
    }
    this.#queuedFor = NONE;
  }

  /** Returns the connection of a client id; null where it has none. */
  connectionOf(id: string): Client['conn'] | null {
    return (this as unknown as Undeclared).clients[id]?.conn ?? null;
  }

  /** Forgets a message of QoS 2 for which no PUBREL comes: a client of MQTT 5 learned that it was refused. */
  forget(client: Client, messageId: number): void {
    (client as unknown as { readonly _inboundInflight: Set<number> })._inboundInflight.delete(messageId);
    this.#sessions?.persistence.incomingDelPacket(client, { messageId }).catch(() => {});
  }

  /** Returns the packet that Aedes sends to the client; null where the client gets it from its queue. */
  forward(client: Client, packet: AedesPublishPacket): AedesPublishPacket | null {
    if (this.#queuedFor.has(client.id)) return null;
    if (client.clean || packet.qos === 0 || !packet.retain) return packet;
    // A retained message after a subscribe: its id must differ from the ids of the queue.
    const messageId = this.#sessions!.lendMessageId(client.id);
    return Object.assign(packet, messageId === 0 ? { qos: 0 as const } : { messageId });
  }

  #fanOut({ topic, payload, qos = 0, retain = false }: Published): void {
    const broker = this as unknown as Undeclared;
    const origin = { brokerId: broker.id, brokerCounter: ++broker.counter };
    const packet: Packet = { cmd: 'publish', ...origin, topic, payload, qos, retain, dup: false };
    if (retain) this.#sessions?.retained.store(packet);
    // Those of QoS 1 are in the queues of groups.
    if (qos === 0) this.#sessions?.groups.forward(topic, payload);
    broker.mq.emit(packet);
  }
}

/**
 * Returns the name of a client's session (§3.1.3.1). It contains the user name, so that a client cannot take over the
 * session of another user by its client id. The client id of a device is its id; programs choose theirs. User names
 * have no slash.
 */
export function sessionName(username: string, clientId: string): string {
  return clientId === '' || clientId === username ? clientId : `${username}/${clientId}`;
}

/** Returns the user name in the name of a session. */
export function userOf(session: string): string {
  return session.split('/', 1)[0]!;
}

/** Returns whether a client is subscribed to live readings. A kept session restores subscriptions without a packet. */
export function readsLive(client: Client): boolean {
  return Object.keys(subscriptionsOf(client)).some(reachesLive);
}

/** Returns the subscriptions of a connected client, by filter. */
export function subscriptionsOf(client: Client): Readonly<Record<string, { readonly qos: number }>> {
  return (client as unknown as { subscriptions: Record<string, { readonly qos: number }> }).subscriptions;
}

/** Returns whether a filter, which may be shared, reaches live readings. */
export function reachesLive(shared: string): boolean {
  const filter = plainFilter(shared);
  return filter === '#' || filter.startsWith('live/') || filter.startsWith('+/');
}

/**
 * Returns an emitter whose `emit` completes at once: a slow subscriber must not delay it, `authorizeForward` cuts that
 * one.
 */
function eagerEmitter(): ReturnType<typeof mqemitter> {
  const emitter = mqemitter({ concurrency: 0, matchEmptyLevels: true });
  const emit = emitter.emit.bind(emitter);
  emitter.emit = (message, done) => {
    emit(message);
    done?.();
  };
  return emitter;
}
