import type { EventType, Severity } from '../domain/index.ts';

/** What a webhook's body is. */
export const WEBHOOK_FORMATS = ['cloudevents', 'alertmanager', 'cap'] as const;
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

/** Which events a receiver gets: each list that is given must have the event's own; what is not given matches all. */
export interface ReceiverFilter {
  readonly types?: readonly EventType[] | undefined;
  readonly departments?: readonly string[] | undefined;
  readonly districts?: readonly string[] | undefined;
  readonly severities?: readonly Severity[] | undefined;
  readonly rules?: readonly string[] | undefined;
  /** Who does the work of a ticket: a contractor, a community. */
  readonly parties?: readonly string[] | undefined;
}

/** What is set of a webhook. */
export interface WebhookSettings {
  readonly url: string;
  readonly format: WebhookFormat;
  /** Null: only what is subscribed to over this webhook. */
  readonly filter: ReceiverFilter | null;
  /** Events of different subjects that may be under way at once. */
  readonly concurrency: number;
  /** For whom it is: a department, contractor or community of the city, `group:…` or `person:…`. */
  readonly party: string | null;
  readonly description: string;
  /** Sent as `Authorization`, for receivers that ask for one; never shown. */
  readonly authorization: string | null;
}

export const MAIL_LANGUAGES = ['en', 'zh', 'both'] as const;
export type MailLanguage = (typeof MAIL_LANGUAGES)[number];

/** When mail is gathered: never (null), for so long (`15m`), or until a local time of day (`07:30`). */
export type Digest = { readonly every: string } | { readonly daily: string } | null;

/** When mail waits: between two local times of day, while a calendar of the city is on, or while it is not. */
export type QuietHours =
  | { readonly from: string; readonly to: string }
  | { readonly during: string }
  | { readonly outside: string }
  | null;

/** What is set of a subscription by e-mail. */
export interface EmailSettings {
  /** The address. */
  readonly to: string;
  readonly party: string;
  readonly filter: ReceiverFilter;
  readonly language: MailLanguage;
  readonly digest: Digest;
  readonly quietHours: QuietHours;
  /** Whether what is critical waits like anything else, or comes at once, whatever the hour. */
  readonly critical: 'at-once' | 'waits';
}

/** Why a receiver gets nothing at present. */
export const DISABLE_REASONS = {
  gone: 'the receiver answered 410: it wants nothing more',
  failing: 'nothing was taken for five days',
  'by-admin': 'an administrator disabled it',
} as const;
export type DisableReason = keyof typeof DISABLE_REASONS;

interface ReceiverState {
  readonly id: string;
  /** Null while it is enabled. */
  readonly disabled: DisableReason | null;
  /** Number of the last event of the outbox that was matched against its filter. */
  readonly cursor: number;
  /** Since when it takes nothing, epoch ms; null while it does. */
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

/** Where events go: a webhook or an address. It has a place in the outbox, a queue and a log of its own. */
export type Receiver = WebhookReceiver | EmailReceiver;

/** An event as it is told, and its number in the outbox; a ping has none. */
export interface ToldEvent {
  readonly id: string;
  readonly n: number | null;
  readonly type: string;
  readonly subject: string;
  /** The CloudEvent, structured JSON. */
  readonly body: string;
}

/** What goes out in one piece, the same at every attempt. */
export interface Message {
  readonly contentType: string;
  readonly body: string;
}
