import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { NumberedEvent, OutboxReader } from '../events/index.ts';
import { diskFault, transact } from '../store/index.ts';
import { type Channels, channelOf } from './channel.ts';
import type { DeliveryQueue } from './queue.ts';
import type { Receiver } from './receiver.ts';
import type { ReceiverStore } from './receivers.ts';

/** What the fan-out reads and writes. */
export interface FanOutDeps {
  readonly db: DatabaseSync;
  readonly outbox: OutboxReader;
  readonly receivers: ReceiverStore;
  readonly queue: Pick<DeliveryQueue, 'waiting'>;
  readonly channels: Channels;
  readonly log: Logger;
}

/** Bounds of one pass. */
export interface FanOutLimits {
  /** Events that a receiver takes in one pass. */
  readonly page: number;
  /** Deliveries that may wait for one receiver; beyond it, events stay in the outbox. */
  readonly mostWaiting: number;
}

/** What a pass came to. */
export interface Pass {
  /** Whether there is more to take now. */
  readonly more: boolean;
  /** Whether a receiver takes none because too much waits for it. */
  readonly held: boolean;
  /** Receivers that something was added for. */
  readonly reached: readonly string[];
}

/** From the outbox to the queues of the receivers. */
export interface FanOut {
  /**
   * Takes what is next in the outbox for every receiver. Cursors and deliveries are one transaction: a crash loses
   * nothing and adds nothing twice.
   */
  pass(): Pass;
}

const NOTHING: Pass = { more: false, held: false, reached: [] };

/** Makes the fan-out. */
export function createFanOut(deps: FanOutDeps, { page, mostWaiting }: FanOutLimits): FanOut {
  const { db, outbox, receivers, queue, channels, log } = deps;
  const knownStore = db.prepare('select store from outbox_known');
  const know = db.prepare('insert or replace into outbox_known values (1, ?)');
  let isChecked = false;

  /** The receiver's place in the outbox: where it is, or, said aloud in its log, where the outbox begins. */
  function placeOf({ id, cursor }: Receiver, head: number, oldest: number): number {
    if (cursor > head) {
      missed(id, `the outbox went back to event ${head}: told from there`);
      return head;
    }
    if (oldest === 0 || cursor >= oldest - 1) return cursor;
    missed(id, `events ${cursor + 1} to ${oldest - 1} were missed: the outbox no longer has them`);
    return oldest - 1;
  }

  function missed(id: string, note: string): void {
    receivers.note(id, note);
    log.warn({ receiver: id }, note);
  }

  /** The same number of another store is another event: where the outbox was lost, everybody begins at its beginning. */
  function checkStore(): void {
    const store = outbox.store();
    const known = knownStore.get()?.store;
    if (known === store) return;
    know.run(store);
    if (known === undefined) return;
    for (const { id } of [...receivers.list('webhook'), ...receivers.list('email')]) {
      missed(id, 'the outbox has begun anew: told from its beginning');
      receivers.moveTo(id, Math.max(0, outbox.oldest() - 1));
    }
  }

  /** What one receiver's format stumbles over keeps nothing else from anybody. */
  function take(receiver: Receiver, event: NumberedEvent): boolean {
    try {
      return channelOf(channels, receiver).take(receiver, event);
    } catch (error) {
      if (diskFault(error, '') !== null) throw error;
      receivers.note(receiver.id, `event ${event.n} (${event.event.id}) cannot be told: ${(error as Error).message}`);
      log.error({ err: error, receiver: receiver.id, event: event.event.id }, 'an event cannot be told; this is a bug');
      return false;
    }
  }

  function takeAll(head: number, oldest: number): Pass {
    const reached: string[] = [];
    let more = false;
    let held = false;
    const pages = new Map<number, readonly NumberedEvent[]>();
    for (const receiver of receivers.enabled()) {
      if (receiver.cursor === head) continue;
      if (queue.waiting(receiver.id) >= mostWaiting) {
        held = true;
        continue;
      }
      const after = placeOf(receiver, head, oldest);
      // Most receivers are at the same place: what is next is read once for all of them.
      const events = pages.get(after) ?? outbox.page({ after, limit: page }).items;
      pages.set(after, events);
      const added = events.filter((event) => take(receiver, event));
      if (added.length > 0) reached.push(receiver.id);
      const cursor = events.at(-1)?.n ?? after;
      receivers.moveTo(receiver.id, cursor);
      more ||= cursor < head;
    }
    return { more, held, reached };
  }

  return {
    pass() {
      if (!isChecked) transact(db, checkStore);
      isChecked = true;
      // Asked before the pages: what is appended meanwhile is met in this pass or announced for the next.
      const head = outbox.head();
      if (receivers.enabled().every(({ cursor }) => cursor === head)) return NOTHING;
      return transact(db, () => takeAll(head, outbox.oldest()));
    },
  };
}
