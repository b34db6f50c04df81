import type { Evidence } from './alert.ts';
import type { Severity } from './rule.ts';

export const TICKET_STATUSES = ['open', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed'] as const;
export type TicketStatus = (typeof TICKET_STATUSES)[number];

/** What happened to a ticket; also the last part of its event's type (`city.lamppost.ticket.{action}`). */
export const HISTORY_ACTIONS = [
  'opened',
  'updated',
  'acknowledged',
  'offered',
  'taken',
  'declined',
  'assigned',
  'started',
  'commented',
  'handed-over',
  'split',
  'linked',
  'warned',
  'escalated',
  'resolved',
  'closed',
  'reopened',
  'rated',
] as const;
export type HistoryAction = (typeof HISTORY_ACTIONS)[number];

/** One change of a ticket; never edited. */
export interface TicketChange {
  /** ISO 8601 UTC. */
  readonly at: string;
  /** `rule:<id>`, `key:<id>`, `reporter`, or `clock` for what came due. */
  readonly by: string;
  readonly action: HistoryAction;
  readonly from: TicketStatus | null;
  readonly to: TicketStatus;
  readonly note: string;
}

/** An alert that stands behind a ticket. */
export interface TicketAlert {
  readonly rule: string;
  readonly group: string;
  readonly state: 'firing' | 'resolved';
  readonly severity: Severity;
  /** ISO 8601 UTC: when it fired. */
  readonly since: string;
}

/** A service ticket, as the API and the retained topic show it. Times ISO 8601 UTC. */
export interface Ticket {
  /** Of sensors derived from the transition that opened it, so that a replay gives the same: `t-{block seq}-{ordinal}`. */
  readonly id: string;
  /** Grows by one with every change: the number of its history's entries. */
  readonly version: number;
  /** What it came from: an alert, a citizen's request, or an operator. */
  readonly origin: 'sensor' | 'citizen' | 'operator';
  readonly status: TicketStatus;
  /** Of its first alert; null where it has none. */
  readonly rule: string | null;
  readonly group: string | null;
  readonly title: string;
  readonly titleZh: string;
  /** In the words of who asked for it; null where a rule did. */
  readonly description: string | null;
  readonly service: string;
  /** Who answers for it. */
  readonly department: string;
  /** Who answered for it before it was handed over, the last last. */
  readonly formerDepartments: readonly string[];
  readonly district: string;
  readonly severity: Severity;
  readonly location: { readonly lat: number; readonly lon: number } | null;
  /** Where it is, in words. */
  readonly address: string | null;
  /** The department, contractor or group that does the work; null: the department that answers for it. */
  readonly party: string | null;
  /** Who does it there, as that party names people. */
  readonly assignee: string | null;
  /** Who may take it now, before its department does. */
  readonly offer: { readonly to: string; readonly until: string } | null;
  /** Who was told that it is late. */
  readonly escalatedTo: readonly string[];
  /** The ticket that this one is a part of (another department's share) or reports once more (a citizen's "me too"). */
  readonly parent: string | null;
  readonly relation: 'part' | 'report' | null;
  /** Its alerts, the first ones first, at most 50; all of them are `alertCount`. */
  readonly alerts: readonly TicketAlert[];
  readonly alertCount: number;
  /** How many citizens reported the same. */
  readonly reports: number;
  readonly openedAt: string;
  readonly updatedAt: string;
  readonly acknowledgedAt: string | null;
  readonly resolvedAt: string | null;
  readonly closedAt: string | null;
  /** When it should be acknowledged; null: no time is set, or it is done. */
  readonly acknowledgeBy: string | null;
  /** When it should be resolved. */
  readonly dueAt: string;
  /** How often it was reopened. */
  readonly reopened: number;
  /** By the citizen who asked for it: 1 to 5 stars. */
  readonly rating: { readonly stars: number; readonly comment: string; readonly at: string } | null;
  /** Of its first alert; null where it has none. */
  readonly evidence:
    | (Evidence & {
        /** The rule as its author wrote it, at the moment the ticket opened (YAML). */
        readonly rule: string;
      })
    | null;
  readonly history: readonly TicketChange[];
}
