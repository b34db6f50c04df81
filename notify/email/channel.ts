import { createHash } from 'node:crypto';
import type { Clock } from '../../domain/index.ts';
import type { LamppostEvent } from '../../events/index.ts';
import type { Channel } from '../dispatcher.ts';
import type { DeliveryQueue, NewDelivery } from '../queue.ts';
import {
  type EmailReceiver,
  type EmailSettings,
  eventOf,
  type Message,
  passes,
  type StoredEvent,
  storedEventOf,
} from '../receiver.ts';
import type { AttemptResult } from '../retry-policy.ts';
import { type HeldEvents, type Hours, type Plan, planMail } from './digest.ts';
import type { MailCity } from './facts.ts';
import { type Mail, mailOf, testMail } from './mail.ts';
import type { Mailer } from './smtp.ts';
import { mailEventsOf, type Together, threadOf } from './together.ts';
import { type StoredMail, saidIn, type WordsOf, withWords } from './words.ts';

interface EmailChannelDeps {
  readonly queue: Pick<DeliveryQueue, 'add'>;
  readonly held: HeldEvents;
  readonly mailer: Mailer;
  readonly together: Together;
  /** Reads what citizens wrote. */
  readonly wordsOf: WordsOf;
  readonly clock: Clock;
  /** Returns the city in force. */
  readonly city: () => MailCity & Hours;
  /** Public URL of this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
}

/** The channel of mail. */
export interface EmailChannel extends Channel<EmailReceiver> {
  /**
   * Adds a digest of the held events of a receiver that are due, in the caller's transaction; false where none is
   * due.
   */
  release(receiver: EmailReceiver): boolean;
  /**
   * Adds a delivery of those of these events that are held for a receiver, as another node has mailed them; returns its
   * number, null where none is held.
   */
  gather(receiver: EmailReceiver, events: readonly string[]): number | null;
  /** Returns when an event would be mailed that is not critical and the first one held. */
  plan(settings: EmailSettings): Plan;
  /** Makes one attempt with a test mail; returns the mail and the result. */
  test(
    receiver: EmailReceiver,
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly message: Message; readonly result: AttemptResult }>;
}

/** The most events in one mail. */
const MOST_EVENTS = 200;
/** Mail to one address is sent one at a time: it is one mailbox behind one server. */
const LANE = '';

/** Creates the channel of mail: at once, in digests, or after quiet hours; the same Message-ID at every attempt. */
export function createEmailChannel(deps: EmailChannelDeps): EmailChannel {
  const { queue, held, mailer, together, wordsOf, clock, city, publicUrl } = deps;
  const host = new URL(publicUrl).hostname.replace(/[[\]:]/g, '-');
  const contextOf = ({ language }: EmailSettings) => ({ language, city: city(), publicUrl });

  function planOf(settings: EmailSettings, severity: string | null, heldUntilMs: number | null): Plan {
    const { timezone, calendars } = city();
    return planMail(settings, severity, { timezone, calendars, nowMs: clock.now(), heldUntilMs });
  }

  function deliveryOf(
    { id, settings }: EmailReceiver,
    origin: NewDelivery['origin'],
    events: readonly StoredEvent[],
  ): NewDelivery {
    const of = events.map(eventOf);
    const threads = new Set(mailEventsOf(of).map(({ event }) => threadOf(event)));
    const thread = threads.size === 1 ? { thread: [...threads][0]! } : {};
    const mail = { ...mailOf(of, contextOf(settings)), ...saidIn(of, settings.party), ...thread };
    return { receiver: id, lane: LANE, origin, events, message: messageOf(mail) };
  }

  const post = (
    receiver: EmailReceiver,
    events: readonly string[],
    mail: Mail,
    more: { thread: string | null; signal: AbortSignal },
  ) =>
    mailer.send(
      {
        to: receiver.settings.to,
        mail,
        events,
        messageId: `${idOf(events)}.${receiver.id}@${host}`,
        thread: more.thread,
      },
      more.signal,
    );

  return {
    take(receiver, numbered) {
      const { event } = numbered;
      const { filter } = receiver.settings;
      if (!passes(filter, event) || together.isSaidElsewhere(numbered, filter)) return false;
      const stored = together.ofMail(numbered, filter).map(storedEventOf);
      const plan = planOf(receiver.settings, severityOf(event), held.dueOf(receiver.id));
      if (plan.kind === 'hold') {
        for (const one of stored) held.hold(receiver.id, one, plan.untilMs);
        return false;
      }
      // Held events of the same subject are sent before it, in the same mail: the events of a ticket stay in order.
      const earlier = held.takeSubject(receiver.id, event.subject);
      queue.add(deliveryOf(receiver, earlier.length === 0 ? 'event' : 'digest', [...earlier, ...stored]));
      return true;
    },
    release(receiver) {
      const events = held.takeDue(receiver.id, clock.now(), MOST_EVENTS);
      if (events.length > 0) queue.add(deliveryOf(receiver, 'digest', events));
      return events.length > 0;
    },
    gather(receiver, ids) {
      const events = held.takeThese(receiver.id, ids);
      return events.length === 0 ? null : queue.add(deliveryOf(receiver, 'digest', events));
    },
    plan: (settings) => planOf(settings, null, null),
    width: () => 1,
    send(receiver, { eventIds, message }, signal) {
      const { thread: subject, ...stored } = JSON.parse(message.body) as StoredMail;
      const mail = withWords(stored, wordsOf, receiver.settings.language);
      const thread = subject === undefined ? null : `${hashOf([subject])}.${receiver.id}@${host}`;
      return post(receiver, eventIds, mail, { thread, signal });
    },
    async test(receiver, id, signal) {
      const mail = testMail(contextOf(receiver.settings));
      return { message: messageOf(mail), result: await post(receiver, [id], mail, { thread: null, signal }) };
    },
  };
}

function messageOf(mail: StoredMail): Message {
  return { contentType: 'multipart/alternative', body: JSON.stringify(mail) };
}

function severityOf({ data }: LamppostEvent): string | null {
  return 'severity' in data ? data.severity : null;
}

/** Returns the id of a single event where a Message-ID can hold it (RFC 5322 §3.6.4); else a hash of all ids. */
function idOf(events: readonly string[]): string {
  const [id] = events;
  return events.length === 1 && /^[\w.-]{1,64}$/.test(id!) ? id! : hashOf(events);
}

function hashOf(texts: readonly string[]): string {
  return createHash('sha256').update(texts.join(' ')).digest('hex').slice(0, 24);
}
