import type { Clock } from '../../domain/index.ts';
import type { LamppostEvent } from '../cloudevent.ts';
import type { Channel } from './channel.ts';
import { passes } from './filter.ts';
import type { Formats } from './formats/index.ts';
import type { Poster } from './http.ts';
import type { Answer } from './ladder.ts';
import type { DeliveryQueue, NewDelivery } from './queue.ts';
import type { Message, Receiver, WebhookSettings } from './receiver.ts';
import type { ReceiverStore } from './receivers.ts';
import { signatureHeaders } from './signature.ts';

/** What webhooks need. */
export interface WebhookDeps {
  readonly queue: Pick<DeliveryQueue, 'add'>;
  readonly receivers: Pick<ReceiverStore, 'secrets'>;
  readonly formats: Formats;
  readonly poster: Poster;
  readonly clock: Clock;
}

/** Webhooks as a channel, and the parts of it that pings and redeliveries share. */
export interface WebhookChannel extends Channel {
  /** Whether the webhook wants an event. */
  wants(settings: WebhookSettings, event: LamppostEvent): boolean;
  /** The delivery of an event, as its format tells it now. */
  deliveryOf(
    receiver: Receiver,
    event: { n: number; event: LamppostEvent },
    origin: NewDelivery['origin'],
  ): NewDelivery;
  /** Signs and posts; `id` is the `webhook-id`. */
  post(receiver: Receiver, id: string, message: Message, signal: AbortSignal): Promise<Answer>;
}

const USER_AGENT = 'Lamppost (webhooks)';

/** Makes the channel of webhooks: signed as Standard Webhooks wants it, one subject in order, several beside each other. */
export function createWebhookChannel({ queue, receivers, formats, poster, clock }: WebhookDeps): WebhookChannel {
  const channel: WebhookChannel = {
    wants: ({ filter, format }, event) => formats[format].accepts(event) && passes(filter, event),
    deliveryOf({ id, settings }, { n, event }, origin) {
      const { type, subject } = event;
      const told = { id: event.id, n, type, subject, body: JSON.stringify(event) };
      return { receiver: id, lane: subject, origin, events: [told], message: formats[settings.format].render(event) };
    },
    take(receiver, numbered) {
      if (channel.wants(receiver.settings, numbered.event)) queue.add(channel.deliveryOf(receiver, numbered, 'event'));
    },
    width: ({ settings }) => settings.concurrency,
    send: (receiver, { eventIds, message }, signal) => channel.post(receiver, eventIds[0]!, message, signal),
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
  return channel;
}
