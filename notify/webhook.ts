import { createHmac, randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { type Clock, LamppostError } from '../domain/index.ts';
import { isAlertEvent, type NumberedEvent } from '../events/index.ts';
import type { Channel } from './dispatcher.ts';
import type { Formats, Reference } from './formats/index.ts';
import type { Poster } from './http.ts';
import type { DeliveryQueue, NewDelivery } from './queue.ts';
import { type Message, passes, type ReceiverFilter, storedEventOf, type WebhookReceiver } from './receiver.ts';
import type { ReceiverRepository } from './receivers.ts';
import type { AttemptResult } from './retry-policy.ts';
import type { Sealer } from './seal.ts';

interface WebhookChannelDeps {
  readonly db: DatabaseSync;
  readonly queue: Pick<DeliveryQueue, 'add' | 'sent'>;
  readonly receivers: Pick<ReceiverRepository, 'secrets' | 'filtersOf'>;
  readonly sealer: Pick<Sealer, 'open'>;
  readonly formats: Formats;
  readonly poster: Poster;
  readonly clock: Clock;
}

/** The channel of webhooks, with the parts that test messages and redeliveries use. */
export interface WebhookChannel extends Channel<WebhookReceiver> {
  /**
   * Returns a delivery that sends an event again: the message that was sent before, or the one of today; null where the
   * webhook does not want the event.
   */
  again(receiver: WebhookReceiver, event: NumberedEvent): NewDelivery | null;
  /** Signs and posts a message; `id` is the `webhook-id`. */
  post(receiver: WebhookReceiver, id: string, message: Message, signal: AbortSignal): Promise<AttemptResult>;
}

const USER_AGENT = 'Lamppost (webhooks)';
const NONE: readonly Reference[] = [];

/**
 * Creates the channel of webhooks: signed as in Standard Webhooks, one subject in order, several subjects in
 * parallel.
 */
export function createWebhookChannel(deps: WebhookChannelDeps): WebhookChannel {
  const { queue, receivers, sealer, formats, poster, clock } = deps;
  const references = createReferences(deps.db);

  /** Returns the message of an event; null where neither the webhook nor a subscription over it wants the event. */
  function messageOf({ id, settings }: WebhookReceiver, event: NumberedEvent['event'], earlier: readonly Reference[]) {
    const format = formats[settings.format];
    const isWanted = (filter: ReceiverFilter) => {
      const { severities, ...anySeverity } = filter;
      // The end of an alert that was sent is sent too, although its severity may be lower by now.
      const passed = passes(earlier.length > 0 ? anySeverity : filter, event);
      return passed && format.accepts({ event, earlier }, severities !== undefined);
    };
    const filters = [...(settings.filter === null ? [] : [settings.filter]), ...receivers.filtersOf(id)];
    return filters.some(isWanted) ? format.render({ event, webhook: id, earlier }) : null;
  }

  /** Returns what is sent with a message and signs it; the error where that was sealed with another key. */
  function open({ id, settings: { authorization } }: WebhookReceiver) {
    try {
      return {
        authorization: authorization === null ? null : sealer.open(authorization),
        secrets: readable(receivers.secrets(id)),
      };
    } catch (error) {
      if (error instanceof LamppostError) return error;
      throw error;
    }
  }

  /** Opens secrets. One that was replaced may have been sealed with an earlier key: it is left out beside another. */
  function readable(sealed: readonly string[]): string[] {
    const opened: string[] = [];
    let unreadable: unknown = null;
    for (const one of sealed) {
      try {
        opened.push(sealer.open(one));
      } catch (error) {
        unreadable = error;
      }
    }
    if (opened.length === 0 && unreadable !== null) throw unreadable;
    return opened;
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
    async post(receiver, id, { contentType, headers: ofFormat, body }, signal) {
      const opened = open(receiver);
      if (opened instanceof LamppostError) return unreadable(opened);
      const { authorization, secrets } = opened;
      const headers = {
        ...ofFormat,
        'content-type': contentType,
        'user-agent': USER_AGENT,
        ...(authorization === null ? {} : { authorization }),
        ...signatureHeaders({ id, atMs: clock.now(), body }, secrets),
      };
      return poster.post({ url: receiver.settings.url, headers, body }, signal);
    },
  };
}

/** An attempt that fails at Lamppost: events wait until the key is there again, or the secret is rotated. */
function unreadable({ message }: LamppostError): AttemptResult {
  const text = `at Lamppost: its secret cannot be read: ${message}`;
  return { outcome: 'failed', status: null, retryAfterMs: null, text, ms: 0 };
}

function deliveryOf(
  receiver: string,
  event: NumberedEvent,
  { origin, message }: Pick<NewDelivery, 'origin' | 'message'>,
): NewDelivery {
  return { receiver, lane: event.event.subject, origin, events: [storedEventOf(event)], message };
}

/** The messages of alerts that fire which receivers were sent. The caller holds the transaction. */
function createReferences(db: DatabaseSync) {
  const some = db.prepare(`
    select event as id, time from alert_references where receiver = ? and subject = ?
    order by time desc, event desc limit 10`);
  const add = db.prepare('insert or ignore into alert_references values (?, ?, ?, ?)');
  const clear = db.prepare('delete from alert_references where receiver = ? and subject = ?');
  return {
    /** Returns the newest ten, the oldest of them first. */
    of: (receiver: string, subject: string) =>
      (some.all(receiver, subject) as unknown as Reference[]).reverse() as readonly Reference[],
    add: (receiver: string, subject: string, { id, time }: Reference) => void add.run(receiver, subject, id, time),
    clear: (receiver: string, subject: string) => void clear.run(receiver, subject),
  };
}

const PREFIX = 'whsec_';

/** Returns a new secret: 256 random bits as `whsec_` and base64, as in Standard Webhooks. */
export function newWebhookSecret(): string {
  return PREFIX + randomBytes(32).toString('base64');
}

/**
 * Returns the headers of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body` by each of the secrets, newest
 * first, so that a receiver can verify with either secret during a rotation. `atMs` is the time of the attempt, epoch
 * ms; whole seconds of it are sent.
 */
export function signatureHeaders(
  { id, atMs, body }: { readonly id: string; readonly atMs: number; readonly body: string },
  secrets: readonly string[],
): Record<string, string> {
  const timestamp = String(Math.floor(atMs / 1_000));
  const sign = (secret: string) =>
    createHmac('sha256', Buffer.from(secret.slice(PREFIX.length), 'base64'))
      .update(`${id}.${timestamp}.${body}`)
      .digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': secrets.map((secret) => `v1,${sign(secret)}`).join(' '),
  };
}
