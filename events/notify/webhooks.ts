import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { type Clock, LamppostError, type Page } from '../../domain/index.ts';
import { transact } from '../../store/index.ts';
import type { LamppostEvent } from '../cloudevent.ts';
import type { OutboxReader } from '../reader.ts';
import { isPrivateAddress, literalOf } from './address.ts';
import type { Formats } from './formats/index.ts';
import type { Decision } from './ladder.ts';
import type { Delivery, DeliveryDetail, DeliveryLog, DeliveryQuery } from './log.ts';
import type { DeliveryQueue } from './queue.ts';
import { DISABLE_REASONS, type Receiver, type WebhookSettings } from './receiver.ts';
import { type ActiveSecret, isoOf, type ReceiverNote, type ReceiverStore } from './receivers.ts';
import { durably } from './schema.ts';
import { newWebhookSecret } from './signature.ts';
import type { WebhookChannel } from './webhook.ts';

/** A webhook as it is shown: without its secrets. Times ISO 8601 UTC. */
export interface Webhook extends Omit<WebhookSettings, 'authorization'> {
  readonly id: string;
  readonly enabled: boolean;
  /** Why it is disabled; null while it is not. */
  readonly disabled: { readonly reason: string; readonly detail: string } | null;
  /** Number of the last event that was matched against its filter. */
  readonly cursor: number;
  /** Deliveries that are not settled. */
  readonly waiting: number;
  /** Since when nothing was taken; null while it is. */
  readonly failingSince: string | null;
  /** Whether an `Authorization` is sent along. */
  readonly authorization: boolean;
  /** What signs, newest first. */
  readonly secrets: readonly ActiveSecret[];
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** With what befell it, newest first. */
export type WebhookDetail = Webhook & { readonly log: readonly ReceiverNote[] };

/** Events by number or time of the event (epoch ms), both ends included. */
export type EventRange =
  | { readonly by: 'number'; readonly from: number; readonly to: number }
  | { readonly by: 'time'; readonly from: number; readonly to: number };

/** What an administrator does with webhooks. Each throws `not-found` where there is no such webhook or delivery. */
export interface Webhooks {
  /** From the next event on, or after the event of this number. The secret is shown here only. Throws `invalid` for a private address. */
  create(settings: WebhookSettings, after: number | null): Webhook & { readonly secret: string };
  list(query: { limit: number; after: string | null; party?: string }): Page<Webhook>;
  get(id: string): WebhookDetail;
  /** What is given, is changed; what waits goes to the new address as it is. */
  change(id: string, settings: Partial<WebhookSettings>): WebhookDetail;
  remove(id: string): void;
  /** A new secret; the one before it signs beside it for a day. */
  rotate(id: string): { readonly secret: string; readonly secrets: readonly ActiveSecret[] };
  /** Goes on where it stopped, or, with `skip`, at the next event: what waits is given up. */
  enable(id: string, missed: 'deliver' | 'skip'): WebhookDetail;
  disable(id: string): WebhookDetail;
  /** One attempt with a test message, also to a webhook that is disabled. */
  ping(id: string): Promise<DeliveryDetail>;
  deliveries(id: string, query: DeliveryQuery): Page<Delivery>;
  delivery(id: string, delivery: string): DeliveryDetail;
  /** Sends a delivery once more: the same bytes with the same `webhook-id`. Throws `conflict` for a ping. */
  redeliver(id: string, delivery: string): DeliveryDetail;
  /** Delivers, with their own ids, the events of the outbox that match the filter now; answers how many. */
  redeliverRange(id: string, range: EventRange): Promise<number>;
}

/** What the administration needs. */
export interface WebhooksDeps {
  readonly db: DatabaseSync;
  readonly clock: Clock;
  readonly outbox: OutboxReader;
  readonly receivers: ReceiverStore;
  readonly queue: DeliveryQueue;
  readonly deliveries: DeliveryLog;
  readonly channel: WebhookChannel;
  readonly formats: Formats;
  /** Something may have become due for this receiver. */
  readonly wake: (id: string) => void;
  /** There may be events that this receiver has not taken. */
  readonly appended: () => void;
  /** Aborted at the stop. */
  readonly ended: AbortSignal;
  readonly allowPrivate: boolean;
}

const OVERLAP_MS = 86_400_000;
const NOTES = 50;
const PAGE = 500;

/** Makes the administration of webhooks. */
export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { db, clock, outbox, receivers, queue, deliveries, channel, formats, wake, appended, ended } = deps;

  function known(id: string): Receiver {
    const receiver = receivers.get(id);
    if (receiver === null) throw new LamppostError('not-found', `there is no webhook "${id}"`);
    return receiver;
  }

  function shown(receiver: Receiver): Webhook {
    const { id, settings, disabled, cursor, failingSince, createdAt, updatedAt } = receiver;
    return {
      id,
      ...settings,
      authorization: settings.authorization !== null,
      enabled: disabled === null,
      disabled: disabled === null ? null : { reason: disabled, detail: DISABLE_REASONS[disabled] },
      cursor,
      waiting: queue.waiting(id),
      failingSince: failingSince === null ? null : isoOf(failingSince),
      secrets: receivers.activeSecrets(id),
      createdAt: isoOf(createdAt),
      updatedAt: isoOf(updatedAt),
    };
  }

  const detail = (id: string): WebhookDetail => ({ ...shown(known(id)), log: receivers.notes(id, NOTES) });

  function checkAddress(url: string): void {
    const literal = literalOf(new URL(url));
    if (deps.allowPrivate || literal === null || !isPrivateAddress(literal)) return;
    const remedy = 'name a public host, or start Lamppost with WEBHOOK_ALLOW_PRIVATE=true';
    throw new LamppostError('invalid', `url: ${literal} is a private address: ${remedy}`);
  }

  /** A change that is noted in the webhook's log, and on disk when it is answered. */
  function changed(id: string, note: string, work: () => void): void {
    known(id);
    durably(db, () => {
      work();
      receivers.note(id, note);
    });
  }

  function deliveryOf(id: string, delivery: string): DeliveryDetail {
    known(id);
    const found = deliveries.get(id, delivery);
    if (found === null) throw new LamppostError('not-found', `webhook "${id}" has no delivery "${delivery}"`);
    return found;
  }

  function addMatching(receiver: Receiver, after: number, isWithin: (n: number, event: LamppostEvent) => boolean) {
    const { items, next } = outbox.page({ after, limit: PAGE });
    const within = items.filter(({ n, event }) => isWithin(n, event));
    const wanted = within.flatMap((item) => channel.again(receiver, item) ?? []);
    transact(db, () => {
      for (const delivery of wanted) queue.add(delivery);
    });
    return { added: wanted.length, next: next === null ? null : Number(next) };
  }

  return {
    create(settings, after) {
      checkAddress(settings.url);
      const id = `wh-${randomBytes(9).toString('hex')}`;
      const secret = newWebhookSecret();
      durably(db, () => {
        receivers.insert({ id, kind: 'webhook', settings, cursor: after ?? outbox.head() });
        receivers.addSecret(id, secret, 0);
        receivers.note(id, 'created');
      });
      appended();
      return { ...shown(known(id)), secret };
    },
    list({ limit, after, party }) {
      const all = receivers.list('webhook', after);
      const items = party === undefined ? all : all.filter(({ settings }) => settings.party === party);
      return { items: items.slice(0, limit).map(shown), next: items.length > limit ? items[limit - 1]!.id : null };
    },
    get: detail,
    change(id, settings) {
      if (settings.url !== undefined) checkAddress(settings.url);
      const names = Object.keys(settings).join(', ');
      changed(id, `changed: ${names}`, () => receivers.change(id, { ...known(id).settings, ...settings }));
      wake(id);
      return detail(id);
    },
    remove(id) {
      known(id);
      durably(db, () => receivers.remove(id));
    },
    rotate(id) {
      const secret = newWebhookSecret();
      changed(id, 'secret rotated', () => receivers.addSecret(id, secret, OVERLAP_MS));
      return { secret, secrets: receivers.activeSecrets(id) };
    },
    enable(id, missed) {
      changed(id, missed === 'skip' ? 'enabled; what was missed is skipped' : 'enabled', () => {
        receivers.disable(id, null);
        if (missed === 'deliver') return queue.release(id);
        queue.skip(id);
        receivers.moveTo(id, outbox.head());
      });
      wake(id);
      appended();
      return detail(id);
    },
    disable(id) {
      changed(id, `disabled: ${DISABLE_REASONS['by-admin']}`, () => receivers.disable(id, 'by-admin'));
      return detail(id);
    },
    async ping(id) {
      const receiver = known(id);
      const at = isoOf(clock.now());
      const event = { id: `ping-${randomBytes(9).toString('hex')}`, webhook: id, time: at };
      const message = formats[receiver.settings.format].ping(event);
      const answer = await channel.post(receiver, event.id, message, ended);
      const told = { id: event.id, n: null, type: 'city.lamppost.ping', subject: `webhooks/${id}`, body: message.body };
      const decision: Decision = { kind: answer.outcome === 'delivered' ? 'done' : 'give-up' };
      const n = transact(db, () => {
        known(id);
        const added = queue.add({ receiver: id, lane: event.id, origin: 'ping', events: [told], message });
        queue.settle(added, answer, decision);
        return added;
      });
      return deliveryOf(id, String(n));
    },
    deliveries(id, query) {
      known(id);
      return deliveries.list(id, query);
    },
    delivery: deliveryOf,
    redeliver(id, delivery) {
      const { origin } = deliveryOf(id, delivery);
      if (origin === 'ping') throw new LamppostError('conflict', 'a ping is not redelivered: send another one');
      const added = transact(db, () => queue.addAgain(Number(delivery)));
      wake(id);
      return deliveryOf(id, String(added));
    },
    async redeliverRange(id, { by, from, to }) {
      const isWithin = (n: number, { time }: LamppostEvent) => {
        const place = by === 'number' ? n : Date.parse(time);
        return from <= place && place <= to;
      };
      let total = 0;
      let after: number | null = by === 'number' ? Math.max(0, from - 1) : 0;
      while (after !== null && !(by === 'number' && after >= to)) {
        const { added, next } = addMatching(known(id), after, isWithin);
        total += added;
        after = next;
        wake(id);
        // Deliveries of others go on between the pages.
        await new Promise((resolve) => setImmediate(resolve));
      }
      return total;
    },
  };
}
