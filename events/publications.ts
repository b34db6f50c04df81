import type { Publication, Ticket } from '../domain/index.ts';
import { isOpen, OPEN_STATUSES, type TicketReader } from '../tickets/index.ts';
import { audienceOf } from './audience.ts';
import { isAlertEvent, isSessionEvent, isTicketEvent, type LamppostEvent } from './cloudevent.ts';

/**
 * What the broker publishes for an event: the CloudEvent in structured JSON, QoS 1, and for a ticket its retained state,
 * which an empty payload clears once it is done (MQTT 3.1.1 §3.3.1.3).
 */
export function publicationsOf(event: LamppostEvent): Publication[] {
  const payload = JSON.stringify(event);
  const told = { payload, qos: 1, retain: false } as const;
  // QoS 0, never queued: in a full queue it would drop the next message, and so for ever.
  if (isSessionEvent(event)) return [{ topic: `events/sessions/${event.data.key}`, payload, qos: 0, retain: false }];
  if (isAlertEvent(event)) return [{ topic: `events/alerts/${event.data.rule}/${event.data.group}`, ...told }];
  if (!isTicketEvent(event)) return [{ topic: `events/silences/${event.data.id}`, ...told }];
  const ticket = event.data;
  const topics = audienceOf(ticket).map((party) => `events/tickets/${party}/${ticket.id}`);
  return [...topics.map((topic) => ({ topic, ...told })), ...retainedOf(ticket)];
}

/** The retained state of every open ticket, newest first: what the broker should have once all events are published. */
export function* retainedTickets(reader: Pick<TicketReader, 'list'>): Generator<Publication> {
  let after: string | null = null;
  do {
    const page = reader.list({ status: OPEN_STATUSES, limit: 200, after });
    yield* page.items.flatMap(retainedOf);
    after = page.next;
  } while (after !== null);
}

/** Under the department that answers for it, and nowhere that it was before. */
function retainedOf(ticket: Ticket): Publication[] {
  const { id, department, formerDepartments, status } = ticket;
  const state = isOpen(status) ? JSON.stringify(ticket) : '';
  const at = (where: string, payload: string): Publication => ({
    topic: `tickets/${where}/${id}`,
    payload,
    qos: 1,
    retain: true,
  });
  const left = formerDepartments.filter((one) => one !== department);
  return [...left.map((one) => at(one, '')), at(department, state)];
}
