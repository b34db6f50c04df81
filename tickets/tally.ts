import type { TicketStatus } from '../domain/index.ts';
import { isOpen } from './lifecycle.ts';

/** What oversight looks at of one ticket. Times in epoch ms. */
export interface Overseen {
  readonly status: TicketStatus;
  /** A citizen's "me too" is served by the same work as the ticket that it reports once more. */
  readonly isReport: boolean;
  readonly openedMs: number;
  readonly dueMs: number;
  /** When a person first took notice; null where nobody did before the alert ended, or nobody has yet. */
  readonly noticedMs: number | null;
  readonly resolvedMs: number | null;
  readonly reopened: number;
  readonly stars: number | null;
}

/** How long something took, as time that passed; null where it has not happened once. */
export interface Durations {
  readonly count: number;
  /** What half, and nine of ten, did not exceed; a value that occurred (nearest rank). Whole seconds. */
  readonly medianSeconds: number | null;
  readonly p90Seconds: number | null;
}

/** What a set of tickets comes to. */
export interface Sums {
  readonly opened: number;
  /** How many ask for something now. */
  readonly open: number;
  /** How many of those are past their deadline. */
  readonly overdue: number;
  readonly resolved: number;
  /** How many of those were resolved past their deadline. */
  readonly late: number;
  /** How many were reopened, once or more often. */
  readonly reopened: number;
  /** Citizens who reported what had a ticket already. */
  readonly reports: number;
  /** From the opening until a person took notice. */
  readonly acknowledge: Durations;
  /** From the first opening to the resolution that stands. */
  readonly resolve: Durations;
  /** Stars that citizens gave: 1 to 5; the mean to two decimals. */
  readonly ratings: { readonly count: number; readonly mean: number | null };
}

/** Adds tickets up, one at a time. */
export interface Tally {
  add(ticket: Overseen): void;
  sums(): Sums;
}

/** An empty tally; what is overdue is judged at `nowMs`. */
export function createTally(nowMs: number): Tally {
  const counts = { opened: 0, open: 0, overdue: 0, resolved: 0, late: 0, reopened: 0, reports: 0 };
  const acknowledge: number[] = [];
  const resolve: number[] = [];
  let ratings = 0;
  let stars = 0;

  function addWork({ status, openedMs, dueMs, noticedMs, resolvedMs, reopened }: Overseen): void {
    counts.opened++;
    if (reopened > 0) counts.reopened++;
    if (noticedMs !== null) acknowledge.push(noticedMs - openedMs);
    if (isOpen(status)) {
      counts.open++;
      if (dueMs < nowMs) counts.overdue++;
      return;
    }
    counts.resolved++;
    if (resolvedMs === null) return;
    resolve.push(resolvedMs - openedMs);
    if (resolvedMs > dueMs) counts.late++;
  }

  return {
    add(ticket) {
      if (ticket.stars !== null) {
        ratings++;
        stars += ticket.stars;
      }
      if (ticket.isReport) counts.reports++;
      else addWork(ticket);
    },
    sums: () => ({
      ...counts,
      acknowledge: durationsOf(acknowledge),
      resolve: durationsOf(resolve),
      ratings: { count: ratings, mean: ratings === 0 ? null : Math.round((100 * stars) / ratings) / 100 },
    }),
  };
}

function durationsOf(all: readonly number[]): Durations {
  const sorted = Float64Array.from(all).sort();
  const at = (share: number) =>
    sorted.length === 0 ? null : Math.round(sorted[Math.ceil(share * sorted.length) - 1]! / 1_000);
  return { count: sorted.length, medianSeconds: at(0.5), p90Seconds: at(0.9) };
}
