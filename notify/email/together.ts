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

/** Reports whether a ticket event follows from an alert event just before it: both are of one transition. */
function follows(event: LamppostEvent | undefined, alert: AlertEvent): boolean {
  if (event === undefined || !isTicketEvent(event)) return false;
  return event.data.id === alert.data.ticket && event.time === alert.time;
}

/** Returns events in their order, each alert with the event of its ticket that follows from it. */
export function mailEventsOf(events: readonly LamppostEvent[]): MailEvent[] {
  const found: MailEvent[] = [];
  for (let i = 0; i < events.length; i++) {
    const event = events[i]!;
    const next = events[i + 1];
    const isOne = isAlertEvent(event) && follows(next, event);
    found.push(isOne ? { event: next!, alert: event } : { event, alert: null });
    if (isOne) i++;
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
  /** Reports whether an event is that of an alert which a later mail, that of its ticket, says too. */
  isSaidLater(numbered: NumberedEvent, filter: ReceiverFilter): boolean;
  /** Returns an event with the alert before it, where the ticket's event follows from that and the filter passes it. */
  withAlert(numbered: NumberedEvent, filter: ReceiverFilter): NumberedEvent[];
}

/** Creates it over the outbox and the state, which may be newer than the event that is looked at. */
export function createTogether({ eventAt, incidentOf, city }: Parts): Together {
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
    isSaidLater({ n, event }, filter) {
      if (!isAlertEvent(event)) return false;
      if (event.data.ticket === null) return isGathered(event, filter);
      const next = eventAt(n + 1)?.event;
      return follows(next, event) ? passes(filter, next!) : isOneOfSeveral(event, filter);
    },
    withAlert(numbered, filter) {
      const before = isTicketEvent(numbered.event) ? eventAt(numbered.n - 1) : undefined;
      const isOne = before !== undefined && isAlertEvent(before.event) && follows(numbered.event, before.event);
      return isOne && passes(filter, before.event) ? [before, numbered] : [numbered];
    },
  };
}
