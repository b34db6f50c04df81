import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../domain/index.ts';
import type { DisableReason } from './receiver.ts';

/** Outcomes of an attempt. Every line of a delivery's log names one of these. */
export const OUTCOMES = {
  delivered: 'the receiver accepted it',
  gone: 'the receiver responded with 410 (Gone): it wants no more events',
  redirected: 'the receiver responded with a redirect, which is not followed: set the address it names',
  throttled: 'the receiver asks for fewer requests (429)',
  refused: 'the receiver refused it',
  unavailable: 'the receiver is not available at present (502, 503, 504)',
  failed: 'the receiver failed',
  'timed-out': 'the receiver did not respond in time',
  unreachable: 'no connection to the receiver',
  deferred: 'the mail server asks for a later attempt (4xx)',
  rejected: 'the mail server refuses the address or the message permanently (5xx)',
  'private-address': 'the address is private, which WEBHOOK_ALLOW_PRIVATE does not allow',
} as const;
export type Outcome = keyof typeof OUTCOMES;

/** Outcomes of a receiver that cannot be reached at present. They say nothing about the event itself. */
export const AWAY: readonly Outcome[] = ['throttled', 'unavailable', 'timed-out', 'unreachable', 'deferred'];

/** The result of an attempt. */
export interface AttemptResult {
  readonly outcome: Outcome;
  /** Status of HTTP or SMTP; null where no response arrived. */
  readonly status: number | null;
  /** The wait that the receiver asked for, ms; null where it asked for none. */
  readonly retryAfterMs: number | null;
  /** The response's text as far as it is kept, or the error. */
  readonly text: string;
  readonly ms: number;
}

/** What the decision after an attempt depends on, besides its result. */
export interface AttemptContext {
  /** Number of the attempt, from 1. */
  readonly attempt: number;
  /** How long the receiver has accepted nothing, this attempt included, ms. */
  readonly failingMs: number;
  /** From 0 to 1. */
  readonly random: number;
}

/** What follows an attempt. */
export type Decision =
  | { readonly kind: 'done' }
  | { readonly kind: 'retry'; readonly afterMs: number }
  | { readonly kind: 'give-up' }
  | { readonly kind: 'disable'; readonly reason: DisableReason };

/**
 * Waits before the second, third … attempt, ms: the example schedule of Standard Webhooks, "Deliverability and
 * reliability".
 */
export const SCHEDULE: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** The longest wait that a receiver's `Retry-After` can cause. */
const LONGEST_MS = DAY_MS;
const FAILING_MS = 5 * DAY_MS;
const JITTER = 0.1;

/** A delivery that is due later than this was put off before the wall clock was set back: it is due now. */
export const LONGEST_RETRY_MS = Math.ceil(LONGEST_MS * (1 + JITTER));

/** Decides what follows an attempt. A receiver's `Retry-After` applies where it is longer than the schedule. */
export function decideNext(
  { outcome, retryAfterMs }: AttemptResult,
  { attempt, failingMs, random }: AttemptContext,
): Decision {
  if (outcome === 'delivered') return { kind: 'done' };
  if (outcome === 'gone') return { kind: 'disable', reason: 'gone' };
  if (failingMs >= FAILING_MS) return { kind: 'disable', reason: 'failing' };
  const wait = SCHEDULE[attempt - 1];
  if (wait === undefined || outcome === 'rejected') return { kind: 'give-up' };
  const asked = Math.min(retryAfterMs ?? 0, LONGEST_MS);
  // Only later, never earlier: deliveries that failed together must not be retried together.
  return { kind: 'retry', afterMs: Math.round(Math.max(wait, asked) * (1 + JITTER * random)) };
}

/** Returns the outcome of an HTTP status. Only 2xx is success (Standard Webhooks). */
export function outcomeOfStatus(status: number): Outcome {
  if (status >= 200 && status < 300) return 'delivered';
  if (status === 410) return 'gone';
  if (status >= 300 && status < 400) return 'redirected';
  if (status === 429) return 'throttled';
  if (status >= 400 && status < 500) return 'refused';
  return status === 502 || status === 503 || status === 504 ? 'unavailable' : 'failed';
}

/** Returns the wait of a `Retry-After` header, ms: seconds or an HTTP date (RFC 9110 §10.2.3); null for other text. */
export function retryAfterOf(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * SECOND_MS;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
