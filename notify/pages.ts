import { type AlertData, isAlertEvent, isTicketEvent, type LamppostEvent } from '../events/index.ts';

/** `publicUrl` has no slash at the end. */
const ticketPage = (id: string, publicUrl: string) => `${publicUrl}/tickets/${encodeURIComponent(id)}`;

/** Returns where more is to be read about an alert: the page of its ticket, or without one the alert in the API. */
export function alertPage({ rule, group, ticket }: AlertData, publicUrl: string): string {
  if (ticket !== null) return ticketPage(ticket, publicUrl);
  return `${publicUrl}/api/v1/alerts/${encodeURIComponent(rule)}/${encodeURIComponent(group)}`;
}

/** Returns the page of the ticket that an event is about; null where it is about none. */
export function pageOf(event: LamppostEvent, publicUrl: string): string | null {
  if (isTicketEvent(event)) return ticketPage(event.data.id, publicUrl);
  if (!isAlertEvent(event) || event.data.ticket === null) return null;
  return ticketPage(event.data.ticket, publicUrl);
}
