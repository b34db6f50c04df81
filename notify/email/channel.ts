import { createHash } from 'node:crypto';
import type { Clock } from '../../domain/index.ts';
import type { LamppostEvent } from '../../events/index.ts';
import type { Channel } from '../channel.ts';
import { eventOf, toldOf } from '../events.ts';
import { passes } from '../filter.ts';
import type { HeldStore } from '../held.ts';
import type { Answer } from '../ladder.ts';
import type { DeliveryQueue, NewDelivery } from '../queue.ts';
import type { EmailReceiver, EmailSettings, ToldEvent } from '../receiver.ts';
import type { MailCity } from './facts.ts';
import { type Mail, mailOf, testMail } from './mail.ts';
import type { Mailer } from './smtp.ts';
import { type Hours, type Plan, planMail } from './when.ts';

/** What mail needs. */
export interface EmailDeps {
  readonly queue: Pick<DeliveryQueue, 'add'>;
  readonly held: HeldStore;
  readonly mailer: Mailer;
  readonly clock: Clock;
  /** The city in force. */
  readonly city: () => MailCity & Hours;
  /** Where people reach this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
}

/** Mail as a channel. */
export interface EmailChannel extends Channel<EmailReceiver> {
  /** Makes mails of what is due of a receiver, in the caller's transaction; false where nothing is. */
  release(receiver: EmailReceiver): boolean;
  /** When mail would go out of an event that is not critical and the first one that waits. */
  plan(settings: EmailSettings): Plan;
  /** One attempt with a mail that only shows that it arrives. */
  test(receiver: EmailReceiver, id: string, signal: AbortSignal): Promise<Answer>;
  /** Such a mail. */
  testMail(settings: EmailSettings): Mail;
}

/** Events that one mail tells at most. */
const MOST_EVENTS = 200;
/** All mail to an address goes one after the other: it is one mailbox behind one server. */
const LANE = '';

/** Makes the channel of mail: at once, gathered, or after quiet hours; the same Message-ID at every attempt. */
export function createEmailChannel({ queue, held, mailer, clock, city, publicUrl }: EmailDeps): EmailChannel {
  const host = new URL(publicUrl).hostname.replace(/[[\]:]/g, '-');
  const sceneOf = ({ language }: EmailSettings) => ({ language, city: city(), publicUrl });

  function planOf(settings: EmailSettings, severity: string | null, heldUntilMs: number | null): Plan {
    const { timezone, calendars } = city();
    return planMail(settings, severity, { timezone, calendars, nowMs: clock.now(), heldUntilMs });
  }

  function deliveryOf(
    { id, settings }: EmailReceiver,
    origin: NewDelivery['origin'],
    events: readonly ToldEvent[],
  ): NewDelivery {
    const mail = mailOf(events.map(eventOf), sceneOf(settings));
    const message = { contentType: 'multipart/alternative', body: JSON.stringify(mail) };
    return { receiver: id, lane: LANE, origin, events, message };
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
      if (!passes(receiver.settings.filter, event)) return false;
      const plan = planOf(receiver.settings, severityOf(event), held.dueOf(receiver.id));
      if (plan.kind === 'hold') {
        held.hold(receiver.id, toldOf(numbered), plan.untilMs);
        return false;
      }
      // What is held of the same ticket goes along, before it: a ticket's story stays in order.
      const events = [...held.takeSubject(receiver.id, event.subject), toldOf(numbered)];
      queue.add(deliveryOf(receiver, events.length === 1 ? 'event' : 'digest', events));
      return true;
    },
    release(receiver) {
      const events = held.takeDue(receiver.id, clock.now(), MOST_EVENTS);
      if (events.length > 0) queue.add(deliveryOf(receiver, 'digest', events));
      return events.length > 0;
    },
    plan: (settings) => planOf(settings, null, null),
    width: () => 1,
    send(receiver, { eventIds, subjects, message }, signal) {
      const mail = JSON.parse(message.body) as Mail;
      const [subject] = subjects;
      const thread = new Set(subjects).size === 1 ? `${hashOf([subject!])}.${receiver.id}@${host}` : null;
      return post(receiver, eventIds, mail, { thread, signal });
    },
    test: (receiver, id, signal) =>
      post(receiver, [id], testMail(sceneOf(receiver.settings)), { thread: null, signal }),
    testMail: (settings) => testMail(sceneOf(settings)),
  };
}

function severityOf({ data }: LamppostEvent): string | null {
  return 'severity' in data ? data.severity : null;
}

/** One event's own id where it can stand in a Message-ID (RFC 5322 §3.6.4); else a hash of all. */
function idOf(events: readonly string[]): string {
  const [id] = events;
  return events.length === 1 && /^[\w.-]{1,64}$/.test(id!) ? id! : hashOf(events);
}

function hashOf(texts: readonly string[]): string {
  return createHash('sha256').update(texts.join(' ')).digest('hex').slice(0, 24);
}
