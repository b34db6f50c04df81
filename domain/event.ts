import { COMMAND_STATES } from './device-command.ts';
import { HISTORY_ACTIONS } from './ticket.ts';

/** The types of all events that Lamppost emits. */
export const EVENT_TYPES = [
  'city.lamppost.alert.firing',
  'city.lamppost.alert.resolved',
  'city.lamppost.silence.created',
  'city.lamppost.silence.matched',
  'city.lamppost.silence.ending',
  'city.lamppost.silence.ended',
  'city.lamppost.clock.stepped',
  'city.lamppost.clock.doubted',
  ...HISTORY_ACTIONS.map((action) => `city.lamppost.ticket.${action}` as const),
  'city.lamppost.session.dropped',
  'city.lamppost.login.failing',
  ...COMMAND_STATES.map((state) => `city.lamppost.command.${state}` as const),
  'city.lamppost.desired.changed',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** The name of an outbox that has no event yet: with the first one, it gets its own. */
export const UNNAMED = '00000000';

/** CloudEvents 1.0 in structured JSON (spec §3.1): source and id are the duplicate key, the same over redeliveries. */
export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: '/lamppost';
  readonly type: EventType;
  /**
   * `alerts/{rule}/{group}`, `tickets/{ticket}`, `silences/{silence}`, `sessions/{session}`, `logins/{source}`,
   * `commands/{device}/{command}`, `desired/{device}` or `clock`.
   */
  readonly subject: string;
  /** ISO 8601 UTC, engine time. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  /** URI of the JSON Schema of `data`. */
  readonly dataschema: string;
  readonly data: unknown;
}

/** A message that the broker publishes for Lamppost. */
export interface Publication {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

/** Why messages for a kept MQTT session were dropped. */
export const DROP_REASONS = {
  'queue-full': 'the queue of the session was full: its oldest messages were dropped',
  expired: 'the session was not connected for too long: it ended with its queue and subscriptions',
  'too-many-sessions': 'its key opened more sessions than it may have: the one that was away longest ended',
} as const;
export type DropReason = keyof typeof DROP_REASONS;

/** Messages that a kept MQTT session lost to a limit or to its expiry, added up since the last event about it. */
export interface SessionDrop {
  /** Stays the same when the drop is reported again. */
  readonly id: string;
  /** `{user}/{client id}`, or the id of a device. */
  readonly session: string;
  /** The key or device that it belongs to. */
  readonly user: string;
  /** The department of the key; null where it has none. */
  readonly department: string | null;
  readonly reason: DropReason;
  readonly messages: number;
  /** The first and the last time, epoch milliseconds. */
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Logins over MQTT, or of people over HTTP, that were refused, from one source, added up since the first within ten
 * minutes of the next.
 */
export interface LoginsFailing {
  readonly id: string;
  /** The IPv4 address, or the /64 of the IPv6 address, from which they came. */
  readonly source: string;
  /** The device, key or person (`person:<id>`) whose name was given; null: many names, or names of nobody. */
  readonly user: string | null;
  readonly failures: number;
  /** The first and the last time, epoch milliseconds. */
  readonly fromMs: number;
  readonly toMs: number;
}
