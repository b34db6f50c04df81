import { z } from 'zod';
import { isoOf, LamppostError, type Page, type ShapeOf } from '../domain/index.ts';
import type { WebhookSubscription } from './definitions.ts';
import type { DeliveryDetail } from './deliveries.ts';
import type { EmailChannel } from './email/channel.ts';
import { type EmailReceiver, EmailSettingsSchema, ReceiverFilterSchema } from './receiver.ts';
import { ReceiverLogSchema } from './receivers.ts';
import { ReceiverService, type ServiceDeps, statusFields } from './service.ts';

const OverWebhookSchema = z.object({
  id: z.string(),
  channel: z.literal('webhook'),
  webhook: z.string(),
  party: z.string(),
  filter: ReceiverFilterSchema,
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
const ByMailSchema = z.object({
  id: z.string(),
  channel: z.literal('email'),
  ...EmailSettingsSchema.shape,
  ...statusFields,
});
const log = ReceiverLogSchema;

/** What a party subscribes to, by mail or over a webhook. */
export const SubscriptionSchema = z.union([ByMailSchema, OverWebhookSchema]).meta({ id: 'Subscription' });
export type Subscription = ShapeOf<typeof SubscriptionSchema>;

/** A subscription with its log. */
export const SubscriptionDetailSchema = z
  .union([ByMailSchema.extend({ log }), OverWebhookSchema.extend({ log })])
  .meta({ id: 'SubscriptionInFull' });
export type SubscriptionDetail = ShapeOf<typeof SubscriptionDetailSchema>;

type OverWebhook = ShapeOf<typeof OverWebhookSchema>;

/**
 * Shows subscriptions, and sends mail again. `cause` is the place of the action in the log. Each method throws
 * `not-found` where there is no such subscription; methods that concern mail throw `conflict` for a subscription over a
 * webhook.
 */
export interface Subscriptions extends Pick<ReceiverService<EmailReceiver>, 'deliveries' | 'delivery' | 'redeliver'> {
  list(query: { limit: number; after: string | null; party?: string }): Page<Subscription>;
  get(id: string): SubscriptionDetail;
  /** Makes one attempt with a test mail. */
  test(id: string, cause: string): Promise<DeliveryDetail>;
}

interface SubscriptionsDeps extends ServiceDeps {
  readonly channel: EmailChannel;
  /** Aborted at the stop. */
  readonly ended: AbortSignal;
}

/** Creates the service of subscriptions. */
export function createSubscriptions(deps: SubscriptionsDeps): Subscriptions {
  const { receivers, channel, ended } = deps;
  const service = new ReceiverService<EmailReceiver>(deps, 'email');

  function shown(receiver: EmailReceiver) {
    const { id, settings } = receiver;
    return { id, channel: 'email' as const, ...settings, ...service.statusOf(receiver) };
  }

  function overOf(id: string): WebhookSubscription | null {
    deps.follow();
    return receivers.subscription(id);
  }

  function detail(id: string): SubscriptionDetail {
    const over = overOf(id);
    if (over !== null) return { ...overShown(over), log: [] };
    return { ...shown(service.get(id)), log: receivers.log(id) };
  }

  /** Returns the id where it is not that of a subscription over a webhook; throws `conflict` for these. */
  function mailed(id: string): string {
    const over = overOf(id);
    if (over === null) return id;
    const remedy = `use webhook "${over.webhook}", which has this for everything that it is sent`;
    throw new LamppostError('conflict', `subscription "${id}" goes over a webhook: ${remedy}`);
  }

  return {
    list({ limit, after, party }) {
      const subscriptions = [...service.list(after).map(shown), ...receivers.subscriptions(after).map(overShown)];
      const all = subscriptions.sort((a, b) => (a.id < b.id ? -1 : 1));
      const items = party === undefined ? all : all.filter((one) => one.party === party);
      return { items: items.slice(0, limit), next: items.length > limit ? items[limit - 1]!.id : null };
    },
    get: detail,
    async test(id, cause) {
      const receiver = service.get(mailed(id));
      const made = service.made(id, cause);
      if (made !== null) return made;
      const event = `ping-${cause}`;
      const { message, result } = await channel.test(receiver, event, ended);
      return service.recordTest(id, { event, cause, message, result });
    },
    deliveries: (id, query) => service.deliveries(mailed(id), query),
    delivery: (id, delivery) => service.delivery(mailed(id), delivery),
    redeliver: (id, delivery, cause) => service.redeliver(mailed(id), delivery, cause),
  };
}

function overShown({ createdAt, updatedAt, ...over }: WebhookSubscription): OverWebhook {
  return { ...over, channel: 'webhook', createdAt: isoOf(createdAt), updatedAt: isoOf(updatedAt) };
}
