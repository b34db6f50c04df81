import type { Alert, CloudEvent, Evidence, Ticket, Transition } from '../domain/index.ts';
import { isoOf, type TicketDecision } from '../tickets/index.ts';

/** An alert after a transition; `pending` and `cancelled` ones are no news. */
export type AlertAfter = Omit<Alert, 'state'> & { readonly state: Transition['to'] };

/** What an alert event tells: the alert, the department of its ticket if it has one, and what is behind it. */
export type AlertData = Alert & { readonly department: string | null; readonly evidence: Evidence };

export interface AlertEvent extends CloudEvent {
  readonly type: 'city.lamppost.alert.firing' | 'city.lamppost.alert.resolved';
  readonly data: AlertData;
}

/** A ticket event tells the whole ticket; the change is the last entry of its history. */
export interface TicketEvent extends CloudEvent {
  readonly type: (typeof TICKET_TYPES)[keyof typeof TICKET_TYPES];
  readonly data: Ticket;
}

/** Every event that Lamppost emits; `type` tells them apart. */
export type LamppostEvent = AlertEvent | TicketEvent;

/** A constant: were it to follow the city's name, a renamed city would tell its old events again as new ones (CloudEvents §3.1). */
const SOURCE = '/lamppost';

const TICKET_TYPES = {
  open: 'city.lamppost.ticket.opened',
  update: 'city.lamppost.ticket.updated',
  escalate: 'city.lamppost.ticket.escalated',
  resolve: 'city.lamppost.ticket.resolved',
} as const;

/** Whether an event tells of an alert; else it tells of a ticket. */
export function isAlertEvent(event: LamppostEvent): event is AlertEvent {
  return event.type === 'city.lamppost.alert.firing' || event.type === 'city.lamppost.alert.resolved';
}

/** The event of an alert that fires or resolved, `{transition id}-alert`; null for the states that nobody is told of. */
export function alertEventOf(transition: Transition, alert: AlertAfter, department: string | null): AlertEvent | null {
  const { state } = alert;
  if (state !== 'firing' && state !== 'resolved') return null;
  return {
    ...envelopeOf(transition, 'alert'),
    type: `city.lamppost.alert.${state}`,
    subject: `alerts/${alert.rule}/${alert.group}`,
    data: { ...alert, state, department, evidence: transition.evidence },
  };
}

/** The event of a ticket that a transition opened, updated, escalated or resolved, `{transition id}-ticket`. */
export function ticketEventOf(
  transition: Transition,
  ticket: Ticket,
  kind: Exclude<TicketDecision['kind'], 'none'>,
): TicketEvent {
  return {
    ...envelopeOf(transition, 'ticket'),
    type: TICKET_TYPES[kind],
    subject: `tickets/${ticket.id}`,
    data: ticket,
  };
}

function envelopeOf(transition: Transition, what: string) {
  return {
    specversion: '1.0',
    id: `${transition.id}-${what}`,
    source: SOURCE,
    time: isoOf(transition.atMs),
    datacontenttype: 'application/json',
  } as const;
}
