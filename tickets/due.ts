import type { Ticket } from '../domain/index.ts';
import type { Due, DueStore } from './deadlines.ts';
import { type Change, isOpen } from './lifecycle.ts';
import type { TicketStore } from './store.ts';
import type { Moment, TicketCity, TicketWriter } from './writer.ts';

interface Parts {
  readonly tickets: TicketStore;
  readonly due: DueStore;
  readonly writer: TicketWriter;
}

/** The number of groups that a note lists. */
const LISTED = 10;

/**
 * Does the oldest thing that is due, once, as at the time at which it was due; returns every new version of a ticket,
 * null where nothing is due. What came due while the server was stopped is done afterwards, in its order. The caller
 * holds the transaction.
 */
export function doNextDue(parts: Parts, nowMs: number, city: TicketCity): readonly Ticket[] | null {
  const what = parts.due.take(nowMs);
  if (what === null) return null;
  const ticket = parts.tickets.get(what.ticket);
  return ticket === null ? [] : doDue(parts, ticket, what, { atMs: what.atMs, city });
}

function doDue(parts: Parts, ticket: Ticket, what: Due, now: Moment): readonly Ticket[] {
  if (what.kind === 'close') return close(parts, ticket, now);
  if (!isOpen(ticket.status)) return [];
  if (what.kind === 'joined') return noteJoined(parts, ticket, now);
  if (what.kind === 'offer') return endOffer(parts, ticket, what, now);
  return parts.writer.change(ticket, lateness(ticket, what), now.city);
}

function close({ writer }: Parts, ticket: Ticket, { atMs, city }: Moment): readonly Ticket[] {
  if (ticket.status !== 'resolved') return [];
  return writer.change(ticket, { atMs, by: 'clock', action: 'closed', to: 'closed', note: 'nobody objected' }, city);
}

function noteJoined({ tickets, writer }: Parts, ticket: Ticket, { atMs, city }: Moment): readonly Ticket[] {
  const groups = tickets.takeJoined(ticket.id);
  if (groups.length === 0) return [];
  const more = groups.length > LISTED ? ' …' : '';
  const note = `${groups.length} more alerts: ${groups.slice(0, LISTED).join(', ')}${more}`;
  const { alerts, alertCount } = tickets.get(ticket.id)!;
  return writer.change({ ...ticket, alerts, alertCount }, { atMs, by: 'clock', action: 'updated', note }, city);
}

function endOffer({ writer }: Parts, ticket: Ticket, { n, to }: Due, now: Moment): readonly Ticket[] {
  if (ticket.offer?.to !== to) return [];
  const ended = { atMs: now.atMs, by: 'clock', action: 'declined', note: `not taken by ${to} in time` } as const;
  const changes = writer.change(ticket, { ...ended, set: { offer: null } }, now.city);
  const declined = changes.at(-1)!;
  // Not before the last entry of the history, which can be later than what was due.
  const atMs = Date.parse(declined.updatedAt);
  return [...changes, ...writer.offer(declined, n + 1, { ...now, atMs })];
}

/** Returns the change of a warning, of a deadline that has passed, or of an escalation. */
function lateness(ticket: Ticket, { kind, on, to, atMs }: Due): Change {
  const deadline = on === 'acknowledge' ? ticket.acknowledgeBy : ticket.dueAt;
  const verb = on === 'acknowledge' ? 'acknowledged' : 'resolved';
  if (kind === 'warn') {
    return { atMs, by: 'clock', action: 'warned', note: `to be ${verb} by ${deadline}` };
  }
  const notified = to ?? ticket.department;
  const note = `not ${verb} by ${deadline}: ${notified} is notified`;
  const set = { escalatedTo: [...new Set([...ticket.escalatedTo, notified])] };
  return { atMs, by: 'clock', action: 'escalated', note, set };
}
