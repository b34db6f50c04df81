import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { type DeliveryAsked, isoOf, LamppostError, type Page, type ShapeOf } from '../domain/index.ts';
import type { OutboxReader } from '../events/index.ts';
import type { Delivery, DeliveryDetail, DeliveryQuery, DeliveryReader } from './deliveries.ts';
import type { HeldEvents } from './email/digest.ts';
import type { DeliveryQueue } from './queue.ts';
import { DISABLE_REASONS, type Message, type Receiver } from './receiver.ts';
import type { ReceiverRepository } from './receivers.ts';
import type { AttemptResult, Decision } from './retry-policy.ts';
import { durably } from './schema.ts';
import { NOUNS } from './writer.ts';

/** What the services of webhooks and subscriptions work with. */
export interface ServiceDeps {
  readonly db: DatabaseSync;
  readonly outbox: OutboxReader;
  readonly receivers: ReceiverRepository;
  readonly queue: DeliveryQueue;
  readonly held: HeldEvents;
  readonly deliveries: DeliveryReader;
  /** Called when a delivery of a receiver may have become due. */
  readonly wake: (id: string) => void;
  /** Brings the receivers up to what people have set. */
  readonly follow: () => void;
  /** Called with each delivery that is to be made again, in the transaction that adds it. */
  readonly onAsked: (asked: DeliveryAsked) => void;
}

const when = z.iso.datetime();

/** The fields of a receiver's state, which the schemas of webhooks and subscriptions extend. */
export const statusFields = {
  enabled: z.boolean(),
  disabled: z.object({ reason: z.string(), detail: z.string() }).nullable().describe('Null while it is enabled'),
  cursor: z.int().describe('The last event that was matched against its filter'),
  waiting: z.int().describe('Deliveries that are not settled'),
  held: z.int().describe('Events that are held for a digest'),
  failingSince: when.nullable().describe('Start of the present run of failures; null where there is none'),
  createdAt: when,
  updatedAt: when,
};
const StatusSchema = z.object(statusFields);
type ReceiverStatus = ShapeOf<typeof StatusSchema>;

/**
 * Shows receivers of one kind as people have set them, and sends again. Each method throws `not-found` where there is
 * no such receiver or delivery.
 */
export class ReceiverService<R extends Receiver> {
  readonly #deps: ServiceDeps;
  readonly #kind: R['kind'];

  constructor(deps: ServiceDeps, kind: R['kind']) {
    this.#deps = deps;
    this.#kind = kind;
  }

  get(id: string): R {
    this.#deps.follow();
    const receiver = this.#deps.receivers.get(id);
    if (receiver?.kind !== this.#kind) {
      throw new LamppostError('not-found', `there is no ${NOUNS[this.#kind]} "${id}"`);
    }
    return receiver as R;
  }

  /** Returns the receivers of this kind in the order of their ids, those after `after`. */
  list(after: string | null): R[] {
    this.#deps.follow();
    return this.#deps.receivers.list(this.#kind, after) as R[];
  }

  statusOf({ id, disabled, cursor, failingSince, createdAt, updatedAt }: Receiver): ReceiverStatus {
    return {
      enabled: disabled === null,
      disabled: disabled === null ? null : { reason: disabled, detail: DISABLE_REASONS[disabled] },
      cursor,
      waiting: this.#deps.queue.waiting(id),
      held: this.#deps.held.count(id),
      failingSince: isoOf(failingSince),
      createdAt: isoOf(createdAt),
      updatedAt: isoOf(updatedAt),
    };
  }

  deliveries(id: string, query: DeliveryQuery): Page<Delivery> {
    this.get(id);
    return this.#deps.deliveries.list(id, query);
  }

  delivery(id: string, n: string): DeliveryDetail {
    this.get(id);
    const found = this.#deps.deliveries.get(id, n);
    if (found === null) throw new LamppostError('not-found', `${NOUNS[this.#kind]} "${id}" has no delivery "${n}"`);
    return found;
  }

  /**
   * Sends a delivery again: the same bytes under the same id, once for each action. Throws `conflict` for a test
   * message.
   */
  redeliver(id: string, n: string, cause: string): DeliveryDetail {
    const made = this.made(id, cause);
    if (made !== null) return made;
    const { origin, events } = this.delivery(id, n);
    if (origin === 'ping') {
      throw new LamppostError('conflict', 'a test message is not redelivered: send another one');
    }
    const { db, queue, onAsked } = this.#deps;
    const added = durably(db, () => {
      const [first] = events;
      onAsked({ receiver: id, event: first!.id, n: first!.n, cause });
      return queue.addAgain(Number(n), cause);
    });
    this.#deps.wake(id);
    return this.delivery(id, String(added));
  }

  /** Returns the delivery that an action has made; null where it has made none. */
  made(id: string, cause: string): DeliveryDetail | null {
    const n = this.#deps.queue.of(this.get(id).id, cause);
    return n === null ? null : this.delivery(id, String(n));
  }

  /** Records a test message of an action and its result as a delivery, and returns it. */
  recordTest(
    id: string,
    { event, cause, message, result }: { event: string; cause: string; message: Message; result: AttemptResult },
  ): DeliveryDetail {
    const { db, queue } = this.#deps;
    const subject = `${this.#kind}s/${id}`;
    const stored = { id: event, n: null, type: 'city.lamppost.ping', subject, body: message.body };
    const decision: Decision = { kind: result.outcome === 'delivered' ? 'done' : 'give-up' };
    const added = durably(db, () => {
      this.get(id);
      const made = queue.of(id, cause);
      if (made !== null) return made;
      const n = queue.add({ receiver: id, lane: event, origin: 'ping', events: [stored], message, cause });
      queue.settle(n, result, decision);
      return n;
    });
    return this.delivery(id, String(added));
  }
}
