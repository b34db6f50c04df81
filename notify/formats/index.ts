import type { City } from '../../domain/index.ts';
import type { LamppostEvent } from '../../events/index.ts';
import type { IncidentReader } from '../incidents.ts';
import type { Message, WebhookSettings } from '../receiver.ts';
import { createAlertmanager } from './alertmanager.ts';
import { createCap } from './cap.ts';

/** What formats read of the city. */
export type FormatCity = Pick<City, 'name' | 'timezone' | 'districts' | 'services'>;

/** What a format depends on besides the event. */
export interface FormatDeps {
  /** Returns the city in force. */
  readonly city: () => FormatCity;
  /** Reads what is open about an alert. */
  readonly incidentOf: IncidentReader;
  /** Public URL of this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
}

/** A message of an alert that a receiver was sent. */
export interface Reference {
  readonly id: string;
  /** Time of its event, ISO 8601 UTC. */
  readonly time: string;
}

/** A test message. */
export interface Ping {
  readonly id: string;
  /** Id of the webhook that it goes to. */
  readonly webhook: string;
  /** ISO 8601 UTC. */
  readonly time: string;
}

/** An event for one webhook. */
export interface FormatInput {
  readonly event: LamppostEvent;
  readonly webhook: string;
  /** What this webhook was sent of the alert since it fired, oldest first; empty where `refersBack` is false. */
  readonly earlier: readonly Reference[];
}

/** A format of a webhook's body: the same input, city and incident give the same message. */
export interface Format {
  /** Whether messages refer to earlier messages of the same alert. */
  readonly refersBack: boolean;
  /** Reports whether the format can express an event. `isChosen`: the webhook's filter has a list of severities. */
  accepts(input: Omit<FormatInput, 'webhook'>, isChosen: boolean): boolean;
  render(input: FormatInput): Message;
  ping(ping: Ping): Message;
}

/** The formats of webhooks, by name. */
export type Formats = Readonly<Record<WebhookSettings['format'], Format>>;

/** Creates every format. */
export function createFormats(deps: FormatDeps): Formats {
  return {
    cloudevents: createCloudEvents(structured),
    'cloudevents-binary': createCloudEvents(binary),
    alertmanager: createAlertmanager(deps),
    cap: createCap(deps),
  };
}

type AnyCloudEvent = LamppostEvent | ReturnType<typeof pingEventOf>;

/** Creates a format of CloudEvents 1.0 over HTTP: the same event as over MQTT and SSE. */
function createCloudEvents(messageOf: (event: AnyCloudEvent) => Message): Format {
  return {
    refersBack: false,
    accepts: () => true,
    render: ({ event }) => messageOf(event),
    ping: (ping) => messageOf(pingEventOf(ping)),
  };
}

/** Structured content mode (HTTP binding 1.0.2 §3.2): the body is the whole event. */
function structured(event: AnyCloudEvent): Message {
  return { contentType: 'application/cloudevents+json; charset=utf-8', body: JSON.stringify(event) };
}

/** Binary content mode (§3.1): the body is the data alone, and each other attribute is a header `ce-…`. */
function binary({ data, datacontenttype, ...attributes }: AnyCloudEvent): Message {
  const headers = Object.entries(attributes).map(([name, value]) => [`ce-${name}`, headerValueOf(value)]);
  return { contentType: datacontenttype, headers: Object.fromEntries(headers), body: JSON.stringify(data) };
}

/**
 * Percent-encodes what a header cannot hold (§3.1.3.2): the octets in UTF-8 of `"`, `%` and every character outside
 * U+0021 to U+007E.
 */
function headerValueOf(text: string): string {
  const encode = (octet: number) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  return text.replace(/[^\x21-\x7e]|["%]/gu, (character) => Array.from(Buffer.from(character), encode).join(''));
}

/** Returns a CloudEvent of type `city.lamppost.ping`, which only test messages have. */
function pingEventOf({ id, webhook, time }: Ping) {
  return {
    specversion: '1.0',
    id,
    source: '/lamppost',
    type: 'city.lamppost.ping',
    subject: `webhooks/${webhook}`,
    time,
    datacontenttype: 'application/json',
    data: { webhook },
  };
}
