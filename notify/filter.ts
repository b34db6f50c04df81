import { isAlertEvent, isSessionEvent, isTicketEvent, type LamppostEvent } from '../events/index.ts';
import type { ReceiverFilter } from './receiver.ts';

/** Whether a receiver's filter lets an event through. What an event does not have, such as a department, passes no list of it. */
export function passes(filter: ReceiverFilter, event: LamppostEvent): boolean {
  const { department, district, severity, rule, party } = routingOf(event);
  return (
    has(filter.types, event.type) &&
    has(filter.departments, department) &&
    has(filter.districts, district) &&
    has(filter.severities, severity) &&
    has(filter.rules, rule) &&
    has(filter.parties, party)
  );
}

interface Routing {
  readonly department: string | null;
  readonly district: string | null;
  readonly severity: string | null;
  readonly rule: string | null;
  /** Who does the work, where that is not the department itself. */
  readonly party: string | null;
}

/** What filters go by. */
function routingOf(event: LamppostEvent): Routing {
  if (isAlertEvent(event)) return { ...event.data, party: null };
  if (isTicketEvent(event)) return event.data;
  const department = isSessionEvent(event) ? event.data.department : null;
  return { department, district: null, severity: null, rule: null, party: null };
}

function has(wanted: readonly string[] | undefined, value: string | null): boolean {
  return wanted === undefined || (value !== null && wanted.includes(value));
}
