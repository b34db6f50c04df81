import type { EventType, Severity } from '../domain/index.ts';
import { conditionsOf, type Filter } from '../store/index.ts';
import { hearersOf } from './audience.ts';
import { isAlertEvent, isSessionEvent, isTicketEvent, type LamppostEvent } from './cloudevent.ts';

/** Which events; absent filters match all. */
export interface EventFilter {
  readonly types?: Filter<EventType>;
  readonly department?: Filter<string>;
  readonly district?: Filter<string>;
  readonly severity?: Filter<Severity>;
  readonly rule?: Filter<string>;
  readonly ticket?: Filter<string>;
  /** The one department that the reader is bound to: it gets what that may hear. Absent: everything. */
  readonly heardBy?: string | undefined;
}

const NOWHERE = { department: null, district: '', severity: '', rule: '', ticket: null };

/** Department, district, severity, rule and ticket of an event: what subscribers filter by. */
export function routingOf(event: LamppostEvent) {
  if (isAlertEvent(event)) {
    const { department, district, severity, rule, ticket } = event.data;
    return { department, district, severity, rule, ticket };
  }
  // Integrators should hear of it.
  if (isSessionEvent(event)) return { ...NOWHERE, department: event.data.department, severity: 'medium' };
  if (!isTicketEvent(event)) return NOWHERE;
  const { department, district, severity, rule, id } = event.data;
  return { department, district, severity, rule: rule ?? '', ticket: id };
}

/** Whether an event passes the filter: what `conditionsFor` says in SQL. */
export function passes(event: LamppostEvent, { types, heardBy, ...filter }: EventFilter): boolean {
  if (heardBy !== undefined && hearersOf(event)?.includes(heardBy) === false) return false;
  const routing = routingOf(event);
  if (!holds(types, event.type)) return false;
  return Object.entries(filter).every(([field, wanted]) => holds(wanted, routing[field as keyof typeof routing]));
}

function holds(wanted: Filter<string>, value: string | null): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === 'string' ? wanted === value : value !== null && wanted.includes(value);
}

/** The filter as `and …` conditions over the outbox' columns, and their parameters. */
export function conditionsFor({ types, heardBy, ...filter }: EventFilter): { sql: string; params: string[] } {
  const { department, district, severity, rule, ticket } = filter;
  const { sql, params } = conditionsOf({ type: types, department, district, severity, rule, ticket });
  if (heardBy === undefined) return { sql, params };
  const heard = ' and (hearers is null or ? in (select value from json_each(hearers)))';
  return { sql: sql + heard, params: [...params, heardBy] };
}
