import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { isoOf, LamppostError, type Page, type ShapeOf } from '../domain/index.ts';
import type { OutboxReader } from '../events/index.ts';
import type { Delivery, DeliveryDetail, DeliveryQuery, DeliveryReader } from './deliveries.ts';
import type { HeldEvents } from './email/digest.ts';
import type { DeliveryQueue } from './queue.ts';
import { DISABLE_REASONS, type Message, type Receiver } from './receiver.ts';
import type { ReceiverRepository } from './receivers.ts';
import type { AttemptResult, Decision } from './retry-policy.ts';
import { durably } from './schema.ts';

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
  /** Called when there may be events to take, from the outbox or from those held. */
  readonly appended: () => void;
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

/** What people call a kind of receiver. */
const NOUNS = { webhook: 'webhook', email: 'subscription' } as const;

/** Administers receivers of one kind. Each method throws `not-found` where there is no such receiver or delivery. */
export class ReceiverService<R extends Receiver> {
  readonly #deps: ServiceDeps;
  readonly #kind: R['kind'];

  constructor(deps: ServiceDeps, kind: R['kind']) {
    this.#deps = deps;
    this.#kind = kind;
  }

  get(id: string): R {
    const receiver = this.#deps.receivers.get(id);
    if (receiver?.kind !== this.#kind) {
      throw new LamppostError('not-found', `there is no ${NOUNS[this.#kind]} "${id}"`);
    }
    return receiver as R;
  }

  /** Returns the receivers of this kind in the order of their ids, those after `after`. */
  list(after: string | null): R[] {
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

  /** Makes a change and notes it in the receiver's log. Both are on disk when this returns. */
  change(id: string, note: string, work: () => void): void {
    this.get(id);
    durably(this.#deps.db, () => {
      work();
      this.#deps.receivers.note(id, note);
    });
  }

  remove(id: string): void {
    this.get(id);
    durably(this.#deps.db, () => this.#deps.receivers.remove(id));
  }

  /** Continues where the receiver stopped, or, with `skip`, at the next event: deliveries that wait are given up. */
  enable(id: string, missed: 'deliver' | 'skip'): void {
    const { receivers, queue, held, outbox, wake, appended } = this.#deps;
    this.change(id, missed === 'skip' ? 'enabled; missed events are skipped' : 'enabled', () => {
      receivers.disable(id, null);
      if (missed === 'deliver') return queue.release(id);
      queue.skip(id);
      held.clear(id);
      receivers.moveTo(id, outbox.head());
    });
    wake(id);
    appended();
  }

  disable(id: string): void {
    this.change(id, `disabled: ${DISABLE_REASONS['by-admin']}`, () => this.#deps.receivers.disable(id, 'by-admin'));
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

  /** Sends a delivery again: the same bytes under the same id. Throws `conflict` for a test message. */
  redeliver(id: string, n: string): DeliveryDetail {
    if (this.delivery(id, n).origin === 'ping') {
      throw new LamppostError('conflict', 'a test message is not redelivered: send another one');
    }
    const added = durably(this.#deps.db, () => this.#deps.queue.addAgain(Number(n)));
    this.#deps.wake(id);
    return this.delivery(id, String(added));
  }

  /** Records a test message and its result as a delivery, and returns it. */
  recordTest(
    id: string,
    { event, message, result }: { event: string; message: Message; result: AttemptResult },
  ): DeliveryDetail {
    const { db, queue } = this.#deps;
    const subject = `${this.#kind}s/${id}`;
    const stored = { id: event, n: null, type: 'city.lamppost.ping', subject, body: message.body };
    const decision: Decision = { kind: result.outcome === 'delivered' ? 'done' : 'give-up' };
    const added = durably(db, () => {
      this.get(id);
      const n = queue.add({ receiver: id, lane: event, origin: 'ping', events: [stored], message });
      queue.settle(n, result, decision);
      return n;
    });
    return this.delivery(id, String(added));
  }
}
