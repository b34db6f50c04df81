import type { SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import { EVENT_TYPES, SEVERITIES, type ShapeOf } from '../domain/index.ts';
import {
  isAlertEvent,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
  type NumberedEvent,
} from '../events/index.ts';

/** Formats of a webhook's body. */
const WEBHOOK_FORMATS = ['cloudevents', 'cloudevents-binary', 'alertmanager', 'cap'] as const;
/** Languages of mail; `both`: Chinese, then English. */
const MAIL_LANGUAGES = ['en', 'zh', 'both'] as const;

const names = z.array(z.string()).readonly().optional();

/** Which events a receiver gets. An event must match every list that is given; a list that is absent matches all. */
export const ReceiverFilterSchema = z.object({
  types: z.array(z.enum(EVENT_TYPES)).readonly().optional(),
  departments: names,
  districts: names,
  severities: z.array(z.enum(SEVERITIES)).readonly().optional(),
  rules: names,
  /** The contractor or community that works on a ticket. */
  parties: names,
});
export type ReceiverFilter = ShapeOf<typeof ReceiverFilterSchema>;

/** The settings of a webhook. */
export const WebhookSettingsSchema = z.object({
  url: z.string(),
  format: z.enum(WEBHOOK_FORMATS),
  filter: ReceiverFilterSchema.nullable().describe(
    'An event must match every list that is given; null: only events of subscriptions over this webhook',
  ),
  concurrency: z.int().describe('Events of different subjects that may be under way at once'),
  party: z
    .string()
    .nullable()
    .describe('Whom it serves: a department, contractor or community of the city, `group:…` or `person:…`'),
  description: z.string(),
  /** Sent as `Authorization`; never shown. */
  authorization: z.string().nullable(),
});
export type WebhookSettings = ShapeOf<typeof WebhookSettingsSchema>;

/** The settings of a subscription by e-mail. */
export const EmailSettingsSchema = z.object({
  to: z.string(),
  party: z.string(),
  filter: ReceiverFilterSchema,
  language: z.enum(MAIL_LANGUAGES),
  digest: z
    .union([z.object({ every: z.string() }), z.object({ daily: z.string() })])
    .nullable()
    .describe('Whether mail is gathered: null: never; `every`: for a duration (`15m`); `daily`: until a local time'),
  quietHours: z
    .union([
      z.object({ from: z.string(), to: z.string() }),
      z.object({ during: z.string() }),
      z.object({ outside: z.string() }),
    ])
    .nullable()
    .describe('When mail waits: between two local times, or while a calendar of the city is on or off'),
  critical: z.enum(['at-once', 'waits']).describe('Whether a critical event is mailed at once, at any hour'),
});
export type EmailSettings = ShapeOf<typeof EmailSettingsSchema>;

/** Why a receiver is disabled. */
export const DISABLE_REASONS = {
  gone: 'the receiver responded with 410 (Gone): it wants no more events',
  failing: 'the receiver accepted nothing for five days',
  'by-admin': 'an administrator disabled it',
} as const;
export type DisableReason = keyof typeof DISABLE_REASONS;

interface ReceiverState {
  readonly id: string;
  /** Null while it is enabled. */
  readonly disabled: DisableReason | null;
  /** Number of the last event of the outbox that was matched against the filter. */
  readonly cursor: number;
  /** Start of the present run of failures, epoch ms; null where the last attempt succeeded. */
  readonly failingSince: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface WebhookReceiver extends ReceiverState {
  readonly kind: 'webhook';
  readonly settings: WebhookSettings;
}

export interface EmailReceiver extends ReceiverState {
  readonly kind: 'email';
  readonly settings: EmailSettings;
}

/** A webhook or a mail address. Each has its own cursor in the outbox, its own queue and its own log. */
export type Receiver = WebhookReceiver | EmailReceiver;

/** An event as it is stored with the deliveries that contain it. */
export interface StoredEvent {
  readonly id: string;
  /** Its number in the outbox; null for a test message. */
  readonly n: number | null;
  readonly type: string;
  readonly subject: string;
  /** The CloudEvent, structured JSON. */
  readonly body: string;
}

/** The content of a delivery, the same at every attempt. */
export interface Message {
  readonly contentType: string;
  /** Headers of its format, with lower-case names; absent: none. The signature does not cover them. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Returns a message from the columns `contentType`, `headers` and `body`. */
export function messageOfRow({ contentType, headers, body }: Readonly<Record<string, SQLOutputValue>>): Message {
  const more = headers === null ? {} : { headers: JSON.parse(String(headers)) as Record<string, string> };
  return { contentType: String(contentType), ...more, body: String(body) };
}

/** Returns an event of the outbox as it is stored. */
export function storedEventOf({ n, event }: NumberedEvent): StoredEvent {
  const { id, type, subject } = event;
  return { id, n, type, subject, body: JSON.stringify(event) };
}

/** Returns the event that was stored. */
export function eventOf({ body }: Pick<StoredEvent, 'body'>): LamppostEvent {
  return JSON.parse(body) as LamppostEvent;
}

/** Reports whether a filter matches an event. A field that the event does not have matches no list. */
export function passes(filter: ReceiverFilter, event: LamppostEvent): boolean {
  const { department, district, severity, rule, party } = routingOf(event);
  return (
    has(filter.types, event.type) &&
    has(filter.departments, department) &&
    has(filter.districts, district) &&
    has(filter.severities, severity) &&
    has(filter.rules, rule) &&
    has(filter.parties, party)
  );
}

/** The fields that filters compare. `party`: who works on a ticket, where that is not the department. */
type Routing = Readonly<Record<'department' | 'district' | 'severity' | 'rule' | 'party', string | null>>;

function routingOf(event: LamppostEvent): Routing {
  if (isAlertEvent(event)) return { ...event.data, party: null };
  if (isTicketEvent(event)) return event.data;
  const department = isSessionEvent(event) ? event.data.department : null;
  return { department, district: null, severity: null, rule: null, party: null };
}

function has(wanted: readonly string[] | undefined, value: string | null): boolean {
  return wanted === undefined || (value !== null && wanted.includes(value));
}
