import type { Ticket } from '../domain/index.ts';
import { isAlertEvent, isSessionEvent, isTicketEvent, type LamppostEvent } from './cloudevent.ts';

/** Who hears of a ticket: who answers for it, who does it or may take it, who was told that it is late, and who just handed it over. */
export function audienceOf({ department, party, offer, escalatedTo, formerDepartments, history }: Ticket): string[] {
  const former = history.at(-1)?.action === 'handed-over' ? formerDepartments.at(-1) : undefined;
  const all = [department, party, offer?.to, ...escalatedTo, former];
  return [...new Set(all)].filter((one) => typeof one === 'string');
}

/** Who hears of an event, on every channel; null: everybody does, as of every alert. What else there is is for those bound to nobody. */
export function hearersOf(event: LamppostEvent): readonly string[] | null {
  if (isAlertEvent(event)) return null;
  if (isSessionEvent(event)) return event.data.department === null ? [] : [event.data.department];
  return isTicketEvent(event) ? audienceOf(event.data) : [];
}
