import type { Client } from 'aedes';
import { type Share as SharedFilter, shareOf } from '../share.ts';
import { type Delivery, publishOf } from './delivery.ts';
import { FilterTree } from './filters.ts';
import type { Turns } from './outbox.ts';
import type { Queues, Share, Waiting } from './queues.ts';
import { groupId, isGroup, type OnDropped, type Owner, type Session, type SessionLimits } from './session.ts';
import type { SessionTable } from './table.ts';

/** Unacknowledged messages of groups at one client, at most, but for the last event's others. */
const WINDOW = 100;
/** Messages of one group that are on their way, at most: each has a number of two bytes. */
const MOST_TICKETS = 65_000;
const NONE: ReadonlySet<number> = new Set();

/** A message of a group that is on its way to a client, under a message id of that. */
interface Flight {
  readonly group: Group;
  /** Its key in `Session.sent` of the group's queue. */
  readonly ticket: number;
}

/** A connected client that is a member of groups. */
interface Link {
  readonly client: Client;
  /** By message id. */
  readonly flights: Map<number, Flight>;
  readonly groups: Set<Group>;
}

/** The members of a key that subscribed to one filter under one name. */
interface Group {
  readonly queue: Session;
  /** The filter as its members wrote it, with `$share`. */
  readonly name: string;
  /** Connected members with the QoS of their subscription; the next one in turn is first. */
  readonly members: Map<Link, number>;
  /** Kept sessions for which messages wait while nobody is connected, by id. */
  readonly kept: Set<string>;
  /** Tickets of messages that no connected member has. */
  readonly free: Set<number>;
  /** Whether it waits for its turn. */
  isWaiting: boolean;
}

/** What groups ask about the connections of their members. */
export interface MemberHooks {
  /** Calls `write`, which writes messages of this shared subscription to the client. */
  sending(client: Client, share: string, write: () => void): void;
  /** Returns how many unacknowledged messages the client takes. */
  mostOf(client: Client): number;
}

interface GroupsDeps {
  readonly table: SessionTable;
  readonly queues: Queues;
  readonly delivery: Pick<Delivery, 'lend' | 'lendAgain'>;
  readonly turns: Turns;
  readonly limits: Pick<SessionLimits, 'perUser'>;
  /** Returns the owner of a session; null where it has none. */
  readonly ownerOf: (id: string) => Owner | null;
  readonly mayRead: (id: string, topic: string, payload?: string) => boolean;
  readonly onDropped: OnDropped;
  readonly members: MemberHooks;
  /** Whether there are no other nodes: a group is of one. */
  readonly isAlone: boolean;
}

/**
 * Shared subscriptions (MQTT 5 §4.8.2). A group is a session of nobody: one queue, which is its place in the outbox,
 * and the messages that a member has not acknowledged. Each message goes to one connected member in turn; when the
 * connection of that ends before its PUBACK, to another one at once, or to whoever comes first. A group belongs to its
 * key, and is there as long as a member is connected, or has a kept session with QoS 1.
 */
export class Groups {
  readonly #deps: GroupsDeps;
  readonly #byId = new Map<string, Group>();
  readonly #links = new Map<string, Link>();
  /** The filters of the groups, by id of their queues. */
  readonly #filters = new FilterTree();

  constructor(deps: GroupsDeps) {
    this.#deps = deps;
  }

  /** The sessions were read from the file. Ends the groups of connections that ended with the process. */
  loaded(): void {
    const { table, isAlone } = this.#deps;
    for (const session of [...table.all()]) {
      if (!isGroup(session.id)) continue;
      if (!isAlone || !this.#byId.has(session.id)) table.delete(session);
      for (const sent of session.sent.values())
        if (sent.to !== undefined && table.get(sent.to.id) === undefined) delete sent.to;
    }
  }

  /** Whether the group of a filter is there, or the key of a session may have one more; true of a plain filter. */
  hasRoom(id: string, filter: string): boolean {
    const share = shareOf(filter);
    const owner = this.#deps.ownerOf(id);
    if (share === null || owner === null || this.#byId.has(groupId(owner.user, share))) return true;
    return this.#of(owner.user).length < this.#deps.limits.perUser;
  }

  /** A kept session has a shared subscription, or has it no longer (`qos` null). */
  kept({ id, owner }: Session, filter: string, qos: number | null): void {
    const share = shareOf(filter);
    if (share === null || !this.#deps.isAlone) return;
    if (qos !== null && qos > 0) this.#open(owner, filter, share)?.kept.add(id);
    else {
      const group = this.#byId.get(groupId(owner.user, share));
      if (group?.kept.delete(id)) this.#settle(group);
    }
  }

  /** A session has ended: nobody waits for its client (§4.8.2). */
  ended({ id, owner }: Session): void {
    for (const { queue } of this.#of(owner.user)) {
      for (const sent of queue.sent.values()) if (sent.to?.id === id) delete sent.to;
    }
  }

  /** A client has its CONNACK, and these subscriptions now. */
  note(client: Client, subscriptions: Readonly<Record<string, { readonly qos: number }>>): void {
    const link = this.#links.get(client.id);
    const wanted = new Map<Group, number>();
    for (const [filter, { qos }] of Object.entries(subscriptions)) {
      const share = shareOf(filter);
      const owner = share === null || !this.#deps.isAlone ? null : this.#deps.ownerOf(client.id);
      const group = owner === null ? null : this.#open(owner, filter, share!);
      if (group !== null) wanted.set(group, qos);
    }
    if (wanted.size > 0) this.#join(link?.client === client ? link : this.#connect(client), wanted);
    if (link?.client === client) for (const group of link.groups) if (!wanted.has(group)) this.#part(link, group);
  }

  /** The connection of a client has ended: others get what it has not acknowledged. */
  left(client: Client): void {
    const link = this.#links.get(client.id);
    if (link?.client !== client) return;
    this.#links.delete(client.id);
    for (const { group, ticket } of link.flights.values()) {
      const sent = group.queue.sent.get(ticket);
      if (client.clean && sent !== undefined) delete sent.to;
      group.free.add(ticket);
    }
    const theirs = new Set([...link.groups, ...[...link.flights.values()].map(({ group }) => group)]);
    for (const group of theirs) this.#part(link, group);
    for (const group of theirs) this.#queue(group);
  }

  /** Ends a message that a client has acknowledged, or cannot get; false where it is none of a group. */
  acknowledged(id: string, messageId: number): boolean {
    const link = this.#links.get(id);
    const flight = link?.flights.get(messageId);
    if (link === undefined || flight === undefined) return false;
    link.flights.delete(messageId);
    const { group, ticket } = flight;
    group.queue.sent.delete(ticket);
    this.#deps.table.moved(group.queue);
    for (const one of link.groups) this.#queue(one);
    return true;
  }

  /** Sends the messages of a new event at once where nothing waits before them. */
  added(session: Session, share: Share): void {
    const group = this.#byId.get(session.id);
    if (group === undefined || session.place >= share.n) return;
    const isNext = session.counted === null && session.place === share.n - 1 && group.free.size === 0;
    if (isNext && this.#isTaking(group)) this.#take(group, share);
    else this.#queue(group);
  }

  /** Sends a message of QoS 0 to one connected member of each group: nobody gets it later. */
  forward(topic: string, payload: Buffer | string): void {
    if (this.#byId.size === 0) return;
    for (const { clientId } of this.#filters.match(topic)) {
      const group = this.#byId.get(clientId)!;
      const link = this.#next(group);
      if (link === null || !this.#deps.mayRead(clientId, topic)) continue;
      this.#write(link, group, { topic, payload }, { messageId: 0, dup: false });
    }
  }

  #of(user: string): Group[] {
    return [...this.#byId.values()].filter(({ queue }) => queue.owner.user === user);
  }

  /** Returns the group; null where its key may have no more. */
  #open(owner: Owner, name: string, share: SharedFilter): Group | null {
    const { table } = this.#deps;
    const id = groupId(owner.user, share);
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const before = table.get(id);
    if (before === undefined && this.#of(owner.user).length >= this.#deps.limits.perUser) return null;
    const queue = before ?? table.create(id, { user: owner.user, secret: new Uint8Array() }, 0);
    if (before === undefined) table.subscribe(queue, [{ topic: share.filter, qos: 1 }]);
    const free = new Set(queue.sent.keys());
    const group = { queue, name, members: new Map(), kept: new Set<string>(), free, isWaiting: false };
    this.#byId.set(id, group);
    this.#filters.add(id, { topic: share.filter, qos: 1 });
    return group;
  }

  #connect(client: Client): Link {
    const before = this.#links.get(client.id);
    if (before !== undefined) this.left(before.client);
    const link: Link = { client, flights: new Map(), groups: new Set() };
    this.#links.set(client.id, link);
    client.conn.on('drain', () => {
      for (const group of link.groups) this.#queue(group);
    });
    return link;
  }

  #join(link: Link, wanted: ReadonlyMap<Group, number>): void {
    const isNew = link.groups.size === 0;
    for (const [group, qos] of wanted) {
      group.members.set(link, qos);
      link.groups.add(group);
    }
    if (isNew && !link.client.clean) for (const group of wanted.keys()) this.#sendAgain(link, group);
    for (const group of wanted.keys()) this.#queue(group);
  }

  #part(link: Link, group: Group): void {
    group.members.delete(link);
    link.groups.delete(group);
    this.#settle(group);
  }

  /** Ends a group that has no member any more. */
  #settle(group: Group): void {
    const { queue, members, kept } = group;
    if (members.size > 0 || kept.size > 0 || !this.#byId.delete(queue.id)) return;
    for (const { subscription } of queue.subscriptions.values()) this.#filters.remove(queue.id, subscription.topic);
    this.#deps.table.delete(queue);
  }

  /** One read of the socket brings many acknowledgements: the outbox is read once for all of them. */
  #queue(group: Group): void {
    if (group.isWaiting) return;
    group.isWaiting = true;
    this.#deps.turns.add(() => {
      group.isWaiting = false;
      if (this.#byId.get(group.queue.id) === group) this.#pump(group);
    });
  }

  /** Hands out what waits longest, a page at most; the next page is for its next turn. */
  #pump(group: Group): void {
    const { table, queues } = this.#deps;
    if (!this.#handAll(group) || !table.isBehind(group.queue)) return;
    for (const share of queues.next(group.queue)) {
      if (!this.#isTaking(group) || !this.#take(group, share)) return;
    }
    this.#queue(group);
  }

  /** Takes an event from the queue, whole, so that a place is the number of an event. False: all ids are in use. */
  #take(group: Group, share: Share): boolean {
    const { queues } = this.#deps;
    const { queue, free } = group;
    if (queue.sent.size + share.messages.length > MOST_TICKETS) return false;
    for (const { n, i, bytes } of share.messages) {
      const ticket = queues.freeMessageId(queue, NONE);
      queue.sent.set(ticket, { n, i, bytes });
      free.add(ticket);
    }
    queues.pass(queue, share);
    this.#handAll(group);
    return true;
  }

  /** Hands out the messages that no member has; false where no member takes more. */
  #handAll(group: Group): boolean {
    for (const ticket of group.free) {
      const link = this.#next(group);
      if (link === null) return false;
      const message = this.#read(group, ticket);
      if (message !== null && !this.#hand(group, ticket, link, message)) return false;
    }
    return true;
  }

  /** Returns a message; null where the outbox has lost it, or nobody may read it any more. */
  #read({ queue, free }: Group, ticket: number): Waiting | null {
    const { table, queues, mayRead, onDropped } = this.#deps;
    const message = queues.sent(queue.sent.get(ticket)!);
    if (message !== null && mayRead(queue.id, message.topic, message.payload)) return message;
    queue.sent.delete(ticket);
    free.delete(ticket);
    table.moved(queue);
    if (message === null) onDropped(queue, 'queue-full', 1);
    return null;
  }

  /** Returns false where the client has no message id left. */
  #hand(group: Group, ticket: number, link: Link, message: Waiting): boolean {
    const { sent } = group.queue;
    const { client, flights } = link;
    const isOnce = group.members.get(link)! === 0;
    const messageId = isOnce ? 0 : this.#messageId(link);
    if (!isOnce && messageId === 0) return false;
    group.free.delete(ticket);
    if (isOnce) sent.delete(ticket);
    else {
      sent.get(ticket)!.to = { id: client.id, messageId };
      flights.set(messageId, { group, ticket });
    }
    this.#deps.table.moved(group.queue);
    this.#write(link, group, message, { messageId, dup: false });
    return true;
  }

  /** What the client was sent over the connection before, and nobody else: under the same ids (§4.4). */
  #sendAgain(link: Link, group: Group): void {
    const { queue, free } = group;
    for (const ticket of [...free]) {
      const { to } = queue.sent.get(ticket)!;
      if (to?.id !== link.client.id) continue;
      const message = this.#read(group, ticket);
      if (message === null) continue;
      free.delete(ticket);
      link.flights.set(to.messageId, { group, ticket });
      this.#deps.delivery.lendAgain(to.id, to.messageId);
      this.#write(link, group, message, { messageId: to.messageId, dup: true });
    }
  }

  #isTaking({ members }: Group): boolean {
    return [...members.keys()].some((link) => this.#isReady(link));
  }

  #isReady({ client, flights }: Link): boolean {
    const most = Math.min(WINDOW, this.#deps.members.mostOf(client));
    return flights.size < most && !client.conn.destroyed && !client.conn.writableNeedDrain;
  }

  /** Returns the connected member that is next, and puts it last; null where none takes more. */
  #next({ members }: Group): Link | null {
    for (const [link, qos] of members) {
      if (!this.#isReady(link)) continue;
      members.delete(link);
      members.set(link, qos);
      return link;
    }
    return null;
  }

  /** Returns a message id that the client does not use: of a kept session from its own, else as Aedes counts. */
  #messageId({ client, flights }: Link): number {
    if (!client.clean) return this.#deps.delivery.lend(client.id);
    const counter = client as unknown as { _nextId: number };
    let messageId: number;
    do {
      messageId = counter._nextId;
      counter._nextId = messageId >= 65_535 ? 1 : messageId + 1;
    } while (flights.has(messageId));
    return messageId;
  }

  #write(
    { client }: Link,
    { name }: Group,
    message: { readonly topic: string; readonly payload: Buffer | string },
    { messageId, dup }: { readonly messageId: number; readonly dup: boolean },
  ): void {
    this.#deps.members.sending(client, name, () => client.conn.write(publishOf(message, messageId, dup)));
  }
}
