import { z } from 'zod';
import { type Clock, isoOf, type Page, type ShapeOf } from '../domain/index.ts';
import type { LamppostEvent } from '../events/index.ts';
import type { DeliveryDetail } from './deliveries.ts';
import type { Formats } from './formats/index.ts';
import { type WebhookReceiver, WebhookSettingsSchema } from './receiver.ts';
import { ActiveSecretsSchema, ReceiverLogSchema } from './receivers.ts';
import { durably } from './schema.ts';
import { ReceiverService, type ServiceDeps, statusFields } from './service.ts';
import type { WebhookChannel } from './webhook.ts';

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

/**
 * Shows webhooks, and sends to them. `cause` is the place of the action in the log: of one action it sends once. Each
 * method throws `not-found` where there is no such webhook or delivery.
 */
export interface Webhooks extends Pick<ReceiverService<WebhookReceiver>, 'deliveries' | 'delivery' | 'redeliver'> {
  list(query: { limit: number; after: string | null; party?: string }): Page<Webhook>;
  get(id: string): WebhookDetail;
  /** Makes one attempt with a test message, also to a webhook that is disabled. */
  ping(id: string, cause: string): Promise<DeliveryDetail>;
  /** Delivers the events of the outbox again that match the filter now, under their own ids; returns how many. */
  redeliverRange(id: string, range: EventRange, cause: string): Promise<number>;
}

interface WebhooksDeps extends ServiceDeps {
  readonly clock: Clock;
  readonly channel: WebhookChannel;
  readonly formats: Formats;
  /** Aborted at the stop. */
  readonly ended: AbortSignal;
}

const PAGE = 500;

/** Creates the service of webhooks. */
export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { db, clock, outbox, receivers, queue, channel, formats, wake, onAsked, ended } = deps;
  const service = new ReceiverService<WebhookReceiver>(deps, 'webhook');

  function shown(receiver: WebhookReceiver): Webhook {
    const { id, settings } = receiver;
    const { held: _, ...status } = service.statusOf(receiver);
    const authorization = settings.authorization !== null;
    return { id, ...settings, authorization, ...status, secrets: receivers.activeSecrets(id) };
  }

  const detail = (id: string): WebhookDetail => ({ ...shown(service.get(id)), log: receivers.log(id) });

  /** Adds deliveries of one page of events; returns how many, and the place after the page (null at the end). */
  function addMatching(
    receiver: WebhookReceiver,
    after: number,
    cause: string,
    isWithin: (n: number, event: LamppostEvent) => boolean,
  ): { added: number; next: number | null } {
    const { items, next } = outbox.page({ after, limit: PAGE });
    const within = items.filter(({ n, event }) => isWithin(n, event));
    const wanted = within.flatMap((item) => {
      const delivery = channel.again(receiver, item);
      const of = { cause: `${cause} ${item.event.id}` };
      return delivery === null ? [] : [{ ...of, delivery: { ...delivery, ...of }, event: item.event.id, n: item.n }];
    });
    durably(db, () => {
      for (const { delivery, ...asked } of wanted) {
        if (queue.of(receiver.id, asked.cause) !== null) continue;
        queue.add(delivery);
        onAsked({ receiver: receiver.id, ...asked });
      }
    });
    return { added: wanted.length, next: next === null ? null : Number(next) };
  }

  return {
    deliveries: (id, query) => service.deliveries(id, query),
    delivery: (id, delivery) => service.delivery(id, delivery),
    redeliver: (id, delivery, cause) => service.redeliver(id, delivery, cause),
    list({ limit, after, party }) {
      const all = service.list(after);
      const items = party === undefined ? all : all.filter(({ settings }) => settings.party === party);
      return { items: items.slice(0, limit).map(shown), next: items.length > limit ? items[limit - 1]!.id : null };
    },
    get: detail,
    async ping(id, cause) {
      const receiver = service.get(id);
      const made = service.made(id, cause);
      if (made !== null) return made;
      const event = `ping-${cause}`;
      const ping = { id: event, webhook: id, time: isoOf(clock.now()) };
      const message = formats[receiver.settings.format].ping(ping);
      const result = await channel.post(receiver, event, message, ended);
      return service.recordTest(id, { event, cause, message, result });
    },
    async redeliverRange(id, { by, from, to }, cause) {
      const isWithin = (n: number, { time }: LamppostEvent) => {
        const place = by === 'number' ? n : Date.parse(time);
        return from <= place && place <= to;
      };
      let total = 0;
      let after: number | null = by === 'number' ? Math.max(0, from - 1) : 0;
      while (after !== null && !(by === 'number' && after >= to)) {
        const { added, next } = addMatching(service.get(id), after, cause, isWithin);
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
