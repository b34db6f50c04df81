import { addWorkingTime, type City, isoOf, type Service, type Ticket, type TicketAlert } from '../domain/index.ts';
import { calendarOf } from './calendars.ts';
import { type Change, changed } from './change.ts';
import { deadlinesOf } from './deadlines.ts';
import type { DueStore } from './due-store.ts';
import { isOpen } from './lifecycle.ts';
import type { TicketExtras, TicketStore } from './store.ts';

/** What tickets need of the city. */
export type TicketCity = Pick<City, 'services' | 'departments' | 'districts' | 'calendars' | 'inhibitions'>;

/** A ticket as it is about to open: without what follows from its service. */
export interface NewTicket {
  readonly ticket: Ticket;
  readonly atMs: number;
  /** Time to resolve, ms of working time. */
  readonly resolveMs: number;
  readonly alerts: readonly TicketAlert[];
  readonly extras?: TicketExtras;
}

/**
 * Writes tickets and all that follows from a change: deadlines, alerts bound and freed, offers, reports that go along. The
 * caller holds the transaction and is handed every version to be told, in their order; the last is the ticket that was asked for.
 */
export interface Keeper {
  /** Adds a ticket under the policy of its service. */
  open(opening: NewTicket, service: Service, city: TicketCity): Ticket[];
  change(ticket: Ticket, change: Change, city: TicketCity): Ticket[];
  /** Offers a ticket to the n-th of its service's parties; after the last its department has it, and nothing is told. */
  offer(ticket: Ticket, n: number, moment: { readonly atMs: number; readonly city: TicketCity }): Ticket[];
}

/** Makes the keeper over its stores. */
export function createKeeper({ tickets, due }: { readonly tickets: TicketStore; readonly due: DueStore }): Keeper {
  /** With deadlines from a moment on; what comes due on the way is noted. */
  function timed(ticket: Ticket, service: Service, { atMs, resolveMs, city }: Span): Ticket {
    const calendar = calendarOf(service.calendar, city);
    const deadlines = deadlinesOf(service, { calendar, fromMs: atMs, resolveMs });
    due.remove(ticket.id);
    // Who reports the same is served by that work: nobody is warned, or told, twice of one.
    if (ticket.relation !== 'report') due.add(ticket.id, deadlines.due);
    const { acknowledgeByMs, dueMs } = deadlines;
    return { ...ticket, acknowledgeBy: acknowledgeByMs === null ? null : isoOf(acknowledgeByMs), dueAt: isoOf(dueMs) };
  }

  function change(before: Ticket, wanted: Change, city: TicketCity): Ticket[] {
    let after = changed(before, wanted);
    // What an alert did while nobody ran is told later than it happened: time runs from when the history says.
    const atMs = Date.parse(after.updatedAt);
    if (isOpen(after.status) && !isOpen(before.status)) after = reopened(after, atMs, city);
    if (!isOpen(after.status) && isOpen(before.status)) end(after, atMs, city);
    if (after.status !== 'open') due.remove(after.id, { on: 'acknowledge' });
    if (after.status === 'closed') due.remove(after.id);
    if (after.offer === null) due.remove(after.id, { kind: 'offer' });
    tickets.update(after);
    return [...reportsOf(before, after, wanted, city), after];
  }

  function reopened(ticket: Ticket, atMs: number, city: TicketCity): Ticket {
    const service = city.services.get(ticket.service);
    const again = { ...ticket, reopened: ticket.reopened + 1 };
    return service === undefined ? again : timed(again, service, { atMs, resolveMs: service.deadlineMs, city });
  }

  function end(ticket: Ticket, atMs: number, city: TicketCity): void {
    due.remove(ticket.id);
    tickets.release(ticket.id);
    const closeMs = city.services.get(ticket.service)?.closeMs ?? null;
    if (closeMs !== null) due.add(ticket.id, [{ kind: 'close', n: 0, atMs: atMs + closeMs, on: null, to: null }]);
  }

  /** Who reported the same is served by the same work: their tickets end, and open again, with it. */
  function reportsOf(before: Ticket, after: Ticket, { atMs, by, action }: Change, city: TicketCity): Ticket[] {
    const moved = after.status !== before.status && !(isOpen(after.status) && isOpen(before.status));
    if (!moved) return [];
    const reports = tickets
      .children(after.id)
      .filter((one) => one.relation === 'report' && one.status !== after.status);
    const along: Change = { atMs, by, action, to: after.status, note: `with ${after.id}` };
    return reports.flatMap((report) => change(report, along, city));
  }

  function offer(ticket: Ticket, n: number, { atMs, city }: { atMs: number; city: TicketCity }): Ticket[] {
    const service = city.services.get(ticket.service);
    const tier = service?.offers[n];
    if (service === undefined || tier === undefined) return [];
    const untilMs = addWorkingTime(calendarOf(service.calendar, city), atMs, tier.forMs);
    const until = isoOf(untilMs);
    due.add(ticket.id, [{ kind: 'offer', n, atMs: untilMs, on: null, to: tier.to }]);
    const note = `offered to ${tier.to} until ${until}`;
    return change(ticket, { atMs, by: 'clock', action: 'offered', note, set: { offer: { to: tier.to, until } } }, city);
  }

  return {
    change,
    offer,
    open({ ticket, atMs, resolveMs, alerts, extras }, service, city) {
      const opened = timed(ticket, service, { atMs, resolveMs, city });
      tickets.insert(opened, extras);
      for (const alert of alerts) tickets.attach(opened.id, { ...alert, told: true });
      const told = tickets.get(opened.id)!;
      return [told, ...(ticket.relation === null ? offer(told, 0, { atMs, city }) : [])];
    },
  };
}

interface Span {
  readonly atMs: number;
  readonly resolveMs: number;
  readonly city: TicketCity;
}
