import type { Publication, Ticket } from '../domain/index.ts';
import { isOpen, OPEN_STATUSES, type TicketReader } from '../tickets/index.ts';
import { isAlertEvent, type LamppostEvent } from './cloudevent.ts';

/**
 * What the broker publishes for an event: the CloudEvent in structured JSON, QoS 1, and for a ticket its retained state,
 * which an empty payload clears once it is done (MQTT 3.1.1 §3.3.1.3).
 */
export function publicationsOf(event: LamppostEvent): Publication[] {
  const payload = JSON.stringify(event);
  if (isAlertEvent(event)) {
    return [{ topic: `events/alerts/${event.data.rule}/${event.data.group}`, payload, qos: 1, retain: false }];
  }
  const topic = `events/tickets/${event.data.department}/${event.data.id}`;
  return [{ topic, payload, qos: 1, retain: false }, retainedOf(event.data)];
}

/**
 * The retained state of every open ticket, newest first: published at the start, before the outbox goes on, since the
 * broker keeps retained messages in memory only.
 */
export function* retainedTickets(reader: Pick<TicketReader, 'list'>): Generator<Publication> {
  let after: string | null = null;
  do {
    const page = reader.list({ status: OPEN_STATUSES, limit: 200, after });
    yield* page.items.map(retainedOf);
    after = page.next;
  } while (after !== null);
}

function retainedOf(ticket: Ticket): Publication {
  const payload = isOpen(ticket.status) ? JSON.stringify(ticket) : '';
  return { topic: `tickets/${ticket.department}/${ticket.id}`, payload, qos: 1, retain: true };
}
