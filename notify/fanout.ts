import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { UNNAMED } from '../domain/index.ts';
import type { NumberedEvent, OutboxReader } from '../events/index.ts';
import { diskFault, transact } from '../store/index.ts';
import { type Channels, channelOf } from './dispatcher.ts';
import type { HeldEvents } from './email/digest.ts';
import type { DeliveryQueue } from './queue.ts';
import type { Receiver } from './receiver.ts';
import type { ReceiverRepository } from './receivers.ts';

interface FanOutDeps {
  readonly db: DatabaseSync;
  readonly outbox: OutboxReader;
  readonly receivers: ReceiverRepository;
  readonly queue: Pick<DeliveryQueue, 'waiting' | 'trim'>;
  readonly held: Pick<HeldEvents, 'count'>;
  readonly channels: Channels;
  readonly log: Logger;
}

/** Bounds of one pass. */
export interface FanOutLimits {
  /** Events that a receiver takes in one pass. */
  readonly page: number;
  /** Deliveries and held events that may wait for one receiver; beyond it, events stay in the outbox. */
  readonly mostWaiting: number;
  /** Deliveries of one receiver that are kept after they were settled, and as many again as are added in between. */
  readonly mostSettled: number;
}

/** The result of a pass. */
interface Pass {
  /** Whether there is more to take now. */
  readonly more: boolean;
  /** Whether a receiver takes nothing because too many deliveries wait for it. */
  readonly held: boolean;
  /** Receivers for which deliveries were added. */
  readonly reached: readonly string[];
}

const NOTHING: Pass = { more: false, held: false, reached: [] };

/**
 * Takes events from the outbox into the queues of the receivers. Cursors and deliveries change in one transaction: a
 * crash loses nothing and adds nothing twice.
 */
export class FanOut {
  readonly #deps: FanOutDeps;
  readonly #limits: FanOutLimits;
  #isChecked = false;
  /** Deliveries since settled ones were last trimmed. */
  #untrimmed = 0;

  constructor(deps: FanOutDeps, limits: FanOutLimits) {
    this.#deps = deps;
    this.#limits = limits;
  }

  /** Takes the next events of the outbox for every receiver. */
  pass(): Pass {
    const { db, outbox, receivers } = this.#deps;
    if (!this.#isChecked) transact(db, () => this.#checkStore());
    this.#isChecked = true;
    // Read before the pages: events appended meanwhile are in this pass or announced for the next.
    const head = outbox.head();
    if (receivers.enabled().every(({ cursor }) => cursor === head)) return NOTHING;
    return transact(db, () => this.#takeAll(head, outbox.oldest()));
  }

  #takeAll(head: number, oldest: number): Pass {
    const { outbox, receivers, queue, held: heldEvents } = this.#deps;
    const reached: string[] = [];
    let more = false;
    let held = false;
    const pages = new Map<number, readonly NumberedEvent[]>();
    for (const receiver of receivers.enabled()) {
      if (receiver.cursor === head) continue;
      if (queue.waiting(receiver.id) + heldEvents.count(receiver.id) >= this.#limits.mostWaiting) {
        held = true;
        continue;
      }
      const after = this.#placeOf(receiver, head, oldest);
      // Most receivers are at the same place: one page is read once for all of them.
      const events = pages.get(after) ?? outbox.page({ after, limit: this.#limits.page }).items;
      pages.set(after, events);
      const added = events.filter((event) => this.#take(receiver, event));
      if (added.length > 0) reached.push(receiver.id);
      this.#untrimmed += added.length;
      const cursor = events.at(-1)?.n ?? after;
      receivers.moveTo(receiver.id, cursor);
      more ||= cursor < head;
    }
    this.#trim();
    return { more, held, reached };
  }

  /**
   * Takes the events up to a number for one receiver, in the caller's transaction: another node has attempted to
   * deliver that one. How much waits is of no matter: it did not wait there.
   */
  reach({ id }: Receiver, n: number): void {
    const { outbox, receivers } = this.#deps;
    const head = outbox.head();
    for (;;) {
      const receiver = receivers.get(id);
      if (receiver === null || receiver.cursor >= Math.min(n, head)) return;
      const after = this.#placeOf(receiver, head, outbox.oldest());
      const { items } = outbox.page({ after, limit: this.#limits.page });
      for (const event of items) this.#take(receiver, event);
      receivers.moveTo(id, items.at(-1)?.n ?? head);
    }
  }

  #trim(): void {
    const { mostSettled } = this.#limits;
    if (this.#untrimmed < mostSettled / 10) return;
    this.#untrimmed = 0;
    this.#deps.queue.trim(mostSettled);
  }

  /**
   * Returns the receiver's cursor. Where the outbox lost that place, notes it in the log and returns the nearest one.
   */
  #placeOf({ id, cursor }: Receiver, head: number, oldest: number): number {
    if (cursor > head) {
      this.#missed(id, `the outbox went back to event ${head}: delivery continues from there`);
      return head;
    }
    if (oldest === 0 || cursor >= oldest - 1) return cursor;
    this.#missed(id, `events ${cursor + 1} to ${oldest - 1} were missed: the outbox no longer has them`);
    return oldest - 1;
  }

  /** One event or format that fails must not stop the others. */
  #take(receiver: Receiver, event: NumberedEvent): boolean {
    const { receivers, channels, log } = this.#deps;
    try {
      return channelOf(channels, receiver).take(receiver, event);
    } catch (error) {
      if (diskFault(error, '') !== null) throw error;
      const { id } = event.event;
      receivers.note(receiver.id, `event ${event.n} (${id}) cannot be delivered: ${(error as Error).message}`);
      log.error({ err: error, receiver: receiver.id, event: id }, 'an event cannot be delivered; this is a bug');
      return false;
    }
  }

  /**
   * The same number of another store is another event: where the outbox was lost, every receiver begins at its start.
   */
  #checkStore(): void {
    const { db, outbox, receivers } = this.#deps;
    const store = outbox.store();
    const known = db.prepare('select store from outbox_known').get()?.store;
    if (known === store) return;
    db.prepare('insert or replace into outbox_known values (1, ?)').run(store);
    if (known === undefined || known === UNNAMED) return;
    for (const { id } of [...receivers.list('webhook'), ...receivers.list('email')]) {
      this.#missed(id, 'the outbox is a new one: delivery continues from its start');
      receivers.moveTo(id, Math.max(0, outbox.oldest() - 1));
    }
  }

  #missed(id: string, note: string): void {
    this.#deps.receivers.note(id, note);
    this.#deps.log.warn({ receiver: id }, note);
  }
}
