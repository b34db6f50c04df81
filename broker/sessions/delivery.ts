import type { Client } from 'aedes';
import { generate } from 'mqtt-packet';
import type { Queues } from './queues.ts';
import type { SessionRegistry } from './registry.ts';
import type { Queued, Session } from './session.ts';

/** Messages on their way to one client; the others stay in the file until it acknowledges. */
const WINDOW = 100;
/** When the file cannot be read because the disk does not take what waits for it. */
const AGAIN_MS = 1_000;

/** A connection of a kept session. */
interface Link {
  readonly client: Client;
  /** Once it has its CONNACK. */
  started: boolean;
  /** Number of the last message that was sent over it. */
  sentTo: number;
  /** Ids of messages that were sent over it and are not acknowledged. */
  readonly sent: Set<number>;
  /** Ids that Aedes uses for retained messages. */
  readonly lent: Set<number>;
  next: NodeJS.Immediate | undefined;
  again: NodeJS.Timeout | undefined;
}

/**
 * Brings the queues of kept sessions to their clients. Aedes 1.2 sends a returning client its queue while what is published
 * meanwhile goes past it, and all at once. Here a queue is the only way to its client: in order, a window at a time, and a
 * client that does not read or acknowledge costs a window.
 */
export class Delivery {
  readonly #registry: SessionRegistry;
  readonly #queues: Queues;
  readonly #links = new Map<string, Link>();

  constructor(registry: SessionRegistry, queues: Queues) {
    this.#registry = registry;
    this.#queues = queues;
  }

  /** The client is known; its connection takes the place of an earlier one. */
  open(client: Client): void {
    this.#drop(client.id);
    const timers = { next: undefined, again: undefined };
    const link: Link = { client, started: false, sentTo: 0, sent: new Set(), lent: new Set(), ...timers };
    this.#links.set(client.id, link);
    client.conn.on('drain', () => this.#pump(link));
  }

  /** The client may be sent its queue: first what was sent before, under the same ids (MQTT 3.1.1 §4.4). */
  start(client: Client): void {
    const link = this.#links.get(client.id);
    if (link?.client !== client) return;
    link.started = true;
    this.#pump(link);
  }

  /** False where another connection of the session has taken its place. */
  close(client: Client): boolean {
    if (this.#links.get(client.id)?.client !== client) return false;
    this.#drop(client.id);
    return true;
  }

  isOpen(id: string): boolean {
    return this.#links.has(id);
  }

  /** A message was added to this queue; it was at `before`. */
  added(session: Session, message: Queued, before: number): void {
    const link = this.#links.get(session.id);
    if (link === undefined || !ready(link)) return;
    if (link.sentTo < before) this.#pump(link);
    // All before it is on its way; a small cap may have dropped it at once.
    else if (session.messages > session.inFlight.size) this.#send(session, link, [message]);
  }

  /** The client has acknowledged a message, of its queue or a retained one. */
  acknowledged(id: string, messageId: number): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    link.lent.delete(messageId);
    if (!link.sent.delete(messageId) || link.next !== undefined) return;
    // Acknowledgements come many to a read: one look into the file for all of them.
    link.next = setImmediate(() => {
      link.next = undefined;
      this.#pump(link);
    });
  }

  /** An id under which Aedes may send a retained message; 0 where all are in use. */
  lend(id: string): number {
    const link = this.#links.get(id);
    const session = this.#registry.get(id);
    if (link === undefined || session === undefined) return 0;
    const messageId = this.#queues.freeMessageId(session, link.lent);
    if (messageId > 0) link.lent.add(messageId);
    return messageId;
  }

  stop(): void {
    for (const id of [...this.#links.keys()]) this.#drop(id);
  }

  #drop(id: string): void {
    const link = this.#links.get(id);
    clearImmediate(link?.next);
    clearTimeout(link?.again);
    this.#links.delete(id);
  }

  #pump(link: Link): void {
    const session = this.#registry.get(link.client.id);
    if (session === undefined || this.#links.get(session.id) !== link) return;
    while (ready(link) && link.sentTo < session.newest) {
      const page = this.#queues.page(session, link.sentTo, WINDOW - link.sent.size);
      if (page === null) {
        clearTimeout(link.again);
        link.again = setTimeout(() => this.#pump(link), AGAIN_MS);
        return;
      }
      if (page.length === 0) link.sentTo = session.newest;
      else if (!this.#send(session, link, page)) return;
    }
  }

  /** False where every message id is in use: what is acknowledged next frees one. */
  #send(session: Session, link: Link, messages: readonly Queued[]): boolean {
    const packets: Buffer[] = [];
    for (const message of messages) {
      const messageId = message.messageId ?? this.#queues.freeMessageId(session, link.lent);
      if (messageId === 0) break;
      packets.push(publishOf(message, messageId));
      this.#queues.assign(session, message, messageId);
      link.sent.add(messageId);
      link.sentTo = message.n;
    }
    if (packets.length > 0) link.client.conn.write(packets.length === 1 ? packets[0]! : Buffer.concat(packets));
    return packets.length === messages.length;
  }
}

function ready({ client, started, sent }: Link): boolean {
  return started && sent.size < WINDOW && !client.conn.destroyed && !client.conn.writableNeedDrain;
}

function publishOf({ packet, messageId: before }: Queued, messageId: number): Buffer {
  const { topic, payload, qos, retain } = packet;
  return generate({ cmd: 'publish', topic, payload, qos, retain, dup: before !== null, messageId });
}
