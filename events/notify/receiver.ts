import type { EventType, Severity } from '../../domain/index.ts';

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
  readonly filter: ReceiverFilter;
  /** Events of different subjects that may be under way at once. */
  readonly concurrency: number;
  /** For whom it is: a department, contractor or community of the city, `group:…` or `person:…`. */
  readonly party: string | null;
  readonly description: string;
  /** Sent as `Authorization`, for receivers that ask for one; never shown. */
  readonly authorization: string | null;
}

/** Why a receiver gets nothing at present. */
export const DISABLE_REASONS = {
  gone: 'the receiver answered 410: it wants nothing more',
  failing: 'nothing was taken for five days',
  'by-admin': 'an administrator disabled it',
} as const;
export type DisableReason = keyof typeof DISABLE_REASONS;

/** Where events go: a webhook. It has a place in the outbox, a queue and a log of its own. */
export interface Receiver {
  readonly id: string;
  readonly kind: 'webhook';
  readonly settings: WebhookSettings;
  /** Null while it is enabled. */
  readonly disabled: DisableReason | null;
  /** Number of the last event of the outbox that was matched against its filter. */
  readonly cursor: number;
  /** Since when it takes nothing, epoch ms; null while it does. */
  readonly failingSince: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

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
