import type { Clock } from '../../domain/index.ts';
import { isAlertEvent } from '../cloudevent.ts';
import type { NumberedEvent } from '../reader.ts';
import type { Channel } from './channel.ts';
import { passes } from './filter.ts';
import type { Reference } from './formats/format.ts';
import type { Formats } from './formats/index.ts';
import type { Poster } from './http.ts';
import type { Answer } from './ladder.ts';
import type { DeliveryQueue, NewDelivery } from './queue.ts';
import type { Message, Receiver } from './receiver.ts';
import type { ReceiverStore } from './receivers.ts';
import type { ReferenceStore } from './references.ts';
import { signatureHeaders } from './signature.ts';

/** What webhooks need. */
export interface WebhookDeps {
  readonly queue: Pick<DeliveryQueue, 'add' | 'sent'>;
  readonly receivers: Pick<ReceiverStore, 'secrets'>;
  readonly references: ReferenceStore;
  readonly formats: Formats;
  readonly poster: Poster;
  readonly clock: Clock;
}

/** Webhooks as a channel, and the parts of it that pings and redeliveries share. */
export interface WebhookChannel extends Channel {
  /** The delivery of an event once more: as it was sent before, or as it is told now; null where the webhook does not want it. */
  again(receiver: Receiver, event: NumberedEvent): NewDelivery | null;
  /** Signs and posts; `id` is the `webhook-id`. */
  post(receiver: Receiver, id: string, message: Message, signal: AbortSignal): Promise<Answer>;
}

const USER_AGENT = 'Lamppost (webhooks)';
const NONE: readonly Reference[] = [];

/** Makes the channel of webhooks: signed as Standard Webhooks wants it, one subject in order, several beside each other. */
export function createWebhookChannel(deps: WebhookDeps): WebhookChannel {
  const { queue, receivers, references, formats, poster, clock } = deps;

  /** What is to be sent of an event; null where the webhook does not want it. */
  function messageOf({ id, settings }: Receiver, event: NumberedEvent['event'], earlier: readonly Reference[]) {
    const format = formats[settings.format];
    const { severities, ...filter } = settings.filter;
    // Of an alert that is over, the format knows whether it was told of: it may be milder by now.
    const wanted = earlier.length > 0 ? filter : settings.filter;
    if (!passes(wanted, event) || !format.accepts({ event, earlier }, severities !== undefined)) return null;
    return format.render({ event, webhook: id, earlier });
  }

  return {
    take(receiver, { n, event }) {
      const { refersBack } = formats[receiver.settings.format];
      const earlier = refersBack ? references.of(receiver.id, event.subject) : NONE;
      const message = messageOf(receiver, event, earlier);
      if (message === null) return;
      queue.add(deliveryOf(receiver.id, { n, event }, { origin: 'event', message }));
      if (!refersBack || !isAlertEvent(event)) return;
      if (event.data.state === 'resolved') references.clear(receiver.id, event.subject);
      else references.add(receiver.id, event.subject, event);
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
  { n, event }: NumberedEvent,
  { origin, message }: Pick<NewDelivery, 'origin' | 'message'>,
): NewDelivery {
  const { id, type, subject } = event;
  const told = { id, n, type, subject, body: JSON.stringify(event) };
  return { receiver, lane: subject, origin, events: [told], message };
}
