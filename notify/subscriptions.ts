import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Clock, isoOf, LamppostError, type Page, type ShapeOf } from '../domain/index.ts';
import type { DeliveryDetail } from './deliveries.ts';
import type { EmailChannel } from './email/channel.ts';
import { type EmailReceiver, type EmailSettings, EmailSettingsSchema, ReceiverFilterSchema } from './receiver.ts';
import { ReceiverLogSchema, type WebhookSubscription, type WebhookSubscriptionRepository } from './receivers.ts';
import { durably } from './schema.ts';
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

type EmailRequest = EmailSettings & { readonly channel: 'email' };
type OverWebhook = ShapeOf<typeof OverWebhookSchema>;

/** A subscription to create. */
export type SubscriptionRequest = EmailRequest | Pick<OverWebhook, 'channel' | 'webhook' | 'party' | 'filter'>;

/**
 * Administers subscriptions. Each method throws `not-found` where there is no such subscription; methods that concern
 * mail throw `conflict` for a subscription over a webhook.
 */
export interface Subscriptions
  extends Pick<ReceiverService<EmailReceiver>, 'remove' | 'deliveries' | 'delivery' | 'redeliver'> {
  /** Subscribes from the next event on. Throws `invalid` where there is no such webhook, or no mail server is set. */
  create(request: SubscriptionRequest): Subscription;
  list(query: { limit: number; after: string | null; party?: string }): Page<Subscription>;
  get(id: string): SubscriptionDetail;
  /** Changes the settings that are given. Events that are held for a digest follow the new hours. */
  change(id: string, settings: Partial<EmailSettings>): SubscriptionDetail;
  enable(id: string, missed: 'deliver' | 'skip'): SubscriptionDetail;
  disable(id: string): SubscriptionDetail;
  /** Makes one attempt with a test mail. */
  test(id: string): Promise<DeliveryDetail>;
}

interface SubscriptionsDeps extends ServiceDeps {
  readonly clock: Clock;
  readonly channel: EmailChannel;
  readonly overWebhooks: WebhookSubscriptionRepository;
  /** Whether a mail server is set. */
  readonly canMail: boolean;
  /** Aborted at the stop. */
  readonly ended: AbortSignal;
}

/** Creates the service of subscriptions. */
export function createSubscriptions(deps: SubscriptionsDeps): Subscriptions {
  const { db, clock, outbox, receivers, held, channel, overWebhooks, appended, ended } = deps;
  const service = new ReceiverService<EmailReceiver>(deps, 'email');

  function shown(receiver: EmailReceiver) {
    const { id, settings } = receiver;
    return { id, channel: 'email' as const, ...settings, ...service.statusOf(receiver) };
  }

  function detail(id: string): SubscriptionDetail {
    const over = overWebhooks.get(id);
    if (over !== null) return { ...overShown(over), log: [] };
    return { ...shown(service.get(id)), log: receivers.log(id) };
  }

  /** Returns the id where it is not that of a subscription over a webhook; throws `conflict` for these. */
  function mailed(id: string): string {
    const over = overWebhooks.get(id);
    if (over === null) return id;
    const remedy = `use webhook "${over.webhook}", which has this for everything that it is sent`;
    throw new LamppostError('conflict', `subscription "${id}" goes over a webhook: ${remedy}`);
  }

  function createMailed(id: string, { channel: _, ...settings }: EmailRequest): void {
    if (!deps.canMail) {
      const text = 'channel: there is no mail server: start Lamppost with SMTP_URL and SMTP_FROM';
      throw new LamppostError('invalid', text);
    }
    durably(db, () => {
      receivers.insert({ id, kind: 'email', settings, cursor: outbox.head() });
      receivers.note(id, 'created');
    });
  }

  function createOver(id: string, request: Exclude<SubscriptionRequest, EmailRequest>): void {
    if (receivers.get(request.webhook)?.kind !== 'webhook') {
      throw new LamppostError('invalid', `webhook: there is no webhook "${request.webhook}"`);
    }
    durably(db, () => overWebhooks.insert({ ...request, id }));
  }

  function changeOver(over: WebhookSubscription, settings: Partial<EmailSettings>): void {
    const { party = over.party, filter = over.filter, ...others } = settings;
    const [other] = Object.keys(others);
    if (other !== undefined) {
      const text = `${other}: applies to mail only; a subscription over a webhook has a party and a filter`;
      throw new LamppostError('invalid', text);
    }
    durably(db, () => overWebhooks.change(over.id, { party, filter }));
  }

  function changeMailed(id: string, settings: Partial<EmailSettings>): void {
    const next = { ...service.get(id).settings, ...settings };
    service.change(id, `changed: ${Object.keys(settings).join(', ')}`, () => {
      receivers.change(id, next);
      const plan = channel.plan(next);
      held.move(id, plan.kind === 'hold' ? plan.untilMs : clock.now());
    });
    appended();
  }

  return {
    create(request) {
      const id = `sub-${randomBytes(9).toString('hex')}`;
      if (request.channel === 'email') createMailed(id, request);
      else createOver(id, request);
      const { log: _, ...subscription } = detail(id);
      return subscription;
    },
    list({ limit, after, party }) {
      const subscriptions = [...service.list(after).map(shown), ...overWebhooks.list(after).map(overShown)];
      const all = subscriptions.sort((a, b) => (a.id < b.id ? -1 : 1));
      const items = party === undefined ? all : all.filter((one) => one.party === party);
      return { items: items.slice(0, limit), next: items.length > limit ? items[limit - 1]!.id : null };
    },
    get: detail,
    change(id, settings) {
      const over = overWebhooks.get(id);
      if (Object.keys(settings).length === 0) return detail(id);
      if (over === null) changeMailed(id, settings);
      else changeOver(over, settings);
      return detail(id);
    },
    remove(id) {
      if (overWebhooks.get(id) === null) service.remove(id);
      else durably(db, () => overWebhooks.remove(id));
    },
    enable(id, missed) {
      service.enable(mailed(id), missed);
      return detail(id);
    },
    disable(id) {
      service.disable(mailed(id));
      return detail(id);
    },
    async test(id) {
      const receiver = service.get(mailed(id));
      const event = `ping-${randomBytes(9).toString('hex')}`;
      const { message, result } = await channel.test(receiver, event, ended);
      return service.recordTest(id, { event, message, result });
    },
    deliveries: (id, query) => service.deliveries(mailed(id), query),
    delivery: (id, delivery) => service.delivery(mailed(id), delivery),
    redeliver: (id, delivery) => service.redeliver(mailed(id), delivery),
  };
}

function overShown({ createdAt, updatedAt, ...over }: WebhookSubscription): OverWebhook {
  return { ...over, channel: 'webhook', createdAt: isoOf(createdAt), updatedAt: isoOf(updatedAt) };
}
