import type { Clock } from '../domain/index.ts';
import type { NumberedEvent } from '../events/index.ts';
import { isAlertEvent } from '../events/index.ts';
import type { Channel } from './channel.ts';
import { toldOf } from './events.ts';
import { passes } from './filter.ts';
import type { Reference } from './formats/format.ts';
import type { Formats } from './formats/index.ts';
import type { Poster } from './http.ts';
import type { Answer } from './ladder.ts';
import type { DeliveryQueue, NewDelivery } from './queue.ts';
import type { Message, ReceiverFilter, WebhookReceiver } from './receiver.ts';
import type { ReceiverStore } from './receivers.ts';
import type { ReferenceStore } from './references.ts';
import { signatureHeaders } from './signature.ts';
import type { WebhookSubscriptionStore } from './webhook-subscriptions.ts';

/** What webhooks need. */
export interface WebhookDeps {
  readonly queue: Pick<DeliveryQueue, 'add' | 'sent'>;
  readonly receivers: Pick<ReceiverStore, 'secrets'>;
  readonly references: ReferenceStore;
  readonly subscriptions: Pick<WebhookSubscriptionStore, 'filtersOf'>;
  readonly formats: Formats;
  readonly poster: Poster;
  readonly clock: Clock;
}

/** Webhooks as a channel, and the parts of it that pings and redeliveries share. */
export interface WebhookChannel extends Channel<WebhookReceiver> {
  /** The delivery of an event once more: as it was sent before, or as it is told now; null where the webhook does not want it. */
  again(receiver: WebhookReceiver, event: NumberedEvent): NewDelivery | null;
  /** Signs and posts; `id` is the `webhook-id`. */
  post(receiver: WebhookReceiver, id: string, message: Message, signal: AbortSignal): Promise<Answer>;
}

const USER_AGENT = 'Lamppost (webhooks)';
const NONE: readonly Reference[] = [];

/** Makes the channel of webhooks: signed as Standard Webhooks wants it, one subject in order, several beside each other. */
export function createWebhookChannel(deps: WebhookDeps): WebhookChannel {
  const { queue, receivers, references, subscriptions, formats, poster, clock } = deps;

  /** What is to be sent of an event; null where neither the webhook nor a subscription over it wants it. */
  function messageOf({ id, settings }: WebhookReceiver, event: NumberedEvent['event'], earlier: readonly Reference[]) {
    const format = formats[settings.format];
    const isWanted = (filter: ReceiverFilter) => {
      const { severities, ...milder } = filter;
      // Of an alert that is over, the format knows whether it was told of: it may be milder by now.
      const passed = passes(earlier.length > 0 ? milder : filter, event);
      return passed && format.accepts({ event, earlier }, severities !== undefined);
    };
    const filters = [...(settings.filter === null ? [] : [settings.filter]), ...subscriptions.filtersOf(id)];
    return filters.some(isWanted) ? format.render({ event, webhook: id, earlier }) : null;
  }

  return {
    take(receiver, { n, event }) {
      const { refersBack } = formats[receiver.settings.format];
      const earlier = refersBack ? references.of(receiver.id, event.subject) : NONE;
      const message = messageOf(receiver, event, earlier);
      if (message === null) return false;
      queue.add(deliveryOf(receiver.id, { n, event }, { origin: 'event', message }));
      if (!refersBack || !isAlertEvent(event)) return true;
      if (event.data.state === 'resolved') references.clear(receiver.id, event.subject);
      else references.add(receiver.id, event.subject, event);
      return true;
    },
    again(receiver, numbered) {
      const fresh = () => messageOf(receiver, numbered.event, NONE);
      const { refersBack } = formats[receiver.settings.format];
      const message = refersBack ? (queue.sent(receiver.id, numbered.event.id) ?? fresh()) : fresh();
      return message === null ? null : deliveryOf(receiver.id, numbered, { origin: 'redelivery', message });
    },
    width: ({ settings }) => settings.concurrency,
    send(receiver, { eventIds, message }, signal) {
      return this.post(receiver, eventIds[0]!, message, signal);
    },
    post({ id: webhook, settings: { url, authorization } }, id, { contentType, body }, signal) {
      const headers = {
        'content-type': contentType,
        'user-agent': USER_AGENT,
        ...(authorization === null ? {} : { authorization }),
        ...signatureHeaders({ id, atMs: clock.now(), body }, receivers.secrets(webhook)),
      };
      return poster.post({ url, headers, body }, signal);
    },
  };
}

function deliveryOf(
  receiver: string,
  event: NumberedEvent,
  { origin, message }: Pick<NewDelivery, 'origin' | 'message'>,
): NewDelivery {
  return { receiver, lane: event.event.subject, origin, events: [toldOf(event)], message };
}
