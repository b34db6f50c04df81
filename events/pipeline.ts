import { type City, districtOf, type Rule, type Subject, type Ticket, type Transition } from '../domain/index.ts';
import {
  decideTicket,
  escalateTicket,
  isoOf,
  type Opening,
  openTicket,
  resolveTicket,
  type TicketDecision,
  type TicketStore,
  type Titles,
  titlesOf,
  updateTicket,
} from '../tickets/index.ts';
import { type AlertAfter, alertEventOf, type LamppostEvent, ticketEventOf } from './cloudevent.ts';
import type { Outbox } from './outbox.ts';

/** A transition and what the engine knew when it happened. */
export interface Occurrence {
  readonly transition: Transition;
  readonly rule: Rule;
  readonly subject: Subject;
  readonly city: Pick<City, 'services' | 'districts'>;
}

/** What the pipeline writes to; all of it in the transaction that the caller holds. */
export interface PipelineDeps {
  readonly alerts: { apply(alert: AlertAfter): void };
  readonly tickets: TicketStore;
  readonly outbox: Pick<Outbox, 'append'>;
}

/** From a transition of an alert to everything that follows from it. */
export interface Pipeline {
  /** Writes the alert, its ticket and their events, and answers what was decided of the ticket, and why. */
  apply(occurrence: Occurrence): TicketDecision;
}

/** Makes the pipeline. It keeps nothing in memory: the same transitions over the same file give the same rows (promise 4). */
export function createPipeline({ alerts, tickets, outbox }: PipelineDeps): Pipeline {
  return {
    apply(occurrence) {
      const { transition, rule, city } = occurrence;
      const open = tickets.findOpen(transition.rule, transition.group);
      const service = rule.ticket && city.services.get(rule.ticket.service);
      const decision = decideTicket(transition, open, { rule, service });
      const titles = titlesOf(occurrence);
      const ticket = changeTicket(tickets, decision, { ...occurrence, ...titles }) ?? open;
      const alert = alertOf(occurrence, titles, ticket);
      alerts.apply(alert);
      for (const event of eventsOf(transition, decision, alert, ticket)) outbox.append(event);
      return decision;
    },
  };
}

const CHANGES = { update: updateTicket, escalate: escalateTicket, resolve: resolveTicket };

/** Stores what was decided; answers the ticket as it then is, or null when nothing was to change. */
function changeTicket(store: TicketStore, decision: TicketDecision, scene: Omit<Opening, 'decision'>): Ticket | null {
  if (decision.kind === 'none') return null;
  if (decision.kind === 'open') {
    const opened = openTicket({ ...scene, decision });
    store.insert(opened);
    return opened;
  }
  const changed = CHANGES[decision.kind](decision.ticket, scene.transition);
  store.update(changed);
  return changed;
}

function alertOf({ transition, subject }: Occurrence, titles: Titles, ticket: Ticket | null): AlertAfter {
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

function eventsOf(
  transition: Transition,
  { kind }: TicketDecision,
  alert: AlertAfter,
  ticket: Ticket | null,
): LamppostEvent[] {
  const events: LamppostEvent[] = [];
  const ofAlert = alertEventOf(transition, alert, ticket?.department ?? null);
  if (ofAlert !== null) events.push(ofAlert);
  if (ticket !== null && kind !== 'none') events.push(ticketEventOf(transition, ticket, kind));
  return events;
}
