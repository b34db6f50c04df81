import type {
  Alert,
  CloudEvent,
  DropReason,
  EventType,
  HistoryAction,
  SessionDrop,
  Ticket,
  Transition,
} from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';
import type { Silence } from '../tickets/index.ts';
import type { AlertData } from './schemas/alert.ts';

/** An alert after a transition; `pending` and `cancelled` ones are no news. */
export type AlertAfter = Omit<Alert, 'state'> & { readonly state: Transition['to'] };

export interface AlertEvent extends CloudEvent {
  readonly type: (typeof ALERT_TYPES)[number];
  readonly data: AlertData;
}

/** A ticket event tells the whole ticket; the change is the last entry of its history. */
export interface TicketEvent extends CloudEvent {
  readonly type: `city.lamppost.ticket.${HistoryAction}`;
  readonly data: Ticket;
}

/** What a silence event tells: the silence, and the alerts that it silences and that fire. */
export type SilenceData = Silence & { readonly alerts: readonly { readonly rule: string; readonly group: string }[] };

/** A silence that will end while an alert that it silences still fires. */
export interface SilenceEvent extends CloudEvent {
  readonly type: 'city.lamppost.silence.ending';
  readonly data: SilenceData;
}

/** What a cap or its expiry took from a kept MQTT session since it was told last. Times are ISO 8601 UTC. */
export interface SessionData {
  readonly session: string;
  readonly key: string;
  readonly department: string | null;
  readonly reason: DropReason;
  readonly messages: number;
  readonly from: string;
  readonly to: string;
}

export interface SessionEvent extends CloudEvent {
  readonly type: 'city.lamppost.session.dropped';
  readonly data: SessionData;
}

/** Every event that Lamppost emits; `type` tells them apart. */
export type LamppostEvent = AlertEvent | TicketEvent | SilenceEvent | SessionEvent;

/** A constant: were it to follow the city's name, a renamed city would tell its old events again as new ones (CloudEvents §3.1). */
const SOURCE = '/lamppost';

/** Types of the events that tell of an alert. */
const ALERT_TYPES = ['city.lamppost.alert.firing', 'city.lamppost.alert.resolved'] as const;

/** Whether events of a type tell of an alert. */
export function isAlertType(type: EventType): type is AlertEvent['type'] {
  return (ALERT_TYPES as readonly EventType[]).includes(type);
}

/** Whether an event tells of an alert. */
export function isAlertEvent(event: LamppostEvent): event is AlertEvent {
  return isAlertType(event.type);
}

/** URI of the JSON Schema of what a type's events tell. It would change with a change that is not an addition (CloudEvents §3.1). */
export function schemaUriOf(name: string): string {
  return `urn:lamppost:schema:1:${name}`;
}

/** Whether events of a type tell of a ticket. */
export function isTicketType(type: EventType): type is TicketEvent['type'] {
  return type.startsWith('city.lamppost.ticket.');
}

/** Whether an event tells of a ticket. */
export function isTicketEvent(event: LamppostEvent): event is TicketEvent {
  return isTicketType(event.type);
}

/** Whether an event tells of an MQTT session. */
export function isSessionEvent(event: LamppostEvent): event is SessionEvent {
  return event.type === 'city.lamppost.session.dropped';
}

/** The event of an alert that fires or resolved, `{transition id}-alert`; null for the states that nobody is told of. */
export function alertEventOf(transition: Transition, alert: AlertAfter, department: string | null): AlertEvent | null {
  const { state } = alert;
  if (state !== 'firing' && state !== 'resolved') return null;
  const type = `city.lamppost.alert.${state}` as const;
  return {
    ...envelopeOf(type, `${transition.id}-alert`, isoOf(transition.atMs)),
    subject: `alerts/${alert.rule}/${alert.group}`,
    data: { ...alert, state, department, evidence: transition.evidence },
  };
}

/** The event of the last change of a ticket, `{ticket}.{number of the change}`. */
export function ticketEventOf(ticket: Ticket): TicketEvent {
  const { action, at } = ticket.history.at(-1)!;
  return {
    ...envelopeOf(`city.lamppost.ticket.${action}`, `${ticket.id}.${ticket.version}`, at),
    subject: `tickets/${ticket.id}`,
    data: ticket,
  };
}

/** The event of a silence that ends soon, `{silence}.ending`. */
export function silenceEventOf(silence: SilenceData, atMs: number): SilenceEvent {
  return {
    ...envelopeOf('city.lamppost.silence.ending', `${silence.id}.ending`, isoOf(atMs)),
    subject: `silences/${silence.id}`,
    data: silence,
  };
}

/** The event of messages that a session lost, `{drop}.session`; its time is the machine's, since no rule decides of it. */
export function sessionEventOf(drop: SessionDrop): SessionEvent {
  const { session, user, department, reason, messages, fromMs, toMs } = drop;
  return {
    ...envelopeOf('city.lamppost.session.dropped', `${drop.id}.session`, isoOf(toMs)),
    subject: `sessions/${session}`,
    data: { session, key: user, department, reason, messages, from: isoOf(fromMs), to: isoOf(toMs) },
  };
}

function envelopeOf<T extends EventType>(type: T, id: string, time: string) {
  const data = { datacontenttype: 'application/json', dataschema: schemaUriOf(type) } as const;
  return { specversion: '1.0', id, source: SOURCE, type, time, ...data } as const;
}
