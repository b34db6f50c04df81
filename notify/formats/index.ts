import type { City } from '../../domain/index.ts';
import type { LamppostEvent } from '../../events/index.ts';
import type { Message, WebhookSettings } from '../receiver.ts';
import { createAlertmanager } from './alertmanager.ts';
import { createCap } from './cap.ts';

/** What formats read of the city. */
export type FormatCity = Pick<City, 'name' | 'timezone' | 'districts'>;

/** What a format depends on besides the event. */
export interface FormatDeps {
  /** Returns the city in force. */
  readonly city: () => FormatCity;
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

/** A format of a webhook's body. Pure: the same input gives the same message. */
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
  return { cloudevents: cloudEvents, alertmanager: createAlertmanager(deps), cap: createCap(deps) };
}

/** CloudEvents 1.0 over HTTP, structured (HTTP binding §3.2): the same event as over MQTT and SSE. */
const cloudEvents: Format = {
  refersBack: false,
  accepts: () => true,
  render: ({ event }) => cloudEventMessage(event),
  ping: (ping) => cloudEventMessage(pingEventOf(ping)),
};

function cloudEventMessage(event: object): Message {
  return { contentType: 'application/cloudevents+json; charset=utf-8', body: JSON.stringify(event) };
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
