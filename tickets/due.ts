import { addWorkingTime, type Ticket } from '../domain/index.ts';
import { calendarOf, type Due, type DueStore } from './deadlines.ts';
import { type Change, isOpen, reopenedFrom } from './lifecycle.ts';
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
 * Does the oldest thing that was due at a moment, once, as at the time at which it was due; returns every new version
 * of a ticket, null where nothing was. What came due while the server was stopped is done afterwards, in its order.
 * The caller holds the transaction.
 */
export function doNextDue(parts: Parts, atMs: number, nowMs: number, city: TicketCity): readonly Ticket[] | null {
  const what = parts.due.take(atMs);
  if (what === null) return null;
  const ticket = parts.tickets.get(what.ticket);
  return ticket === null ? [] : doDue(parts, ticket, what, { atMs: what.atMs, nowMs, city });
}

/** When something was due, and when that is done. */
interface DueMoment extends Moment {
  readonly nowMs: number;
}

function doDue(parts: Parts, ticket: Ticket, what: Due, now: DueMoment): readonly Ticket[] {
  if (what.kind === 'close') return close(parts, ticket, what, now);
  if (what.kind === 'recheck') return recheck(parts, ticket, now);
  if (!isOpen(ticket.status)) return [];
  if (what.kind === 'joined') return noteJoined(parts, ticket, now);
  if (what.kind === 'offer') return endOffer(parts, ticket, what, now);
  if (what.kind === 'remind') return remind(parts, ticket, now);
  return parts.writer.change(ticket, lateness(ticket, what), now.city);
}

/** What still fires was not repaired: its department is reminded, and the ticket closes later. */
function close(
  { tickets, due, writer }: Parts,
  ticket: Ticket,
  what: Due,
  { atMs, nowMs, city }: DueMoment,
): readonly Ticket[] {
  if (ticket.status !== 'resolved') return [];
  // A report ends with what it reports.
  const isReport = ticket.relation === 'report';
  const firing = tickets.firingAlerts(isReport ? ticket.parent! : ticket.id);
  if (firing.length === 0)
    return writer.change(ticket, { atMs, by: 'clock', action: 'closed', to: 'closed', note: 'nobody objected' }, city);
  const closeMs = city.services.get(ticket.service)?.closeMs ?? null;
  if (closeMs !== null) due.add(ticket.id, [{ ...what, atMs: nextAfter(nowMs, (ms) => ms + closeMs, atMs) }]);
  if (isReport) return [];
  const note = `not closed, it still fires: ${listOf(firing)}`;
  return writer.change(ticket, { atMs, by: 'clock', action: 'reminded', note }, city);
}

/** Opens a ticket again that a person resolved, where its alert fires on. */
function recheck({ tickets, writer }: Parts, ticket: Ticket, { atMs, city }: DueMoment): readonly Ticket[] {
  const firing = tickets.firingAlerts(ticket.id);
  if (isOpen(ticket.status) || firing.length === 0 || !tickets.rebind(ticket.id)) return [];
  const set = reopenedFrom(ticket, tickets.firing(ticket.id).highest);
  const note = `it still fires: ${listOf(firing)}`;
  return writer.change(ticket, { atMs, by: 'clock', action: 'reopened', to: 'open', note, set }, city);
}

/** Reminds the department of an open ticket; reminders that a stopped server missed are one. */
function remind({ due, writer }: Parts, ticket: Ticket, { atMs, nowMs, city }: DueMoment): readonly Ticket[] {
  const service = city.services.get(ticket.service);
  if (service === undefined || service.remindMs === null) return [];
  const calendar = calendarOf(service.calendar, city);
  const next = nextAfter(nowMs, (ms) => addWorkingTime(calendar, ms, service.remindMs!), atMs);
  due.add(ticket.id, [{ kind: 'remind', n: 0, atMs: next, on: null, to: null }]);
  const missing = ticket.acknowledgedAt === null ? 'nobody has acknowledged it' : 'it is not resolved';
  const note = `open since ${ticket.openedAt}, ${missing}; to be resolved by ${ticket.dueAt}`;
  return writer.change(ticket, { atMs, by: 'clock', action: 'reminded', note }, city);
}

/** Returns the first of a series of moments that is after now. */
function nextAfter(nowMs: number, step: (ms: number) => number, fromMs: number): number {
  let next = step(fromMs);
  while (next <= nowMs) next = step(next);
  return next;
}

function listOf(alerts: readonly { readonly rule: string; readonly group: string }[]): string {
  const more = alerts.length > LISTED ? ' …' : '';
  const named = alerts.slice(0, LISTED).map(({ rule, group }) => `${rule} for ${group}`);
  return `${named.join(', ')}${more}`;
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
