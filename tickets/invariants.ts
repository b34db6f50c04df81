import type { DatabaseSync } from 'node:sqlite';
import { SEVERITIES, type Severity, type Ticket } from '../domain/index.ts';
import { higherSeverity, isOpen, MOVES } from './lifecycle.ts';
import { SELECT_TICKETS, ticketOf } from './row.ts';

/** What is stored about a ticket beside the ticket itself. */
export interface TicketFacts {
  /** Its alerts: whether each fires, and whether it is bound to the ticket. */
  readonly alerts: readonly {
    readonly state: 'firing' | 'resolved';
    readonly severity: Severity;
    readonly bound: boolean;
  }[];
  /** What comes due for it, by kind and deadline. */
  readonly due: readonly {
    readonly kind: string;
    readonly on: 'acknowledge' | 'resolve' | null;
    readonly to: string | null;
  }[];
  /** The statuses of its parts. */
  readonly parts: readonly Ticket['status'][];
  /** The ticket that it is a part of, or reports once more; null: none. */
  readonly parent: Pick<Ticket, 'status' | 'department'> | null;
}

/** What must hold for a ticket and what is stored about it; the name of each says it. */
type Rule = (ticket: Ticket, facts: TicketFacts) => boolean;

const given = (condition: boolean, holds: boolean): boolean => !condition || holds;

/**
 * Which combinations of status, offer, party, parts, alerts and deadlines are possible. Everything else is a bug:
 * property tests drive random actions, alerts, changes of rules and time through it.
 */
export const INVARIANTS: Readonly<Record<string, Rule>> = {
  'what is offered can be taken': ({ status, offer }) => given(offer !== null, MOVES.take.from.includes(status)),
  'an offer ends': ({ offer }, { due }) =>
    (offer !== null) === due.some(({ kind, to }) => kind === 'offer' && to === offer?.to),
  'work is under way where somebody has it': ({ status, party, assignee }) =>
    given(status === 'open' || status === 'acknowledged', party === null && assignee === null),
  'only an open ticket is to be acknowledged': ({ status, acknowledgeBy, acknowledgedAt }) =>
    given(acknowledgeBy !== null, status === 'open' && acknowledgedAt === null),
  'only an open ticket is late to be acknowledged': ({ status }, { due }) =>
    given(
      due.some(({ on }) => on === 'acknowledge'),
      status === 'open',
    ),
  'a ticket that has ended is late for nothing': ({ status }, { due }) =>
    isOpen(status) || due.every(({ kind }) => kind === 'close' || kind === 'recheck'),
  'an open ticket is not about to close': ({ status }, { due }) =>
    given(
      isOpen(status),
      due.every(({ kind }) => kind !== 'close' && kind !== 'recheck'),
    ),
  'a closed ticket does not close again': ({ status }, { due }) =>
    given(
      status === 'closed',
      due.every(({ kind }) => kind !== 'close'),
    ),
  'its times follow its status': ({ status, acknowledgedAt, resolvedAt, closedAt }) =>
    given(status === 'open', acknowledgedAt === null) &&
    given(status === 'acknowledged' || status === 'assigned' || status === 'in_progress', acknowledgedAt !== null) &&
    (resolvedAt === null) === isOpen(status) &&
    (closedAt === null) === (status !== 'closed'),
  'an open ticket has its alerts, and no other has': ({ status }, { alerts }) =>
    alerts.every(({ bound }) => bound === isOpen(status)),
  'its severity is the highest of its alerts that fire, and at least what was set': (
    { severity, leastSeverity, status },
    { alerts },
  ) => {
    const firing = alerts.filter(({ state }) => state === 'firing').map((alert) => alert.severity);
    const all = leastSeverity === null ? firing : [...firing, leastSeverity];
    if (!isOpen(status) || all.length === 0) return true;
    return severity === all.reduce(higherSeverity, SEVERITIES[0]);
  },
  'a ticket without an alert keeps at least the severity that it was given': ({ rule, leastSeverity }) =>
    given(rule === null, leastSeverity !== null),
  'a whole does not end before its parts': ({ status }, { parts }) => isOpen(status) || !parts.some(isOpen),
  'a part is not open under a whole that has ended': ({ status, relation }, { parent }) =>
    given(relation === 'part' && isOpen(status), parent !== null && isOpen(parent.status)),
  'an open report is of the department of what it reports': ({ relation, department, status }, { parent }) =>
    given(relation === 'report' && isOpen(status), parent?.department === department),
  'only a closed ticket is folded into another': ({ status, foldedInto }) =>
    given(foldedInto !== null, status === 'closed'),
  'its history leads to its status': ({ status, history, version }) =>
    history.at(-1)!.to === status &&
    version === history.length &&
    history.every(({ from, at }, i) => i === 0 || (from === history[i - 1]!.to && at >= history[i - 1]!.at)),
};

/** Returns what is impossible about a ticket: the names of the invariants that do not hold; none, as it must be. */
export function impossible(ticket: Ticket, facts: TicketFacts): string[] {
  return Object.entries(INVARIANTS).flatMap(([name, holds]) => (holds(ticket, facts) ? [] : [name]));
}

/** Returns a function that returns what is impossible in a file with `TICKET_SCHEMA`, as `ticket: invariant`. */
export function createInvariantCheck(db: DatabaseSync): () => string[] {
  const tickets = db.prepare(`${SELECT_TICKETS} order by n`);
  const alerts = db.prepare('select state, severity, attached from ticket_alerts where ticket = ?');
  const due = db.prepare('select kind, "on", "to" from ticket_due where ticket = ?');
  const parts = db.prepare(`select status from tickets where parent = ? and relation = 'part'`);
  const parent = db.prepare('select status, department from tickets where id = ?');
  const factsOf = ({ id, parent: whole }: Ticket) =>
    ({
      alerts: alerts.all(id).map(({ attached, ...alert }) => ({ ...alert, bound: attached === 1 })),
      due: due.all(id),
      parts: parts.all(id).map(({ status }) => status),
      parent: (whole === null ? undefined : parent.get(whole)) ?? null,
    }) as unknown as TicketFacts;
  return () =>
    tickets
      .all()
      .map(ticketOf)
      .flatMap((ticket) => impossible(ticket, factsOf(ticket)).map((name) => `${ticket.id}: ${name}`));
}
