import {
  addWorkingTime,
  type City,
  isoOf,
  type Service,
  TICKET_STATUSES,
  type Ticket,
  type TicketAlert,
} from '../domain/index.ts';
import { calendarOf, type DueStore, deadlinesOf, remindersOf } from './deadlines.ts';
import { isUnderWay } from './decide.ts';
import { alongWith, type Change, changed, isOpen } from './lifecycle.ts';
import type { TicketExtras, TicketStore } from './store.ts';

/** The parts of the city that tickets depend on. */
export type TicketCity = Pick<City, 'services' | 'departments' | 'districts' | 'calendars' | 'inhibitions' | 'assets'>;

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
    this.#tickets.insert(this.#timed(ticket, service, resolveMs, { atMs, city }), { ...extras, resolveMs });
    for (const alert of alerts) this.#tickets.attach(ticket.id, { ...alert, noted: true });
    const opened = this.#tickets.get(ticket.id)!;
    return [opened, ...(ticket.relation === null ? this.offer(opened, 0, { atMs, city }) : [])];
  }

  change(before: Ticket, wanted: Change, city: TicketCity): Ticket[] {
    let after = changed(before, wanted);
    // A change of an alert can be applied later than it happened: deadlines run from the time in the history.
    const moment = { atMs: Date.parse(after.updatedAt), city };
    const due = this.#due;
    if (isOpen(after.status) && !isOpen(before.status)) after = this.#reopened(after, moment);
    if (!isOpen(after.status) && isOpen(before.status)) this.#end(after, wanted, moment);
    if (wanted.action === 'handed-over' && after.status === 'open') after = this.#acknowledgeAgain(after, moment);
    if (after.status !== 'open') due.remove(after.id, { on: 'acknowledge' });
    if (after.status === 'closed') due.removeAllBut(after.id, 'recheck');
    if (after.offer === null) due.remove(after.id, { kind: 'offer' });
    this.#tickets.update(after);
    return [
      ...this.#changeReports(before, after, wanted, city),
      ...(wanted.action === 'handed-over' ? this.#handOver(before, after, wanted, city) : []),
      ...(after.relation === 'part' ? this.#noteInWhole(before, after, wanted, city) : []),
      after,
    ];
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

  /** Stores that the severity of a ticket does not fall until somebody confirms that its cause is over. */
  keepSeverity(ticket: Ticket): void {
    this.#tickets.update({ ...ticket, leastSeverity: ticket.severity });
  }

  /** Returns the ticket with deadlines from a moment on, and stores what comes due for them. */
  #timed(ticket: Ticket, service: Service, resolveMs: number, { atMs, city }: Moment): Ticket {
    const calendar = calendarOf(service.calendar, city);
    const { acknowledgeByMs, dueMs, due } = deadlinesOf(service, { calendar, fromMs: atMs, resolveMs });
    this.#due.remove(ticket.id);
    // The work on the reported ticket serves this one too: nobody is warned twice.
    if (ticket.relation !== 'report') this.#due.add(ticket.id, [...due, ...remindersOf(service, calendar, atMs)]);
    return { ...ticket, acknowledgeBy: isoOf(acknowledgeByMs), dueAt: isoOf(dueMs) };
  }

  #reopened(ticket: Ticket, moment: Moment): Ticket {
    const service = moment.city.services.get(ticket.service);
    const again = { ...ticket, reopened: ticket.reopened + 1 };
    if (service === undefined) return again;
    return this.#timed(again, service, this.#tickets.resolveMs(ticket.id) ?? service.deadlineMs, moment);
  }

  /** The new department has the service's time to acknowledge; the time to resolve goes on. */
  #acknowledgeAgain(ticket: Ticket, { atMs, city }: Moment): Ticket {
    const service = city.services.get(ticket.service);
    if (service === undefined) return ticket;
    const calendar = calendarOf(service.calendar, city);
    const { acknowledgeByMs, due } = deadlinesOf(service, { calendar, fromMs: atMs, resolveMs: 0 });
    this.#due.remove(ticket.id, { on: 'acknowledge' });
    if (ticket.relation !== 'report')
      this.#due.add(
        ticket.id,
        due.filter(({ on }) => on === 'acknowledge'),
      );
    return { ...ticket, acknowledgeBy: isoOf(acknowledgeByMs) };
  }

  #end(ticket: Ticket, { action, by }: Change, { atMs, city }: Moment): void {
    const service = city.services.get(ticket.service);
    this.#due.remove(ticket.id);
    const byHand = action === 'resolved' && !by.startsWith('rule:');
    if (byHand && this.#tickets.firing(ticket.id).count > 0) this.#later(ticket, 'recheck', service?.recheckMs, atMs);
    this.#tickets.release(ticket.id);
    this.#later(ticket, 'close', service?.closeMs, atMs);
  }

  #later({ id }: Ticket, kind: 'recheck' | 'close', ms: number | null | undefined, atMs: number): void {
    if (typeof ms === 'number') this.#due.add(id, [{ kind, n: 0, atMs: atMs + ms, on: null, to: null }]);
  }

  /** Reports of the same go to the other department with their ticket; departments that have a part are notified. */
  #handOver(before: Ticket, after: Ticket, { atMs, by }: Change, city: TicketCity): Ticket[] {
    const { department, formerDepartments } = after;
    const to = `from ${before.department} to ${department}`;
    return this.#tickets.children(after.id).flatMap((child) => {
      if (child.relation === 'part') {
        const note = `${after.id} was handed over ${to}`;
        return isOpen(child.status) ? this.change(child, { atMs, by, action: 'updated', note }, city) : [];
      }
      const set = { department, formerDepartments, party: null, assignee: null, offer: null };
      const status = isOpen(child.status) ? 'open' : child.status;
      return this.change(
        child,
        { atMs, by, action: 'handed-over', to: status, note: `${to} with ${after.id}`, set },
        city,
      );
    });
  }

  /** The whole's department is notified when a part ends or opens again; with the last part the whole may end. */
  #noteInWhole(before: Ticket, after: Ticket, wanted: Change, city: TicketCity): Ticket[] {
    const { atMs, by, action } = wanted;
    const whole = this.#tickets.get(after.parent!);
    // The citizens who reported the whole get the replies of all who work on it.
    if (action === 'replied' && whole !== null)
      return this.change(whole, { atMs, by, action, note: wanted.note }, city);
    if (isOpen(before.status) === isOpen(after.status) || whole === null || !isOpen(whole.status)) return [];
    const part = `${after.id} (${after.department})`;
    const left = this.#tickets.openParts(whole.id).length;
    const updated = (note: string): Change => ({ atMs, by: 'clock', action: 'updated', note });
    if (isOpen(after.status)) return this.change(whole, updated(`the part ${part} is open again`), city);
    if (left > 0) return this.change(whole, updated(`the part ${part} is done, ${left} more to go`), city);
    const ended = whole.alertCount > 0 && this.#tickets.firing(whole.id).count === 0;
    const auto = city.services.get(whole.service)?.resolution === 'auto';
    const unproven = isUnderWay(whole) && this.#tickets.endedUnseen(whole.id);
    if (!ended || !auto || unproven || this.#tickets.hasUnmeasured(whole.id))
      return this.change(whole, updated(`the part ${part} is done, it was the last one`), city);
    const note = `the part ${part} was the last one, and the alerts have ended`;
    return this.change(whole, { atMs, by: 'clock', action: 'resolved', to: 'resolved', note }, city);
  }

  /**
   * Reports of the same are seen, begun, end, and open again, with their ticket; their reporters get the department's
   * replies.
   */
  #changeReports(before: Ticket, after: Ticket, { atMs, by, action, note }: Change, city: TicketCity): Ticket[] {
    const endsOrOpens = after.status !== before.status && !(isOpen(after.status) && isOpen(before.status));
    const goesOn = action === 'acknowledged' || action === 'started';
    if (!endsOrOpens && !goesOn && action !== 'replied') return [];
    const reports = this.#tickets.children(after.id).filter(({ relation }) => relation === 'report');
    if (action === 'replied') return reports.flatMap((report) => this.change(report, { atMs, by, action, note }, city));
    const along: Change = { atMs, by, action, to: after.status, note: alongWith(after.id) };
    const isBehind = ({ status }: Ticket) =>
      endsOrOpens ? status !== after.status : isOpen(status) && rankOf(status) < rankOf(after.status);
    return reports.filter(isBehind).flatMap((report) => this.change(report, along, city));
  }
}

const rankOf = (status: Ticket['status']) => TICKET_STATUSES.indexOf(status);
