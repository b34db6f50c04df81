import type { Client } from 'aedes';
import { generate } from 'mqtt-packet';
import { commandsOf, isDownlinkFilter } from '../commands.ts';
import type { Turns } from './outbox.ts';
import type { Queues, Share, Waiting } from './queues.ts';
import type { OnDropped, Sent, Session } from './session.ts';
import type { SessionTable } from './table.ts';

/** Unacknowledged messages of one client, at most, but for the last event's others; the rest stays in the outbox. */
const WINDOW = 100;

/** A connection of a kept session. */
interface Link {
  readonly client: Client;
  /** True once the client has its CONNACK. */
  started: boolean;
  /** Message ids of an earlier connection that are to be sent again. */
  readonly again: number[];
  /** Message ids of retained messages, which Aedes sends, and of messages of groups. */
  readonly lent: Set<number>;
  /** Whether it waits for its turn. */
  waiting: boolean;
}

interface DeliveryDeps {
  readonly table: SessionTable;
  readonly queues: Queues;
  readonly turns: Turns;
  readonly onDropped: OnDropped;
  /** Called with each command that its device has acknowledged. */
  readonly onArrived: (payload: string) => void;
  readonly onDownlink: (topic: string, payload: string) => void;
}

/**
 * Sends the queues of kept sessions to their clients. Aedes 1.2 sends a returning client its whole queue at once, and
 * new messages overtake it. Here every message goes through the queue, in order and a window at a time: a client that
 * does not read or acknowledge costs one window of memory.
 */
export class Delivery {
  readonly #deps: DeliveryDeps;
  readonly #links = new Map<string, Link>();

  constructor(deps: DeliveryDeps) {
    this.#deps = deps;
  }

  /** Registers the connection of a client; it replaces an earlier one. */
  open(client: Client): void {
    const link: Link = { client, started: false, again: [], lent: new Set(), waiting: false };
    this.#links.set(client.id, link);
    client.conn.on('drain', () => this.#queue(link));
  }

  /** Starts sending the queue: first the messages that were sent before, under the same ids (MQTT 3.1.1 §4.4). */
  start(client: Client): void {
    const link = this.#links.get(client.id);
    if (link?.client !== client) return;
    link.started = true;
    link.again.push(...(this.#deps.table.get(client.id)?.sent.keys() ?? []));
    this.#queue(link);
  }

  /** Ends a connection; returns false where another connection of the session has replaced it. */
  close(client: Client): boolean {
    return this.#links.get(client.id)?.client === client && this.#links.delete(client.id);
  }

  isOpen(id: string): boolean {
    return this.#links.has(id);
  }

  /** Sends the messages of a new event at once where nothing waits before them. */
  added(session: Session, share: Share): void {
    const link = this.#links.get(session.id);
    if (link === undefined || link.again.length > 0 || !isReady(link, session)) return;
    // A small cap may already have dropped them, or another node has sent them.
    if (session.place >= share.n) return;
    if (session.counted === null && session.place === share.n - 1) this.#send(session, link, [share]);
    else this.#queue(link);
  }

  /** Frees the id of a message that the client has acknowledged or (`isArrived` false) cannot get, queued or not. */
  acknowledged(id: string, messageId: number, isArrived = true): void {
    const link = this.#links.get(id);
    const session = this.#deps.table.get(id);
    const sent = session?.sent.get(messageId);
    if (session !== undefined && sent !== undefined) {
      session.sent.delete(messageId);
      this.#deps.table.moved(session);
      if (isArrived) this.#noteArrival(session, sent);
    } else if (!link?.lent.delete(messageId)) return;
    if (link !== undefined) this.#queue(link);
  }

  #noteArrival({ id, subscriptions }: Session, sent: Sent): void {
    // The page is read again only for devices that take commands, and for network servers.
    const takesDownlinks = [...subscriptions.keys()].some(isDownlinkFilter);
    if (!takesDownlinks && !subscriptions.has(`devices/${id}/commands`)) return;
    const message = this.#deps.queues.sent(sent);
    if (message !== null && takesDownlinks) this.#deps.onDownlink(message.topic, message.payload);
    if (message !== null && commandsOf(message.topic) === id) this.#deps.onArrived(message.payload);
  }

  /** Returns a message id for a message that is not of the queue; 0 where all are in use. */
  lend(id: string): number {
    const link = this.#links.get(id);
    const session = this.#deps.table.get(id);
    if (link === undefined || session === undefined) return 0;
    const messageId = this.#deps.queues.freeMessageId(session, link.lent);
    if (messageId > 0) link.lent.add(messageId);
    return messageId;
  }

  /** Keeps a message id for a message of a group that the client was sent over the connection before. */
  lendAgain(id: string, messageId: number): void {
    this.#links.get(id)?.lent.add(messageId);
  }

  stop(): void {
    this.#links.clear();
  }

  /** One read of the socket brings many acknowledgements: the outbox is read once for all of them. */
  #queue(link: Link): void {
    if (link.waiting) return;
    link.waiting = true;
    this.#deps.turns.add(() => {
      link.waiting = false;
      this.#pump(link);
    });
  }

  /** Sends what a page of the outbox has for a client; the next page is for its next turn. */
  #pump(link: Link): void {
    const { table, queues } = this.#deps;
    const session = table.get(link.client.id);
    if (session === undefined || this.#links.get(session.id) !== link || !link.started) return;
    if (link.client.conn.destroyed || link.client.conn.writableNeedDrain) return;
    if (link.again.length > 0) this.#sendAgain(session, link);
    else if (!isReady(link, session) || !table.isBehind(session)) return;
    else if (!this.#send(session, link, queues.next(session))) return;
    this.#queue(link);
  }

  /** Returns false where every message id is in use; the next acknowledgement frees one. */
  #send(session: Session, link: Link, shares: readonly Share[]): boolean {
    const { queues } = this.#deps;
    const packets: Buffer[] = [];
    let hasIds = true;
    for (const share of shares) {
      if (session.sent.size >= WINDOW) break;
      const ids = share.messages.map((message) => this.#assign(session, link, message));
      hasIds = !ids.includes(0);
      // An event goes out whole, so that a place is the number of an event.
      if (!hasIds) for (const id of ids) session.sent.delete(id);
      if (!hasIds) break;
      packets.push(...share.messages.map((message, i) => publishOf(message, ids[i]!, false)));
      queues.pass(session, share);
    }
    write(link, packets);
    return hasIds;
  }

  #assign(session: Session, link: Link, { n, i, bytes }: Waiting): number {
    const messageId = this.#deps.queues.freeMessageId(session, link.lent);
    if (messageId > 0) session.sent.set(messageId, { n, i, bytes });
    return messageId;
  }

  #sendAgain(session: Session, link: Link): void {
    const { table, queues, onDropped } = this.#deps;
    const packets: Buffer[] = [];
    for (const messageId of link.again.splice(0, WINDOW / 4)) {
      const sent = session.sent.get(messageId);
      if (sent === undefined) continue;
      const message = queues.sent(sent);
      if (message !== null) packets.push(publishOf(message, messageId, true));
      else if (session.sent.delete(messageId)) {
        table.moved(session);
        onDropped(session, 'queue-full', 1);
      }
    }
    write(link, packets);
  }
}

function isReady({ client, started }: Link, { sent }: Session): boolean {
  return started && sent.size < WINDOW && !client.conn.destroyed && !client.conn.writableNeedDrain;
}

function write({ client }: Link, packets: readonly Buffer[]): void {
  if (packets.length > 0) client.conn.write(packets.length === 1 ? packets[0]! : Buffer.concat(packets));
}

/**
 * A message of a queue is for a subscription that was there before it: never retained (MQTT-3.3.1-9). Without an id it
 * has QoS 0.
 */
export function publishOf(
  { topic, payload }: { readonly topic: string; readonly payload: Buffer | string },
  messageId: number,
  dup: boolean,
): Buffer {
  const packet = { cmd: 'publish', topic, payload, retain: false, dup } as const;
  return generate(messageId === 0 ? { ...packet, qos: 0 } : { ...packet, qos: 1, messageId });
}
