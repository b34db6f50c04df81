import type { Rule, Subject, Ticket, Transition } from '../domain/index.ts';
import { districtOf, isoOf } from '../domain/index.ts';
import { type TicketCity, type TicketDecision, type TicketOffice, type Titles, titlesOf } from '../tickets/index.ts';
import { type AlertAfter, alertEventOf, silenceEventOf, ticketEventOf } from './cloudevent.ts';
import type { Outbox } from './outbox.ts';

/** A transition and what the engine knew when it happened. */
export interface Occurrence {
  readonly transition: Transition;
  readonly rule: Rule;
  readonly subject: Subject;
  readonly city: TicketCity;
}

/** What the pipeline writes to; all of it in the transaction that the caller holds. */
export interface PipelineDeps {
  readonly alerts: {
    apply(alert: AlertAfter): void;
    /** Notes the ticket of an alert that has fired before. */
    link(alert: { readonly rule: string; readonly group: string }, ticket: string): void;
  };
  readonly office: TicketOffice;
  readonly outbox: Pick<Outbox, 'append'>;
}

/** From a transition, an act or the passing of time to everything that follows from it. */
export interface Pipeline {
  /** Writes the alert, its ticket and their events, and answers what was decided of the ticket, and why. */
  apply(occurrence: Occurrence): TicketDecision;
  /** Tells what somebody did to tickets; answers the ticket that it was about. */
  tell(news: readonly Ticket[]): Ticket;
  /** Does one thing that is due; false where nothing is. */
  due(nowMs: number, city: TicketCity): boolean;
}

/** How long before its end a silence is spoken of, ms. */
const WARNING_MS = 15 * 60_000;

/** Makes the pipeline. It keeps nothing in memory: the same transitions over the same file give the same rows (promise 4). */
export function createPipeline({ alerts, office, outbox }: PipelineDeps): Pipeline {
  function tell(news: readonly Ticket[]): void {
    for (const ticket of news) outbox.append(ticketEventOf(ticket));
  }

  /** Tickets that had waited, and silences about to end while they still hold one back. */
  function release(nowMs: number, city: TicketCity): boolean {
    const released = office.incidents.release(nowMs, city);
    for (const { ticket, alerts: waiting, news } of released) {
      for (const alert of waiting) alerts.link(alert, ticket.id);
      tell(news);
    }
    return released.length > 0;
  }

  function warn(nowMs: number): boolean {
    const ending = office.silences.takeEnding(nowMs + WARNING_MS, nowMs);
    for (const silence of ending) {
      const held = office.incidents.heldBy(silence);
      if (held.length > 0) outbox.append(silenceEventOf({ ...silence, alerts: held }, nowMs));
    }
    return ending.length > 0;
  }

  return {
    apply({ transition, rule, subject, city }) {
      const titles = titlesOf({ transition, rule, subject, city });
      const { decision, ticket, news } = office.incidents.apply({ transition, rule, subject, titles, city });
      const alert = alertOf({ transition, subject }, titles, ticket);
      alerts.apply(alert);
      const event = alertEventOf(transition, alert, ticket?.department ?? null);
      if (event !== null) outbox.append(event);
      tell(news);
      return decision;
    },
    tell(news) {
      tell(news);
      return news.at(-1)!;
    },
    due(nowMs, city) {
      const news = office.due.next(nowMs, city);
      if (news !== null) tell(news);
      return news !== null || release(nowMs, city) || warn(nowMs);
    },
  };
}

function alertOf(
  { transition, subject }: Pick<Occurrence, 'transition' | 'subject'>,
  titles: Titles,
  ticket: Ticket | null,
): AlertAfter {
  return {
    rule: transition.rule,
    group: transition.group,
    state: transition.to,
    severity: transition.severity,
    since: isoOf(transition.sinceMs),
    updatedAt: isoOf(transition.atMs),
    value: transition.value,
    ...titles,
    district: districtOf(subject),
    ticket: ticket?.id ?? null,
  };
}
