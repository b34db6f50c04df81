import type {
  Alert,
  ClockControl,
  CloudEvent,
  CommandState,
  DesiredState,
  DeviceCommand,
  EventType,
  HistoryAction,
  LoginsFailing,
  SessionDrop,
  Ticket,
  Transition,
} from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';
import type { SilenceChange } from '../tickets/index.ts';
import type { AlertData, ClockData, LoginData, SessionData, SilenceData } from './schemas/event.ts';

/** An alert after a transition. Only `firing` and `resolved` make events. */
export type AlertAfter = Omit<Alert, 'state'> & { readonly state: Transition['to'] };

export interface AlertEvent extends CloudEvent {
  readonly type: (typeof ALERT_TYPES)[number];
  readonly data: AlertData;
}

/** The data of a ticket event is the ticket as it is; its history has only the change that the event is about. */
export interface TicketEvent extends CloudEvent {
  readonly type: `city.lamppost.ticket.${HistoryAction}`;
  readonly data: Ticket;
}

/** A silence that was created, holds alerts back, ends soon while it does, or has ended. */
export interface SilenceEvent extends CloudEvent {
  readonly type: `city.lamppost.silence.${SilenceChange['kind']}`;
  readonly data: SilenceData;
}

export interface SessionEvent extends CloudEvent {
  readonly type: 'city.lamppost.session.dropped';
  readonly data: SessionData;
}

export interface LoginEvent extends CloudEvent {
  readonly type: 'city.lamppost.login.failing';
  readonly data: LoginData;
}

export interface ClockEvent extends CloudEvent {
  readonly type: 'city.lamppost.clock.stepped' | 'city.lamppost.clock.doubted';
  readonly data: ClockData;
}

/** A command to a device, in a new state. */
export interface CommandEvent extends CloudEvent {
  readonly type: `city.lamppost.command.${CommandState}`;
  readonly data: DeviceCommand;
}

/** What a device is wanted to be has changed; `desired` null: it was revoked. */
export interface DesiredEvent extends CloudEvent {
  readonly type: 'city.lamppost.desired.changed';
  readonly data: DesiredState;
}

/** Every event that Lamppost emits, discriminated by `type`. */
export type LamppostEvent =
  | AlertEvent
  | TicketEvent
  | SilenceEvent
  | SessionEvent
  | LoginEvent
  | ClockEvent
  | CommandEvent
  | DesiredEvent;

/**
 * A constant: if it followed the city's name, a renamed city would publish old events as new ones (CloudEvents §3.1).
 */
const SOURCE = '/lamppost';

/** Types of alert events. */
const ALERT_TYPES = ['city.lamppost.alert.firing', 'city.lamppost.alert.resolved'] as const;

/** Reports whether a type is of alert events. */
export function isAlertType(type: EventType): type is AlertEvent['type'] {
  return (ALERT_TYPES as readonly EventType[]).includes(type);
}

/** Reports whether an event is an alert event. */
export function isAlertEvent(event: LamppostEvent): event is AlertEvent {
  return isAlertType(event.type);
}

/** Returns the URI of a JSON Schema. A change that is more than an addition needs another URI (CloudEvents §3.1). */
export function schemaUriOf(name: string): string {
  return `urn:lamppost:schema:1:${name}`;
}

/** Reports whether a type is of ticket events. */
export function isTicketType(type: EventType): type is TicketEvent['type'] {
  return type.startsWith('city.lamppost.ticket.');
}

/** Reports whether an event is a ticket event. */
export function isTicketEvent(event: LamppostEvent): event is TicketEvent {
  return isTicketType(event.type);
}

/** Reports whether an event is about an MQTT session. */
export function isSessionEvent(event: LamppostEvent): event is SessionEvent {
  return event.type === 'city.lamppost.session.dropped';
}

/** Reports whether an event is about logins that fail. */
export function isLoginEvent(event: LamppostEvent): event is LoginEvent {
  return event.type === 'city.lamppost.login.failing';
}

/** Reports whether an event is about the wall clock. */
export function isClockEvent(event: LamppostEvent): event is ClockEvent {
  return event.type.startsWith('city.lamppost.clock.');
}

/** Reports whether a type is of commands to devices. */
export function isCommandType(type: EventType): type is CommandEvent['type'] {
  return type.startsWith('city.lamppost.command.');
}

/** Reports whether an event is about a command to a device. */
export function isCommandEvent(event: LamppostEvent): event is CommandEvent {
  return isCommandType(event.type);
}

/** Reports whether an event is about what a device is wanted to be. */
export function isDesiredEvent(event: LamppostEvent): event is DesiredEvent {
  return event.type === 'city.lamppost.desired.changed';
}

/** Returns the event of an alert that fires or resolved, with id `{transition id}-alert`; null for other states. */
export function alertEventOf(transition: Transition, alert: AlertAfter, department: string | null): AlertEvent | null {
  const { state } = alert;
  const { evidence, because } = transition;
  if (state !== 'firing' && state !== 'resolved') return null;
  const type = `city.lamppost.alert.${state}` as const;
  return {
    ...envelopeOf(type, `${transition.id}-alert`, isoOf(transition.atMs)),
    subject: `alerts/${alert.rule}/${alert.group}`,
    data: { ...alert, state, department, evidence, ...(because === undefined ? {} : { because }) },
  };
}

/** Returns the event of the last change of a ticket, with id `{ticket}.{number of the change}`. */
export function ticketEventOf(ticket: Ticket): TicketEvent {
  const { action, at } = ticket.history.at(-1)!;
  return {
    ...envelopeOf(`city.lamppost.ticket.${action}`, `${ticket.id}.${ticket.version}`, at),
    subject: `tickets/${ticket.id}`,
    data: withLastChange(ticket),
  };
}

/** Returns a ticket as events and retained messages have it: a whole history in each would grow with its square. */
export function withLastChange(ticket: Ticket): Ticket {
  return { ...ticket, history: ticket.history.slice(-1) };
}

/** Returns the event of something that happened to a silence. */
export function silenceEventOf({ kind, id, silence, alerts }: SilenceChange, atMs: number): SilenceEvent {
  return {
    ...envelopeOf(`city.lamppost.silence.${kind}`, id, isoOf(atMs)),
    subject: `silences/${silence.id}`,
    data: { ...silence, alerts },
  };
}

/**
 * Returns the event of a session that lost messages, with id `{drop}.session`; its time is that of the machine's
 * clock.
 */
export function sessionEventOf(drop: SessionDrop): SessionEvent {
  const { session, user, department, reason, messages, fromMs, toMs } = drop;
  return {
    ...envelopeOf('city.lamppost.session.dropped', `${drop.id}.session`, isoOf(toMs)),
    subject: `sessions/${session}`,
    data: { session, key: user, department, reason, messages, from: isoOf(fromMs), to: isoOf(toMs) },
  };
}

/** Returns the event of logins that fail, with id `{failing}.login`; its time is that of the machine's clock. */
export function loginEventOf({ id, source, user, failures, fromMs, toMs }: LoginsFailing): LoginEvent {
  return {
    ...envelopeOf('city.lamppost.login.failing', `${id}.login`, isoOf(toMs)),
    subject: `logins/${source}`,
    data: { source, user, failures, from: isoOf(fromMs), to: isoOf(toMs) },
  };
}

/** Returns the event of a record of the clock, with id `{block}.clock`; its time is civil time after it. */
export function clockEventOf({ byMs, fromMs, wallMs, doubt }: ClockControl, seq: number): ClockEvent {
  const type = doubt === null ? 'city.lamppost.clock.stepped' : 'city.lamppost.clock.doubted';
  return {
    ...envelopeOf(type, `${seq}.clock`, isoOf(fromMs + byMs)),
    subject: 'clock',
    data: { byMs, from: isoOf(fromMs), to: isoOf(fromMs + byMs), wallMs, doubt },
  };
}

/** Returns the event of a command in a new state, with id `{command}.{state}`. */
export function commandEventOf(command: DeviceCommand, again = false): CommandEvent {
  const { id, device, state, updatedAt } = command;
  return {
    ...envelopeOf(`city.lamppost.command.${state}` as const, `${id}.${state}${again ? '.again' : ''}`, updatedAt),
    subject: `commands/${device}/${id}`,
    data: command,
  };
}

/** Returns the event of a new desired state, with id `{place of its record}.{device}.desired`. */
export function desiredEventOf(state: DesiredState, place: string): DesiredEvent {
  return {
    ...envelopeOf('city.lamppost.desired.changed', `${place}.${state.device}.desired`, state.updatedAt!),
    subject: `desired/${state.device}`,
    data: state,
  };
}

function envelopeOf<T extends EventType>(type: T, id: string, time: string) {
  const data = { datacontenttype: 'application/json', dataschema: schemaUriOf(type) } as const;
  return { specversion: '1.0', id, source: SOURCE, type, time, ...data } as const;
}
