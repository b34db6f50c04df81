import type { Client } from 'aedes';
import { generate } from 'mqtt-packet';
import type { Queues } from './queues.ts';
import type { Queued, Session } from './session.ts';
import type { SessionTable } from './table.ts';

/** Unacknowledged messages of one client, at most; the others stay in the file. */
const WINDOW = 100;
/** Pause before the next read of a file whose pending writes the disk does not take. */
const AGAIN_MS = 1_000;

/** A connection of a kept session. */
interface Link {
  readonly client: Client;
  /** True once the client has its CONNACK. */
  started: boolean;
  /** Number of the last message that was sent over it. */
  sentTo: number;
  /** Message ids that were sent over it and are not yet acknowledged. */
  readonly sent: Set<number>;
  /** Message ids that Aedes uses for retained messages. */
  readonly lent: Set<number>;
  next: NodeJS.Immediate | undefined;
  again: NodeJS.Timeout | undefined;
}

/**
 * Sends the queues of kept sessions to their clients. Aedes 1.2 sends a returning client its whole queue at once, and
 * new messages overtake it. Here every message goes through the queue, in order and a window at a time: a client that
 * does not read or acknowledge costs one window of memory.
 */
export class Delivery {
  readonly #table: SessionTable;
  readonly #queues: Queues;
  readonly #links = new Map<string, Link>();

  constructor(table: SessionTable, queues: Queues) {
    this.#table = table;
    this.#queues = queues;
  }

  /** Registers the connection of a client; it replaces an earlier one. */
  open(client: Client): void {
    this.#drop(client.id);
    const timers = { next: undefined, again: undefined };
    const link: Link = { client, started: false, sentTo: 0, sent: new Set(), lent: new Set(), ...timers };
    this.#links.set(client.id, link);
    client.conn.on('drain', () => this.#pump(link));
  }

  /** Starts sending the queue: first the messages that were sent before, under the same ids (MQTT 3.1.1 §4.4). */
  start(client: Client): void {
    const link = this.#links.get(client.id);
    if (link?.client !== client) return;
    link.started = true;
    this.#pump(link);
  }

  /** Ends a connection; returns false where another connection of the session has replaced it. */
  close(client: Client): boolean {
    if (this.#links.get(client.id)?.client !== client) return false;
    this.#drop(client.id);
    return true;
  }

  isOpen(id: string): boolean {
    return this.#links.has(id);
  }

  /** Sends a message that was added to a queue, if the window allows it. `before`: the newest number until then. */
  added(session: Session, message: Queued, before: number): void {
    const link = this.#links.get(session.id);
    if (link === undefined || !ready(link)) return;
    if (link.sentTo < before) this.#pump(link);
    // All messages before it were sent. A small cap may already have dropped this one.
    else if (session.messages > session.inFlight.size) this.#send(session, link, [message]);
  }

  /** Frees the id of a message that the client has acknowledged, queued or retained. */
  acknowledged(id: string, messageId: number): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    link.lent.delete(messageId);
    if (!link.sent.delete(messageId) || link.next !== undefined) return;
    // One read of the socket brings many acknowledgements: the file is read once for all of them.
    link.next = setImmediate(() => {
      link.next = undefined;
      this.#pump(link);
    });
  }

  /** Returns a message id for a retained message that Aedes sends; 0 where all are in use. */
  lend(id: string): number {
    const link = this.#links.get(id);
    const session = this.#table.get(id);
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
    const session = this.#table.get(link.client.id);
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

  /** Returns false where every message id is in use; the next acknowledgement frees one. */
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
