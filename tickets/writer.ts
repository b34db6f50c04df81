import { addWorkingTime, type City, isoOf, type Service, type Ticket, type TicketAlert } from '../domain/index.ts';
import { calendarOf, type DueStore, deadlinesOf } from './deadlines.ts';
import { type Change, changed, isOpen } from './lifecycle.ts';
import type { TicketExtras, TicketStore } from './store.ts';

/** The parts of the city that tickets depend on. */
export type TicketCity = Pick<City, 'services' | 'departments' | 'districts' | 'calendars' | 'inhibitions'>;

/** A ticket that is about to open, before its service sets deadlines and offers. */
export interface NewTicket {
  readonly ticket: Ticket;
  readonly atMs: number;
  /** Time to resolve, ms of working time. */
  readonly resolveMs: number;
  readonly alerts: readonly TicketAlert[];
  readonly extras?: TicketExtras;
}

/** The time of a change, and the city in force. */
export interface Moment {
  readonly atMs: number;
  readonly city: TicketCity;
}

/**
 * Writes tickets and all that follows from a change: deadlines, bound and released alerts, offers, reports of the same.
 * The caller holds the transaction. Each method returns every new version in order, the ticket that it is about last.
 */
export class TicketWriter {
  readonly #tickets: TicketStore;
  readonly #due: DueStore;

  constructor({ tickets, due }: { readonly tickets: TicketStore; readonly due: DueStore }) {
    this.#tickets = tickets;
    this.#due = due;
  }

  /** Stores a new ticket under the policy of its service. */
  open({ ticket, atMs, resolveMs, alerts, extras }: NewTicket, service: Service, city: TicketCity): Ticket[] {
    this.#tickets.insert(this.#timed(ticket, service, resolveMs, { atMs, city }), extras);
    for (const alert of alerts) this.#tickets.attach(ticket.id, { ...alert, noted: true });
    const opened = this.#tickets.get(ticket.id)!;
    return [opened, ...(ticket.relation === null ? this.offer(opened, 0, { atMs, city }) : [])];
  }

  change(before: Ticket, wanted: Change, city: TicketCity): Ticket[] {
    let after = changed(before, wanted);
    // A change of an alert can be applied later than it happened: deadlines run from the time in the history.
    const atMs = Date.parse(after.updatedAt);
    const due = this.#due;
    if (isOpen(after.status) && !isOpen(before.status)) after = this.#reopened(after, { atMs, city });
    if (!isOpen(after.status) && isOpen(before.status)) this.#end(after, { atMs, city });
    if (after.status !== 'open') due.remove(after.id, { on: 'acknowledge' });
    if (after.status === 'closed') due.remove(after.id);
    if (after.offer === null) due.remove(after.id, { kind: 'offer' });
    this.#tickets.update(after);
    return [...this.#changeReports(before, after, wanted, city), after];
  }

  /** Offers a ticket to the n-th party of its service; after the last party, returns nothing: the department has it. */
  offer(ticket: Ticket, n: number, { atMs, city }: Moment): Ticket[] {
    const service = city.services.get(ticket.service);
    const tier = service?.offers[n];
    if (service === undefined || tier === undefined) return [];
    const untilMs = addWorkingTime(calendarOf(service.calendar, city), atMs, tier.forMs);
    const until = isoOf(untilMs);
    this.#due.add(ticket.id, [{ kind: 'offer', n, atMs: untilMs, on: null, to: tier.to }]);
    const note = `offered to ${tier.to} until ${until}`;
    const offered = { atMs, by: 'clock', action: 'offered', note, set: { offer: { to: tier.to, until } } } as const;
    return this.change(ticket, offered, city);
  }

  /** Returns the ticket with deadlines from a moment on, and stores what comes due for them. */
  #timed(ticket: Ticket, service: Service, resolveMs: number, { atMs, city }: Moment): Ticket {
    const calendar = calendarOf(service.calendar, city);
    const { acknowledgeByMs, dueMs, due } = deadlinesOf(service, { calendar, fromMs: atMs, resolveMs });
    this.#due.remove(ticket.id);
    // The work on the reported ticket serves this one too: nobody is warned twice.
    if (ticket.relation !== 'report') this.#due.add(ticket.id, due);
    return { ...ticket, acknowledgeBy: isoOf(acknowledgeByMs), dueAt: isoOf(dueMs) };
  }

  #reopened(ticket: Ticket, moment: Moment): Ticket {
    const service = moment.city.services.get(ticket.service);
    const again = { ...ticket, reopened: ticket.reopened + 1 };
    return service === undefined ? again : this.#timed(again, service, service.deadlineMs, moment);
  }

  #end(ticket: Ticket, { atMs, city }: Moment): void {
    this.#due.remove(ticket.id);
    this.#tickets.release(ticket.id);
    const closeMs = city.services.get(ticket.service)?.closeMs ?? null;
    if (closeMs !== null) this.#due.add(ticket.id, [{ kind: 'close', n: 0, atMs: atMs + closeMs, on: null, to: null }]);
  }

  /** Reports of the same end, and open again, with their ticket. */
  #changeReports(before: Ticket, after: Ticket, { atMs, by, action }: Change, city: TicketCity): Ticket[] {
    const moved = after.status !== before.status && !(isOpen(after.status) && isOpen(before.status));
    if (!moved) return [];
    const reports = this.#tickets.children(after.id).filter(({ relation }) => relation === 'report');
    const along: Change = { atMs, by, action, to: after.status, note: `with ${after.id}` };
    return reports.flatMap((report) => (report.status === after.status ? [] : this.change(report, along, city)));
  }
}
