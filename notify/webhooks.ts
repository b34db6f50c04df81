import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Clock, DAY_MS, isoOf, LamppostError, type Page, type ShapeOf } from '../domain/index.ts';
import type { LamppostEvent } from '../events/index.ts';
import { isPrivateAddress, literalOf } from './address.ts';
import type { DeliveryDetail } from './deliveries.ts';
import type { Formats } from './formats/index.ts';
import { type WebhookReceiver, type WebhookSettings, WebhookSettingsSchema } from './receiver.ts';
import { ActiveSecretsSchema, ReceiverLogSchema } from './receivers.ts';
import { durably } from './schema.ts';
import { ReceiverService, type ServiceDeps, statusFields } from './service.ts';
import { newWebhookSecret, type WebhookChannel } from './webhook.ts';

const { held: _, ...status } = statusFields;

/** A webhook without its secrets. */
export const WebhookSchema = z
  .object({
    id: z.string(),
    ...WebhookSettingsSchema.shape,
    authorization: z.boolean().describe('Whether an `Authorization` is sent'),
    ...status,
    secrets: ActiveSecretsSchema,
  })
  .meta({ id: 'Webhook' });
export type Webhook = ShapeOf<typeof WebhookSchema>;

/** A webhook with its log. */
export const WebhookDetailSchema = WebhookSchema.extend({ log: ReceiverLogSchema }).meta({ id: 'WebhookInFull' });
export type WebhookDetail = ShapeOf<typeof WebhookDetailSchema>;

const secret = z.string().describe('Shown once, here');

/** A webhook that was added, with its secret. */
export const NewWebhookSchema = WebhookSchema.extend({ secret }).meta({ id: 'NewWebhook' });

/** A new secret, and the secrets that sign from now on. */
export const RotatedWebhookSchema = z.object({ secret, secrets: ActiveSecretsSchema }).meta({ id: 'RotatedWebhook' });

/** Events by number or by time (epoch ms), both ends included. */
export interface EventRange {
  readonly by: 'number' | 'time';
  readonly from: number;
  readonly to: number;
}

/** Administers webhooks. Each method throws `not-found` where there is no such webhook or delivery. */
export interface Webhooks
  extends Pick<ReceiverService<WebhookReceiver>, 'remove' | 'deliveries' | 'delivery' | 'redeliver'> {
  /**
   * Adds a webhook that begins at the next event, or after the event of this number. Returns the secret, which is shown
   * only here. Throws `invalid` for a private address.
   */
  create(settings: WebhookSettings, after: number | null): ShapeOf<typeof NewWebhookSchema>;
  list(query: { limit: number; after: string | null; party?: string }): Page<Webhook>;
  get(id: string): WebhookDetail;
  /** Changes the settings that are given. Deliveries that wait go to the new address unchanged. */
  change(id: string, settings: Partial<WebhookSettings>): WebhookDetail;
  /** Adds a new secret. The one before it signs beside it for a day. */
  rotate(id: string): ShapeOf<typeof RotatedWebhookSchema>;
  /** Continues where the webhook stopped, or, with `skip`, at the next event: deliveries that wait are given up. */
  enable(id: string, missed: 'deliver' | 'skip'): WebhookDetail;
  disable(id: string): WebhookDetail;
  /** Makes one attempt with a test message, also to a webhook that is disabled. */
  ping(id: string): Promise<DeliveryDetail>;
  /** Delivers the events of the outbox again that match the filter now, under their own ids; returns how many. */
  redeliverRange(id: string, range: EventRange): Promise<number>;
}

interface WebhooksDeps extends ServiceDeps {
  readonly clock: Clock;
  readonly channel: WebhookChannel;
  readonly formats: Formats;
  /** Aborted at the stop. */
  readonly ended: AbortSignal;
  readonly allowPrivate: boolean;
}

const OVERLAP_MS = DAY_MS;
const PAGE = 500;

/** Creates the service of webhooks. */
export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { db, clock, outbox, receivers, queue, channel, formats, wake, appended, ended } = deps;
  const service = new ReceiverService<WebhookReceiver>(deps, 'webhook');

  function shown(receiver: WebhookReceiver): Webhook {
    const { id, settings } = receiver;
    const { held: _, ...status } = service.statusOf(receiver);
    const authorization = settings.authorization !== null;
    return { id, ...settings, authorization, ...status, secrets: receivers.activeSecrets(id) };
  }

  const detail = (id: string): WebhookDetail => ({ ...shown(service.get(id)), log: receivers.log(id) });

  function checkAddress(url: string): void {
    const literal = literalOf(new URL(url));
    if (deps.allowPrivate || literal === null || !isPrivateAddress(literal)) return;
    const remedy = 'name a public host, or start Lamppost with WEBHOOK_ALLOW_PRIVATE=true';
    throw new LamppostError('invalid', `url: ${literal} is a private address: ${remedy}`);
  }

  /** Adds deliveries of one page of events; returns how many, and the place after the page (null at the end). */
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

  return {
    remove: (id) => service.remove(id),
    deliveries: (id, query) => service.deliveries(id, query),
    delivery: (id, delivery) => service.delivery(id, delivery),
    redeliver: (id, delivery) => service.redeliver(id, delivery),
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
      return { ...shown(service.get(id)), secret };
    },
    list({ limit, after, party }) {
      const all = service.list(after);
      const items = party === undefined ? all : all.filter(({ settings }) => settings.party === party);
      return { items: items.slice(0, limit).map(shown), next: items.length > limit ? items[limit - 1]!.id : null };
    },
    get: detail,
    change(id, settings) {
      if (settings.url !== undefined) checkAddress(settings.url);
      const names = Object.keys(settings).join(', ');
      if (names === '') return detail(id);
      const next = { ...service.get(id).settings, ...settings };
      service.change(id, `changed: ${names}`, () => receivers.change(id, next));
      wake(id);
      return detail(id);
    },
    rotate(id) {
      const secret = newWebhookSecret();
      service.change(id, 'secret rotated', () => receivers.addSecret(id, secret, OVERLAP_MS));
      return { secret, secrets: receivers.activeSecrets(id) };
    },
    enable(id, missed) {
      service.enable(id, missed);
      return detail(id);
    },
    disable(id) {
      service.disable(id);
      return detail(id);
    },
    async ping(id) {
      const receiver = service.get(id);
      const event = `ping-${randomBytes(9).toString('hex')}`;
      const ping = { id: event, webhook: id, time: isoOf(clock.now()) };
      const message = formats[receiver.settings.format].ping(ping);
      const result = await channel.post(receiver, event, message, ended);
      return service.recordTest(id, { event, message, result });
    },
    async redeliverRange(id, { by, from, to }) {
      const isWithin = (n: number, { time }: LamppostEvent) => {
        const place = by === 'number' ? n : Date.parse(time);
        return from <= place && place <= to;
      };
      let total = 0;
      let after: number | null = by === 'number' ? Math.max(0, from - 1) : 0;
      while (after !== null && !(by === 'number' && after >= to)) {
        const { added, next } = addMatching(service.get(id), after, isWithin);
        total += added;
        after = next;
        wake(id);
        // Deliveries to others continue between the pages.
        await new Promise((resolve) => setImmediate(resolve));
      }
      return total;
    },
  };
}
