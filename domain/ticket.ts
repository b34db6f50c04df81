import type { Evidence } from './alert.ts';
import type { Severity } from './rule.ts';

export const TICKET_STATUSES = ['open', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed'] as const;
export type TicketStatus = (typeof TICKET_STATUSES)[number];

/** One change of a ticket; never edited. */
export interface TicketChange {
  /** ISO 8601 UTC. */
  readonly at: string;
  /** `rule:<id>` or `key:<id>`. */
  readonly by: string;
  readonly from: TicketStatus | null;
  readonly to: TicketStatus;
  readonly note: string;
}

/** A service ticket, as the API and the retained topic show it. Times ISO 8601 UTC. */
export interface Ticket {
  /** Derived from the transition that opened it, so that a replay gives the same: `t-{block seq}-{ordinal}`. */
  readonly id: string;
  readonly status: TicketStatus;
  readonly rule: string;
  readonly group: string;
  readonly title: string;
  readonly titleZh: string;
  readonly service: string;
  readonly department: string;
  readonly district: string;
  readonly severity: Severity;
  readonly location: { readonly lat: number; readonly lon: number } | null;
  readonly openedAt: string;
  readonly updatedAt: string;
  /** When it should be resolved. */
  readonly dueAt: string;
  readonly evidence: Evidence & {
    /** The rule as its author wrote it, at the moment the ticket opened (YAML). */
    readonly rule: string;
  };
  readonly history: readonly TicketChange[];
}
