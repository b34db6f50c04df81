import { TICKET_DEEDS } from './ticket.ts';

/** Types of the events that Lamppost emits. */
export const EVENT_TYPES = [
  'city.lamppost.alert.firing',
  'city.lamppost.alert.resolved',
  'city.lamppost.silence.ending',
  ...TICKET_DEEDS.map((deed) => `city.lamppost.ticket.${deed}` as const),
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** CloudEvents 1.0 in structured JSON (spec §3.1): source + id is the duplicate key and never changes over redeliveries. */
export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: EventType;
  /** `alerts/{rule}/{group}`, `tickets/{ticket}` or `silences/{silence}`. */
  readonly subject: string;
  /** ISO 8601 UTC, engine time. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  /** URI of the JSON Schema of `data`. */
  readonly dataschema: string;
  readonly data: unknown;
}

/** What the broker is asked to publish on behalf of Lamppost. */
export interface Publication {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}
