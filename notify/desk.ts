import type { DatabaseSync } from 'node:sqlite';
import { isoOf, LamppostError, type Page } from '../domain/index.ts';
import type { OutboxReader } from '../events/index.ts';
import type { HeldStore } from './held.ts';
import type { Answer, Decision } from './ladder.ts';
import type { Delivery, DeliveryDetail, DeliveryLog, DeliveryQuery } from './log.ts';
import type { DeliveryQueue } from './queue.ts';
import { DISABLE_REASONS, type EmailReceiver, type Message, type Receiver, type WebhookReceiver } from './receiver.ts';
import type { ReceiverStore } from './receivers.ts';
import { durably } from './schema.ts';

/** What the administration of receivers needs. */
export interface DeskDeps {
  readonly db: DatabaseSync;
  readonly outbox: OutboxReader;
  readonly receivers: ReceiverStore;
  readonly queue: DeliveryQueue;
  readonly held: HeldStore;
  readonly deliveries: DeliveryLog;
  /** Something may have become due for this receiver. */
  readonly wake: (id: string) => void;
  /** There may be something to take: events of the outbox, or what was held. */
  readonly appended: () => void;
}

/** How a receiver stands. Times ISO 8601 UTC. */
export interface Standing {
  readonly enabled: boolean;
  /** Why it is disabled; null while it is not. */
  readonly disabled: { readonly reason: string; readonly detail: string } | null;
  /** Number of the last event that was matched against its filter. */
  readonly cursor: number;
  /** Deliveries that are not settled, and events that are held for a digest. */
  readonly waiting: number;
  readonly held: number;
  /** Since when nothing was taken; null while it is. */
  readonly failingSince: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** What an administrator does with receivers of either kind. Each throws `not-found` where there is no such receiver or delivery. */
export interface Desk<R extends Receiver> {
  known(id: string): R;
  standing(receiver: R): Standing;
  /** A change that is noted in the receiver's log, and on disk when this returns. */
  changed(id: string, note: string, work: () => void): void;
  remove(id: string): void;
  /** Goes on where it stopped, or, with `skip`, at the next event: what waits is given up. */
  enable(id: string, missed: 'deliver' | 'skip'): void;
  disable(id: string): void;
  deliveries(id: string, query: DeliveryQuery): Page<Delivery>;
  delivery(id: string, delivery: string): DeliveryDetail;
  /** Sends a delivery once more: the same bytes under the same id. Throws `conflict` for a ping. */
  redeliver(id: string, delivery: string): DeliveryDetail;
  /** Notes a test message and what came of it. */
  tested(
    id: string,
    test: { readonly event: string; readonly message: Message; readonly answer: Answer },
  ): DeliveryDetail;
}

/** What people call a kind of receiver. */
const NOUNS = { webhook: 'webhook', email: 'subscription' } as const;

export function createDesk(deps: DeskDeps, kind: 'webhook'): Desk<WebhookReceiver>;
export function createDesk(deps: DeskDeps, kind: 'email'): Desk<EmailReceiver>;
/** Makes the administration of one kind of receivers. */
export function createDesk(deps: DeskDeps, kind: Receiver['kind']): Desk<never> {
  const { db, outbox, receivers, queue, held, deliveries, wake, appended } = deps;

  function known(id: string): Receiver {
    const receiver = receivers.get(id);
    if (receiver?.kind !== kind) throw new LamppostError('not-found', `there is no ${NOUNS[kind]} "${id}"`);
    return receiver;
  }

  function changed(id: string, note: string, work: () => void): void {
    known(id);
    durably(db, () => {
      work();
      receivers.note(id, note);
    });
  }

  function delivery(id: string, n: string): DeliveryDetail {
    known(id);
    const found = deliveries.get(id, n);
    if (found === null) throw new LamppostError('not-found', `${NOUNS[kind]} "${id}" has no delivery "${n}"`);
    return found;
  }

  function skip(id: string): void {
    queue.skip(id);
    held.clear(id);
    receivers.moveTo(id, outbox.head());
  }

  const desk: Desk<Receiver> = {
    known,
    standing({ id, disabled, cursor, failingSince, createdAt, updatedAt }) {
      return {
        enabled: disabled === null,
        disabled: disabled === null ? null : { reason: disabled, detail: DISABLE_REASONS[disabled] },
        cursor,
        waiting: queue.waiting(id),
        held: held.count(id),
        failingSince: failingSince === null ? null : isoOf(failingSince),
        createdAt: isoOf(createdAt),
        updatedAt: isoOf(updatedAt),
      };
    },
    changed,
    remove(id) {
      known(id);
      durably(db, () => receivers.remove(id));
    },
    enable(id, missed) {
      changed(id, missed === 'skip' ? 'enabled; what was missed is skipped' : 'enabled', () => {
        receivers.disable(id, null);
        if (missed === 'skip') skip(id);
        else queue.release(id);
      });
      wake(id);
      appended();
    },
    disable(id) {
      changed(id, `disabled: ${DISABLE_REASONS['by-admin']}`, () => receivers.disable(id, 'by-admin'));
    },
    deliveries(id, query) {
      known(id);
      return deliveries.list(id, query);
    },
    delivery,
    redeliver(id, n) {
      if (delivery(id, n).origin === 'ping') {
        throw new LamppostError('conflict', 'a test message is not redelivered: send another one');
      }
      const added = durably(db, () => queue.addAgain(Number(n)));
      wake(id);
      return delivery(id, String(added));
    },
    tested(id, { event, message, answer }) {
      const told = { id: event, n: null, type: 'city.lamppost.ping', subject: `${kind}s/${id}`, body: message.body };
      const decision: Decision = { kind: answer.outcome === 'delivered' ? 'done' : 'give-up' };
      const added = durably(db, () => {
        known(id);
        const n = queue.add({ receiver: id, lane: event, origin: 'ping', events: [told], message });
        queue.settle(n, answer, decision);
        return n;
      });
      return delivery(id, String(added));
    },
  };
  return desk as unknown as Desk<never>;
}
