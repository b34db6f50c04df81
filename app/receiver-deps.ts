import type { ActionLog, Caller } from '../actions/index.ts';
import type { ApiDeps } from '../api/index.ts';
import { LamppostError } from '../domain/index.ts';
import {
  newWebhookSecret,
  refusePrivate,
  type Sealer,
  type Subscriptions,
  type WebhookSettings,
  type Webhooks,
} from '../notify/index.ts';
import type { Remote } from './threads/rpc.ts';

interface Parts {
  readonly actions: Pick<ActionLog, 'submit'>;
  readonly webhooks: Remote<Webhooks>;
  readonly subscriptions: Remote<Subscriptions>;
  readonly sealer: Sealer;
  /** Whether webhooks may go to private addresses. */
  readonly allowPrivate: boolean;
  /** Whether a mail server is set. */
  readonly canMail: boolean;
}

/** Returns the services of webhooks and subscriptions: what people set is an action, what is sent follows from it. */
export function createReceiverDeps(parts: Parts): Pick<ApiDeps, 'webhooks' | 'subscriptions'> {
  return { webhooks: webhooksOf(parts), subscriptions: subscriptionsOf(parts) };
}

function webhooksOf({ actions, webhooks, sealer, allowPrivate }: Parts): ApiDeps['webhooks'] {
  const sealed = (text: string | null) => (text === null ? null : sealer.seal(text));

  return {
    list: (query) => webhooks.list(query),
    get: (id) => webhooks.get(id),
    deliveries: (id, query) => webhooks.deliveries(id, query),
    delivery: (id, delivery) => webhooks.delivery(id, delivery),
    async create({ authorization, ...settings }: WebhookSettings, after: number | null, caller: Caller) {
      refusePrivate(settings.url, allowPrivate);
      const drawn = { secret: sealer.seal(newWebhookSecret()), authorization: sealed(authorization) };
      const made = await actions.submit({ do: 'webhook.add', settings, after, drawn }, caller);
      const { log: _, ...webhook } = await webhooks.get(made.id);
      return { ...webhook, secret: sealer.open(made.secret) };
    },
    async change(webhook, { authorization, ...settings }, caller) {
      if (settings.url !== undefined) refusePrivate(settings.url, allowPrivate);
      const drawn = authorization === undefined ? {} : { authorization: sealed(authorization) };
      await actions.submit({ do: 'webhook.change', webhook, settings, drawn }, caller);
      return webhooks.get(webhook);
    },
    async rotate(webhook, caller) {
      const drawn = { secret: sealer.seal(newWebhookSecret()) };
      const { secret } = await actions.submit({ do: 'webhook.rotate', webhook, drawn }, caller);
      const { secrets } = await webhooks.get(webhook);
      return { secret: sealer.open(secret), secrets };
    },
    async remove(webhook, caller) {
      await actions.submit({ do: 'webhook.remove', webhook }, caller);
    },
    async enable(webhook, missed, caller) {
      await actions.submit({ do: 'webhook.enable', webhook, missed }, caller);
      return webhooks.get(webhook);
    },
    async disable(webhook, caller) {
      await actions.submit({ do: 'webhook.disable', webhook }, caller);
      return webhooks.get(webhook);
    },
    async ping(webhook, caller) {
      const { place } = await actions.submit({ do: 'webhook.ping', webhook }, caller);
      return webhooks.ping(webhook, place);
    },
    async redeliver(webhook, what, caller) {
      const { place } = await actions.submit({ do: 'webhook.redeliver', webhook, what }, caller);
      return webhooks.redeliver(webhook, what, place);
    },
    async redeliverRange(webhook, what, caller) {
      const { place } = await actions.submit({ do: 'webhook.redeliver', webhook, what }, caller);
      return webhooks.redeliverRange(webhook, what, place);
    },
  };
}

function subscriptionsOf({ actions, subscriptions, canMail }: Parts): ApiDeps['subscriptions'] {
  return {
    list: (query) => subscriptions.list(query),
    get: (id) => subscriptions.get(id),
    deliveries: (id, query) => subscriptions.deliveries(id, query),
    delivery: (id, delivery) => subscriptions.delivery(id, delivery),
    async create(subscription, caller) {
      if (subscription.channel === 'email' && !canMail) {
        const text = 'channel: there is no mail server: start Lamppost with SMTP_URL and SMTP_FROM';
        throw new LamppostError('invalid', text);
      }
      const { id } = await actions.submit({ do: 'subscription.add', subscription }, caller);
      const { log: _, ...made } = await subscriptions.get(id);
      return made;
    },
    async change(subscription, settings, caller) {
      await actions.submit({ do: 'subscription.change', subscription, settings }, caller);
      return subscriptions.get(subscription);
    },
    async remove(subscription, caller) {
      await actions.submit({ do: 'subscription.remove', subscription }, caller);
    },
    async enable(subscription, missed, caller) {
      await actions.submit({ do: 'subscription.enable', subscription, missed }, caller);
      return subscriptions.get(subscription);
    },
    async disable(subscription, caller) {
      await actions.submit({ do: 'subscription.disable', subscription }, caller);
      return subscriptions.get(subscription);
    },
    async test(subscription, caller) {
      const { place } = await actions.submit({ do: 'subscription.test', subscription }, caller);
      return subscriptions.test(subscription, place);
    },
    async redeliver(subscription, delivery, caller) {
      const { place } = await actions.submit({ do: 'subscription.redeliver', subscription, delivery }, caller);
      return subscriptions.redeliver(subscription, delivery, place);
    },
  };
}
