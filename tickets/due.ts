import type { Ticket } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';
import type { Change } from './change.ts';
import type { Due } from './deadlines.ts';
import type { DueStore } from './due-store.ts';
import type { Keeper, TicketCity } from './keeper.ts';
import { isOpen } from './lifecycle.ts';
import type { TicketStore } from './store.ts';

/** What has come due for tickets; the caller holds the transaction. */
export interface DueTickets {
  /** Does the oldest thing that is due and takes it off, so that it is done once; null where nothing is due. */
  next(nowMs: number, city: TicketCity): readonly Ticket[] | null;
}

interface Deps {
  readonly tickets: TicketStore;
  readonly due: DueStore;
  readonly keeper: Keeper;
}

/** Makes it. What came due while nobody ran it happens when it runs, and says when it was due. */
export function createDueTickets({ tickets, due, keeper }: Deps): DueTickets {
  function done(ticket: Ticket, what: Due, nowMs: number, city: TicketCity): readonly Ticket[] {
    if (what.kind === 'close') return close(ticket, nowMs, city);
    if (!isOpen(ticket.status)) return [];
    if (what.kind === 'joined') return joined(ticket, nowMs, city);
    if (what.kind === 'offer') return lapse(ticket, what, nowMs, city);
    return keeper.change(ticket, lateness(ticket, what, nowMs), city);
  }

  function close(ticket: Ticket, atMs: number, city: TicketCity): readonly Ticket[] {
    if (ticket.status !== 'resolved') return [];
    const change: Change = { atMs, by: 'clock', action: 'closed', to: 'closed', note: 'nobody objected' };
    return keeper.change(ticket, change, city);
  }

  function joined(ticket: Ticket, atMs: number, city: TicketCity): readonly Ticket[] {
    const groups = tickets.tellJoined(ticket.id);
    if (groups.length === 0) return [];
    const more = groups.length > LISTED ? ' …' : '';
    const note = `${groups.length} more alerts: ${groups.slice(0, LISTED).join(', ')}${more}`;
    const { alerts, alertCount } = tickets.get(ticket.id)!;
    return keeper.change({ ...ticket, alerts, alertCount }, { atMs, by: 'clock', action: 'updated', note }, city);
  }

  function lapse(ticket: Ticket, { n, to }: Due, atMs: number, city: TicketCity): readonly Ticket[] {
    if (ticket.offer?.to !== to) return [];
    const change: Change = {
      atMs,
      by: 'clock',
      action: 'declined',
      note: `not taken by ${to} in time`,
      set: { offer: null },
    };
    const lapsed = keeper.change(ticket, change, city);
    return [...lapsed, ...keeper.offer(lapsed.at(-1)!, n + 1, { atMs, city })];
  }

  return {
    next(nowMs, city) {
      const what = due.take(nowMs);
      if (what === null) return null;
      const ticket = tickets.get(what.ticket);
      return ticket === null ? [] : done(ticket, what, nowMs, city);
    },
  };
}

const LISTED = 10;

/** A warning, a deadline that has passed, or somebody else who is told of it. */
function lateness(ticket: Ticket, { kind, on, to, atMs }: Due, nowMs: number): Change {
  const deadline = on === 'acknowledge' ? ticket.acknowledgeBy : ticket.dueAt;
  const verb = on === 'acknowledge' ? 'acknowledged' : 'resolved';
  const late = nowMs - atMs >= LATE_MS ? ` (was due ${isoOf(atMs)})` : '';
  if (kind === 'warn') {
    return { atMs: nowMs, by: 'clock', action: 'warned', note: `to be ${verb} by ${deadline}${late}` };
  }
  const told = to ?? ticket.department;
  const note = `not ${verb} by ${deadline}: ${told} is told${late}`;
  const set = { escalatedTo: [...new Set([...ticket.escalatedTo, told])] };
  return { atMs: nowMs, by: 'clock', action: 'escalated', note, set };
}

/** Later than this, what is told also says when it was due. */
const LATE_MS = 120_000;
