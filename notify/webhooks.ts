import { randomBytes } from 'node:crypto';
import { type Clock, isoOf, LamppostError, type Page } from '../domain/index.ts';
import type { LamppostEvent } from '../events/index.ts';
import { isPrivateAddress, literalOf } from './address.ts';
import { createDesk, type Desk, type DeskDeps, type Standing } from './desk.ts';
import type { Formats } from './formats/index.ts';
import type { DeliveryDetail } from './log.ts';
import type { WebhookReceiver, WebhookSettings } from './receiver.ts';
import type { ActiveSecret, ReceiverNote } from './receivers.ts';
import { durably } from './schema.ts';
import { newWebhookSecret } from './signature.ts';
import type { WebhookChannel } from './webhook.ts';

/** A webhook as it is shown: without its secrets. */
export interface Webhook extends Omit<WebhookSettings, 'authorization'>, Omit<Standing, 'held'> {
  readonly id: string;
  /** Whether an `Authorization` is sent along. */
  readonly authorization: boolean;
  /** What signs, newest first. */
  readonly secrets: readonly ActiveSecret[];
}

/** With what befell it, newest first. */
export type WebhookDetail = Webhook & { readonly log: readonly ReceiverNote[] };

/** Events by number or time of the event (epoch ms), both ends included. */
export type EventRange =
  | { readonly by: 'number'; readonly from: number; readonly to: number }
  | { readonly by: 'time'; readonly from: number; readonly to: number };

type DeskPart = Pick<Desk<WebhookReceiver>, 'remove' | 'deliveries' | 'delivery' | 'redeliver'>;

/** What an administrator does with webhooks. Each throws `not-found` where there is no such webhook or delivery. */
export interface Webhooks extends DeskPart {
  /** From the next event on, or after the event of this number. The secret is shown here only. Throws `invalid` for a private address. */
  create(settings: WebhookSettings, after: number | null): Webhook & { readonly secret: string };
  list(query: { limit: number; after: string | null; party?: string }): Page<Webhook>;
  get(id: string): WebhookDetail;
  /** What is given, is changed; what waits goes to the new address as it is. */
  change(id: string, settings: Partial<WebhookSettings>): WebhookDetail;
  /** A new secret; the one before it signs beside it for a day. */
  rotate(id: string): { readonly secret: string; readonly secrets: readonly ActiveSecret[] };
  /** Goes on where it stopped, or, with `skip`, at the next event: what waits is given up. */
  enable(id: string, missed: 'deliver' | 'skip'): WebhookDetail;
  disable(id: string): WebhookDetail;
  /** One attempt with a test message, also to a webhook that is disabled. */
  ping(id: string): Promise<DeliveryDetail>;
  /** Delivers, with their own ids, the events of the outbox that match the filter now; answers how many. */
  redeliverRange(id: string, range: EventRange): Promise<number>;
}

/** What the administration needs. */
export interface WebhooksDeps extends DeskDeps {
  readonly clock: Clock;
  readonly channel: WebhookChannel;
  readonly formats: Formats;
  /** Aborted at the stop. */
  readonly ended: AbortSignal;
  readonly allowPrivate: boolean;
}

const OVERLAP_MS = 86_400_000;
/** Lines of a receiver's log that are shown. */
export const NOTES = 50;
const PAGE = 500;

/** Makes the administration of webhooks. */
export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { db, clock, outbox, receivers, queue, channel, formats, wake, appended, ended } = deps;
  const desk = createDesk(deps, 'webhook');
  const { known, changed } = desk;

  function shown(receiver: WebhookReceiver): Webhook {
    const { id, settings } = receiver;
    const { held: _, ...standing } = desk.standing(receiver);
    const authorization = settings.authorization !== null;
    return { id, ...settings, authorization, ...standing, secrets: receivers.activeSecrets(id) };
  }

  const detail = (id: string): WebhookDetail => ({ ...shown(known(id)), log: receivers.notes(id, NOTES) });

  function checkAddress(url: string): void {
    const literal = literalOf(new URL(url));
    if (deps.allowPrivate || literal === null || !isPrivateAddress(literal)) return;
    const remedy = 'name a public host, or start Lamppost with WEBHOOK_ALLOW_PRIVATE=true';
    throw new LamppostError('invalid', `url: ${literal} is a private address: ${remedy}`);
  }

  function addMatching(
    receiver: WebhookReceiver,
    after: number,
    isWithin: (n: number, event: LamppostEvent) => boolean,
  ): { added: number; next: number | null } {
    const { items, next } = outbox.page({ after, limit: PAGE });
    const within = items.filter(({ n, event }) => isWithin(n, event));
    const wanted = within.flatMap((item) => channel.again(receiver, item) ?? []);
    durably(db, () => {
      for (const delivery of wanted) queue.add(delivery);
    });
    return { added: wanted.length, next: next === null ? null : Number(next) };
  }

  const { remove, deliveries, delivery, redeliver } = desk;

  return {
    remove,
    deliveries,
    delivery,
    redeliver,
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
      const all = receivers.list('webhook', after) as WebhookReceiver[];
      const items = party === undefined ? all : all.filter(({ settings }) => settings.party === party);
      return { items: items.slice(0, limit).map(shown), next: items.length > limit ? items[limit - 1]!.id : null };
    },
    get: detail,
    change(id, settings) {
      if (settings.url !== undefined) checkAddress(settings.url);
      const names = Object.keys(settings).join(', ');
      if (names === '') return detail(id);
      changed(id, `changed: ${names}`, () => receivers.change(id, { ...known(id).settings, ...settings }));
      wake(id);
      return detail(id);
    },
    rotate(id) {
      const secret = newWebhookSecret();
      changed(id, 'secret rotated', () => receivers.addSecret(id, secret, OVERLAP_MS));
      return { secret, secrets: receivers.activeSecrets(id) };
    },
    enable(id, missed) {
      desk.enable(id, missed);
      return detail(id);
    },
    disable(id) {
      desk.disable(id);
      return detail(id);
    },
    async ping(id) {
      const receiver = known(id);
      const event = `ping-${randomBytes(9).toString('hex')}`;
      const ping = { id: event, webhook: id, time: isoOf(clock.now()) };
      const message = formats[receiver.settings.format].ping(ping);
      const answer = await channel.post(receiver, event, message, ended);
      return desk.tested(id, { event, message, answer });
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
