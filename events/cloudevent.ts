import type { Alert, CloudEvent, Evidence, Ticket, TicketDeed, Transition } from '../domain/index.ts';
import { isoOf, type Silence } from '../tickets/index.ts';

/** An alert after a transition; `pending` and `cancelled` ones are no news. */
export type AlertAfter = Omit<Alert, 'state'> & { readonly state: Transition['to'] };

/** What an alert event tells: the alert, the department of its ticket if it has one, and what is behind it. */
export type AlertData = Alert & { readonly department: string | null; readonly evidence: Evidence };

export interface AlertEvent extends CloudEvent {
  readonly type: (typeof ALERT_TYPES)[number];
  readonly data: AlertData;
}

/** A ticket event tells the whole ticket; the change is the last entry of its history. */
export interface TicketEvent extends CloudEvent {
  readonly type: `city.lamppost.ticket.${TicketDeed}`;
  readonly data: Ticket;
}

/** A silence that will end while an alert that it silences still fires. */
export interface SilenceEvent extends CloudEvent {
  readonly type: 'city.lamppost.silence.ending';
  readonly data: Silence & { readonly alerts: readonly { readonly rule: string; readonly group: string }[] };
}

/** Every event that Lamppost emits; `type` tells them apart. */
export type LamppostEvent = AlertEvent | TicketEvent | SilenceEvent;

/** A constant: were it to follow the city's name, a renamed city would tell its old events again as new ones (CloudEvents §3.1). */
const SOURCE = '/lamppost';

/** Types of the events that tell of an alert. */
const ALERT_TYPES = ['city.lamppost.alert.firing', 'city.lamppost.alert.resolved'] as const;

/** Whether an event tells of an alert. */
export function isAlertEvent(event: LamppostEvent): event is AlertEvent {
  return (ALERT_TYPES as readonly string[]).includes(event.type);
}

/** Whether an event tells of a ticket. */
export function isTicketEvent(event: LamppostEvent): event is TicketEvent {
  return event.type.startsWith('city.lamppost.ticket.');
}

/** The event of an alert that fires or resolved, `{transition id}-alert`; null for the states that nobody is told of. */
export function alertEventOf(transition: Transition, alert: AlertAfter, department: string | null): AlertEvent | null {
  const { state } = alert;
  if (state !== 'firing' && state !== 'resolved') return null;
  return {
    ...envelopeOf(`${transition.id}-alert`, isoOf(transition.atMs)),
    type: `city.lamppost.alert.${state}`,
    subject: `alerts/${alert.rule}/${alert.group}`,
    data: { ...alert, state, department, evidence: transition.evidence },
  };
}

/** The event of the last change of a ticket, `{ticket}.{number of the change}`. */
export function ticketEventOf(ticket: Ticket): TicketEvent {
  const { deed, at } = ticket.history.at(-1)!;
  return {
    ...envelopeOf(`${ticket.id}.${ticket.version}`, at),
    type: `city.lamppost.ticket.${deed}`,
    subject: `tickets/${ticket.id}`,
    data: ticket,
  };
}

/** The event of a silence that ends soon, `{silence}.ending`. */
export function silenceEventOf(silence: SilenceEvent['data'], atMs: number): SilenceEvent {
  return {
    ...envelopeOf(`${silence.id}.ending`, isoOf(atMs)),
    type: 'city.lamppost.silence.ending',
    subject: `silences/${silence.id}`,
    data: silence,
  };
}

function envelopeOf(id: string, time: string) {
  return { specversion: '1.0', id, source: SOURCE, time, datacontenttype: 'application/json' } as const;
}
