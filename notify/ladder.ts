import type { DisableReason } from './receiver.ts';

/** What came of an attempt. The one enumeration: each line of a delivery's log names one of these. */
export const OUTCOMES = {
  delivered: 'the receiver took it',
  gone: 'the receiver answered 410: it wants nothing more',
  redirected: 'the receiver answered with a redirect, which is not followed: set the address it names',
  throttled: 'the receiver asks for less (429)',
  refused: 'the receiver refused it',
  unavailable: 'the receiver cannot answer at present (502, 503, 504)',
  failed: 'the receiver failed',
  'timed-out': 'the receiver did not answer in time',
  unreachable: 'no connection to the receiver',
  deferred: 'the mail server takes it later (4xx)',
  rejected: 'the mail server refuses the address or the message for good (5xx)',
  'private-address': 'the address is private, and WEBHOOK_ALLOW_PRIVATE does not allow these',
} as const;
export type Outcome = keyof typeof OUTCOMES;

/** Outcomes of a receiver that is away: they say nothing about the event itself. */
export const AWAY: readonly Outcome[] = ['throttled', 'unavailable', 'timed-out', 'unreachable', 'deferred'];

/** What an attempt met. */
export interface Answer {
  readonly outcome: Outcome;
  /** Of HTTP or SMTP; null where none came. */
  readonly status: number | null;
  /** How long the receiver asked to be left alone, ms; null where it did not. */
  readonly retryAfterMs: number | null;
  /** The answer's text as far as it is kept, or what went wrong. */
  readonly text: string;
  readonly ms: number;
}

/** What is known of a delivery when an attempt has ended. */
export interface Standing {
  /** Number of the attempt, from 1. */
  readonly attempt: number;
  /** How long the receiver has taken nothing, this attempt included, ms. */
  readonly failingMs: number;
  /** From 0 to 1. */
  readonly random: number;
}

/** What comes after an attempt. */
export type Decision =
  | { readonly kind: 'done' }
  | { readonly kind: 'retry'; readonly afterMs: number }
  | { readonly kind: 'give-up' }
  | { readonly kind: 'disable'; readonly reason: DisableReason };

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Waits before the second, third … attempt, ms: the example schedule of Standard Webhooks, "Deliverability and reliability". */
export const SCHEDULE: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

/** Most that a receiver's `Retry-After` can hold a delivery back. */
const LONGEST_MS = 24 * HOUR;
const FAILING_MS = 5 * 24 * HOUR;
const JITTER = 0.1;

/** Decides what comes after an attempt. A receiver's own `Retry-After` counts where it is longer than the schedule. */
export function decideNext({ outcome, retryAfterMs }: Answer, { attempt, failingMs, random }: Standing): Decision {
  if (outcome === 'delivered') return { kind: 'done' };
  if (outcome === 'gone') return { kind: 'disable', reason: 'gone' };
  if (failingMs >= FAILING_MS) return { kind: 'disable', reason: 'failing' };
  const wait = SCHEDULE[attempt - 1];
  if (wait === undefined || outcome === 'rejected') return { kind: 'give-up' };
  const asked = Math.min(retryAfterMs ?? 0, LONGEST_MS);
  // Later, never earlier: many that failed together do not come back together.
  return { kind: 'retry', afterMs: Math.round(Math.max(wait, asked) * (1 + JITTER * random)) };
}

/** What an HTTP status means: only 2xx is success (Standard Webhooks). */
export function outcomeOfStatus(status: number): Outcome {
  if (status >= 200 && status < 300) return 'delivered';
  if (status === 410) return 'gone';
  if (status >= 300 && status < 400) return 'redirected';
  if (status === 429) return 'throttled';
  if (status >= 400 && status < 500) return 'refused';
  return status === 502 || status === 503 || status === 504 ? 'unavailable' : 'failed';
}

/** The wait that a `Retry-After` asks for, ms: seconds or an HTTP date (RFC 9110 §10.2.3); null where it is neither. */
export function retryAfterOf(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * SECOND;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
