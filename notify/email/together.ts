import type { City } from '../../domain/index.ts';
import { SEVERITIES } from '../../domain/index.ts';
import {
  type AlertEvent,
  isAlertEvent,
  isTicketEvent,
  type LamppostEvent,
  type NumberedEvent,
  ticketEventOf,
} from '../../events/index.ts';
import type { IncidentReader } from '../incidents.ts';
import { passes, type ReceiverFilter } from '../receiver.ts';

/** An event of a mail; `alert`: the one that it follows from, which the mail says with it. */
export interface MailEvent {
  readonly event: LamppostEvent;
  readonly alert: AlertEvent | null;
}

/** How far from the event of its ticket something may be that its mail says too: events of a mail are listed in it. */
const FARTHEST = 200;
/** What a report does by itself comes after the event of the ticket that it repeats; all else comes before it. */
const COMES_AFTER = ['city.lamppost.ticket.opened', 'city.lamppost.ticket.wrote'];

/** Returns the ticket that an event is about, that it reports once more or is folded into; null: it is about none. */
function incidentIn(event: LamppostEvent): string | null {
  if (isAlertEvent(event)) return event.data.ticket;
  if (!isTicketEvent(event)) return null;
  const { id, relation, parent, foldedInto } = event.data;
  if (event.type === 'city.lamppost.ticket.folded' && foldedInto !== null) return foldedInto;
  return relation === 'report' ? parent : id;
}

/** Returns the subject whose thread an event is in: that of its ticket, or of the ticket that it reports once more. */
export function threadOf(event: LamppostEvent): string {
  const ticket = incidentIn(event);
  return ticket === null ? event.subject : `tickets/${ticket}`;
}

/** Reports whether an event is of the same step of a ticket as the one before it: also one of a part of the ticket. */
function isOfStep(event: LamppostEvent | undefined, ticket: string, time: string): event is LamppostEvent {
  if (event?.time !== time) return false;
  return incidentIn(event) === ticket || (isTicketEvent(event) && event.data.parent === ticket);
}

const isOf = (event: LamppostEvent, ticket: string) => isTicketEvent(event) && event.data.id === ticket;

/**
 * Returns, for each event of one step of a ticket, the place of the ticket's event whose mail says it; null where none
 * does. Those are the alert before it, what its reports do with it, and the tickets that are folded into it.
 */
function mainsOf(events: readonly LamppostEvent[], ticket: string): (number | null)[] {
  const own = events.flatMap((event, i) => (isOf(event, ticket) ? [i] : []));
  return events.map((event, i) => {
    if (incidentIn(event) !== ticket) return null;
    if (isOf(event, ticket)) return i;
    const next = own.find((one) => one > i) ?? null;
    if (isAlertEvent(event)) {
      const isLast = next !== null && !events.slice(i + 1, next).some(isAlertEvent);
      return isLast ? near(i, next) : null;
    }
    const before = own.findLast((one) => one < i) ?? null;
    return near(i, COMES_AFTER.includes(event.type) ? (before ?? next) : (next ?? before));
  });
}

function near(i: number, main: number | null): number | null {
  return main !== null && Math.abs(main - i) <= FARTHEST ? main : null;
}

/**
 * Returns events in their order, each of a ticket with the alert that it follows from; what its reports do is in it.
 */
export function mailEventsOf(events: readonly LamppostEvent[]): MailEvent[] {
  const found: MailEvent[] = [];
  for (let i = 0; i < events.length; ) {
    const ticket = incidentIn(events[i]!);
    let to = i + 1;
    if (ticket !== null) while (isOfStep(events[to], ticket, events[i]!.time)) to++;
    const step = events.slice(i, to);
    const mains = ticket === null ? [null] : mainsOf(step, ticket);
    step.forEach((event, place) => {
      if (mains[place] !== null && mains[place] !== place) return;
      const alert = step.findLast((one, other) => isAlertEvent(one) && mains[other] === place && other !== place);
      found.push({ event, alert: (alert as AlertEvent | undefined) ?? null });
    });
    i = to;
  }
  return found;
}

interface Parts {
  /** Returns the event of the outbox with a number; undefined where it has none. */
  readonly eventAt: (n: number) => NumberedEvent | undefined;
  readonly incidentOf: IncidentReader;
  readonly city: () => Pick<City, 'services'>;
}

/** What makes one mail of one incident. */
export interface Together {
  /** Reports whether an event is said by the mail of another: an alert or a report by that of its ticket. */
  isSaidElsewhere(numbered: NumberedEvent, filter: ReceiverFilter): boolean;
  /** Returns, in their order, an event and those that its mail says too, where the filter passes them. */
  ofMail(numbered: NumberedEvent, filter: ReceiverFilter): NumberedEvent[];
}

/** The events of one step of a ticket, in their order without a gap, and where the mail of each is. */
interface Step {
  readonly ticket: string;
  readonly events: readonly NumberedEvent[];
  readonly mains: readonly (number | null)[];
}

/** Creates it over the outbox and the state, which may be newer than the event that is looked at. */
export function createTogether({ eventAt, incidentOf, city }: Parts): Together {
  /** Every report of one step asks for the same one. */
  let last: Step | null = null;

  function stepOf(numbered: NumberedEvent, ticket: string): Step {
    const { n, event } = numbered;
    if (last?.ticket === ticket && last.events.some((one) => one.n === n && one.event.id === event.id)) return last;
    const events = [numbered];
    const take = (by: 1 | -1, add: (one: NumberedEvent) => void) => {
      for (let at = n + by; ; at += by) {
        const next = eventAt(at);
        if (!isOfStep(next?.event, ticket, event.time)) return;
        add(next!);
      }
    };
    take(-1, (one) => events.unshift(one));
    take(1, (one) => events.push(one));
    last = {
      ticket,
      events,
      mains: mainsOf(
        events.map((one) => one.event),
        ticket,
      ),
    };
    return last;
  }

  /** Returns the event whose mail says this one; itself where it has a mail of its own. */
  function mainOf(numbered: NumberedEvent): NumberedEvent {
    const ticket = incidentIn(numbered.event);
    if (ticket === null || isOf(numbered.event, ticket)) return numbered;
    const { events, mains } = stepOf(numbered, ticket);
    const main = mains[numbered.n - events[0]!.n];
    return main === null || main === undefined ? numbered : events[main]!;
  }

  /** An alert that waits for others, or by now has a ticket with them: the mail of that ticket will come. */
  function isGathered({ data }: AlertEvent, filter: ReceiverFilter): boolean {
    if (data.state !== 'firing' || data.ticket !== null) return false;
    const incident = incidentOf(data);
    if (incident === null || (incident.waits !== null && incident.waits !== 'gathering')) return false;
    const by = city().services.get(incident.service)?.gathering?.by ?? [];
    // The ticket has the rule and the district of the first of those gathered, and the highest severity.
    const rises = SEVERITIES.slice(SEVERITIES.indexOf(data.severity));
    return (
      (filter.types?.includes('city.lamppost.ticket.opened') ?? true) &&
      (filter.rules === undefined || by.includes('rule')) &&
      (filter.districts === undefined || by.includes('district')) &&
      rises.every((one) => filter.severities?.includes(one) ?? true)
    );
  }

  /** One of several alerts of a ticket: its own events say that others joined it, and that the last has ended. */
  function isOneOfSeveral({ data }: AlertEvent, filter: ReceiverFilter): boolean {
    const ticket = incidentOf(data)?.ticket ?? null;
    if (ticket === null || ticket.alertCount < 2) return false;
    const type = data.state === 'firing' ? 'city.lamppost.ticket.updated' : 'city.lamppost.ticket.resolved';
    return passes(filter, { ...ticketEventOf(ticket), type });
  }

  return {
    isSaidElsewhere(numbered, filter) {
      const { event } = numbered;
      if (isAlertEvent(event) && event.data.ticket === null) return isGathered(event, filter);
      const main = mainOf(numbered);
      if (main.n !== numbered.n) return passes(filter, main.event);
      return isAlertEvent(event) && isOneOfSeveral(event, filter);
    },
    ofMail(numbered, filter) {
      const ticket = incidentIn(numbered.event);
      if (ticket === null || !isOf(numbered.event, ticket)) return [numbered];
      const { events, mains } = stepOf(numbered, ticket);
      const place = numbered.n - events[0]!.n;
      return events.filter(({ event }, i) => i === place || (mains[i] === place && passes(filter, event)));
    },
  };
}
