import { matchesFilter } from './filters.ts';
import type { EventMessages, Pages, Turns } from './outbox.ts';
import { bytesOf, type OnDropped, type Sent, type Session, type SessionLimits } from './session.ts';
import type { SessionTable } from './table.ts';

const MOST_MESSAGE_IDS = 65_535;
const EMPTY = { messages: 0, bytes: 0 };

/** A message that is for a session. */
export interface Waiting extends Sent {
  readonly topic: string;
  readonly payload: string;
}

/** The messages of one event that are for a session; perhaps none. */
export interface Share {
  readonly n: number;
  readonly messages: readonly Waiting[];
}

interface QueuesDeps {
  readonly table: SessionTable;
  readonly pages: Pages;
  readonly turns: Turns;
  readonly limits: SessionLimits;
  /** Whether the owner of the session may read a topic, and still wants the payload. */
  readonly mayRead: (id: string, topic: string, payload?: string) => boolean;
  readonly onDropped: OnDropped;
}

/**
 * The queues of kept sessions, which are in the outbox: a new event changes a count in memory, and writes nothing.
 * Whatever reads the outbox reads a page of it in a turn of the event loop.
 */
export class Queues {
  readonly #deps: QueuesDeps;

  constructor(deps: QueuesDeps) {
    this.#deps = deps;
  }

  /** Adds the next event: counts its messages at the sessions that they are for, and returns these. */
  add(event: EventMessages): ReadonlyMap<Session, readonly Waiting[]> {
    const found = this.#sharesOf(event);
    this.#deps.table.head = event.n;
    for (const [session, messages] of found) {
      // Its count has not come here yet, or another node has sent it.
      if (session.counted !== null || session.place >= event.n) continue;
      if (session.messages === 0) session.place = event.n - 1;
      count(session, messages, 1);
    }
    return found;
  }

  /** Returns the next events after the place of a session, a page at most: none only where there are none. */
  next(session: Session): Share[] {
    const events = this.#deps.pages.after(session.place, this.#deps.table.head);
    if (events.length > 0 && events[0]!.n > session.place + 1) {
      this.#skip(session, events[0]!.n - 1);
      return this.next(session);
    }
    return events.map((event) => ({ n: event.n, messages: this.#shareOf(session, event) }));
  }

  /** Moves the place of a session past the next event, whose messages were sent or dropped. */
  pass(session: Session, { n, messages }: Share): void {
    const { counted, before } = session;
    if (counted === null || n <= counted) count(session, messages, -1);
    else session.counted = n;
    if (before !== null && n <= before.upTo) before.messages -= messages.length;
    session.place = n;
    this.#counted(session);
    // What its owner may read can have changed after a message was counted.
    if (session.counted === null && n === this.#deps.table.head) Object.assign(session, EMPTY);
    this.#deps.table.moved(session);
  }

  /** Counts a queue from its place: what it holds was changed. */
  recount(session: Session): void {
    if (!this.#deps.table.isBehind(session)) return;
    Object.assign(session, EMPTY, { counted: session.place });
    this.count(session);
  }

  /** Continues to count a queue: a page now, the others in later turns. */
  count(session: Session): void {
    const { table, pages, turns } = this.#deps;
    if (session.counted === null || table.get(session.id) !== session) return;
    this.#counted(session);
    for (const event of session.counted === null ? [] : pages.after(session.counted, this.#deps.table.head)) {
      count(session, this.#shareOf(session, event), 1);
      session.counted = event.n;
      this.#counted(session);
    }
    if (session.counted !== null) turns.add(() => this.count(session));
    else this.trim(session);
  }

  /** Drops the oldest messages of a queue that is over its cap, and a hundredth of the cap with them. */
  trim(session: Session): void {
    const { table, turns, limits, onDropped } = this.#deps;
    if (!this.#isOver(session) || table.get(session.id) !== session) return;
    const most = Math.max(1, Math.floor(limits.messages / 100));
    let dropped = 0;
    for (const share of this.next(session)) {
      if (dropped >= most && !this.#isOver(session)) break;
      dropped += share.messages.length;
      this.pass(session, share);
    }
    if (dropped > 0) onDropped(session, 'queue-full', dropped);
    if (this.#isOver(session) && table.isBehind(session)) turns.add(() => this.trim(session));
  }

  /** Notices a queue of which the outbox no longer has the oldest messages. */
  check(session: Session, oldest: number): void {
    if (this.#deps.table.isBehind(session) && session.place < oldest - 1) this.#skip(session, oldest - 1);
  }

  /** Returns a message that was sent, to send it again; null where the outbox no longer has it. */
  sent({ n, i, bytes }: Sent): Waiting | null {
    const message = this.#deps.pages.after(n - 1, n)[0]?.messages[i];
    return message === undefined ? null : { n, i, bytes, topic: message.topic, payload: message.payload };
  }

  /** Returns a message id that is neither in flight nor in `taken`; 0 where all are in use. */
  freeMessageId(session: Session, taken: ReadonlySet<number>): number {
    const { sent } = session;
    if (sent.size + taken.size >= MOST_MESSAGE_IDS) return 0;
    do session.lastMessageId = (session.lastMessageId % MOST_MESSAGE_IDS) + 1;
    while (sent.has(session.lastMessageId) || taken.has(session.lastMessageId));
    return session.lastMessageId;
  }

  #isOver({ messages, bytes, sent }: Session): boolean {
    const { limits } = this.#deps;
    return messages > 0 && (messages + sent.size > limits.messages || bytes > limits.bytes);
  }

  #sharesOf({ n, messages }: EventMessages): Map<Session, Waiting[]> {
    const { table, mayRead } = this.#deps;
    const found = new Map<Session, Waiting[]>();
    for (const [i, { topic, payload, qos }] of messages.entries()) {
      if (qos === 0) continue;
      const message = { n, i, bytes: bytesOf({ topic, payload }), topic, payload };
      for (const id of new Set(table.match(topic).map(({ clientId }) => clientId))) {
        const session = table.get(id)!;
        if (!session.isHere || !mayRead(id, topic, payload)) continue;
        const share = found.get(session);
        if (share === undefined) found.set(session, [message]);
        else share.push(message);
      }
    }
    return found;
  }

  #shareOf(session: Session, { n, messages }: EventMessages): Waiting[] {
    const filters = [...session.subscriptions.values()]
      .filter(({ subscription, since }) => subscription.qos > 0 && since < n)
      .map(({ subscription }) => subscription.topic);
    return messages.flatMap(({ topic, payload, qos }, i) => {
      if (qos === 0 || !filters.some((filter) => matchesFilter(filter, topic))) return [];
      if (!this.#deps.mayRead(session.id, topic, payload)) return [];
      return [{ n, i, bytes: bytesOf({ topic, payload }), topic, payload }];
    });
  }

  /** Goes on to the events that the outbox still has, and counts them: what is missing then was dropped. */
  #skip(session: Session, to: number): void {
    session.before ??= { messages: session.messages, upTo: session.counted ?? this.#deps.table.head };
    session.place = to;
    this.recount(session);
  }

  /** Settles what a count that has come to this event shows. */
  #counted(session: Session): void {
    const { before, counted, messages } = session;
    if (before !== null && (counted === null || counted >= before.upTo)) {
      session.before = null;
      const lost = before.messages - messages;
      if (lost > 0) this.#deps.onDropped(session, 'queue-full', lost);
    }
    if (counted !== null && counted >= this.#deps.table.head) session.counted = null;
  }
}

function count(session: Session, messages: readonly Waiting[], sign: 1 | -1): void {
  session.messages += sign * messages.length;
  for (const { bytes } of messages) session.bytes += sign * bytes;
}
