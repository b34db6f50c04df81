import type { EventType, Severity, Ticket } from '../domain/index.ts';
import { conditionsOf, type Filter } from '../store/index.ts';
import {
  isAlertEvent,
  isClockEvent,
  isCommandEvent,
  isDesiredEvent,
  isLoginEvent,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
} from './cloudevent.ts';

/** Selects events; an absent filter matches all. */
export interface EventFilter {
  readonly types?: Filter<EventType>;
  readonly department?: Filter<string>;
  readonly district?: Filter<string>;
  readonly severity?: Filter<Severity>;
  readonly rule?: Filter<string>;
  readonly ticket?: Filter<string>;
  /** The departments that the reader is bound to: only events that one of them may see. Absent: all events. */
  readonly visibleTo?: readonly string[] | undefined;
  /** Whether such a reader sees alerts of its own departments only. */
  readonly ownAlerts?: boolean | undefined;
}

const NOWHERE = { department: null, district: '', severity: '', rule: '', ticket: null };

/** Returns department, district, severity, rule and ticket of an event: the fields that filters compare. */
export function routingOf(event: LamppostEvent) {
  if (isAlertEvent(event)) {
    const { department, district, severity, rule, ticket } = event.data;
    return { department, district, severity, rule, ticket };
  }
  // A severity, so that subscribers who filter by severity get it.
  if (isSessionEvent(event)) return { ...NOWHERE, department: event.data.department, severity: 'medium' };
  if (isLoginEvent(event) || isClockEvent(event)) return { ...NOWHERE, severity: 'medium' };
  if (isCommandEvent(event) || isDesiredEvent(event)) {
    return { ...NOWHERE, department: event.data.departments[0] ?? null };
  }
  if (!isTicketEvent(event)) return NOWHERE;
  const { department, district, severity, rule, id } = event.data;
  return { department, district, severity, rule: rule ?? '', ticket: id };
}

function isVisible(event: LamppostEvent, departments: readonly string[], ownAlerts = false): boolean {
  const audience = audienceOf(event);
  if (audience !== null) return audience.some((one) => departments.includes(one));
  const { department } = routingOf(event);
  return !ownAlerts || (department !== null && departments.includes(department));
}

/** Reports whether an event passes the filter. Selects the same events as the SQL of `conditionsFor`. */
export function passes(event: LamppostEvent, { types, visibleTo, ownAlerts, ...filter }: EventFilter): boolean {
  if (visibleTo !== undefined && !isVisible(event, visibleTo, ownAlerts)) return false;
  const routing = routingOf(event);
  if (!holds(types, event.type)) return false;
  return Object.entries(filter).every(([field, wanted]) => holds(wanted, routing[field as keyof typeof routing]));
}

function holds(wanted: Filter<string>, value: string | null): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === 'string' ? wanted === value : value !== null && wanted.includes(value);
}

/** Returns the filter as `and …` conditions over the columns of the outbox, with their parameters. */
export function conditionsFor({ types, visibleTo, ownAlerts, ...filter }: EventFilter): {
  sql: string;
  params: string[];
} {
  const { department, district, severity, rule, ticket } = filter;
  const { sql, params } = conditionsOf({ type: types, department, district, severity, rule, ticket });
  if (visibleTo === undefined) return { sql, params };
  const own = JSON.stringify(visibleTo);
  const ofOwn = '(select value from json_each(?))';
  const alerts = ownAlerts ? ` and department in ${ofOwn}` : '';
  const gets = `exists (select 1 from json_each(audience) where value in ${ofOwn})`;
  const sqlOfOwn = `${sql} and ((audience is null${alerts}) or ${gets})`;
  return { sql: sqlOfOwn, params: [...params, ...(ownAlerts ? [own] : []), own] };
}

/**
 * Returns the departments and parties that get the events of a ticket: the department that is responsible, the party
 * that does the work or may take it, the departments it was escalated to, and the one that has just handed it over.
 */
export function ticketAudienceOf({
  department,
  party,
  offer,
  escalatedTo,
  formerDepartments,
  history,
}: Ticket): string[] {
  const former = history.at(-1)?.action === 'handed-over' ? formerDepartments.at(-1) : undefined;
  const all = [department, party, offer?.to, ...escalatedTo, former];
  return [...new Set(all)].filter((one) => typeof one === 'string');
}

/**
 * Returns the departments and parties that may see an event, on every channel; null: all of them, as for every alert.
 * Readers that are bound to no department see every event.
 */
export function audienceOf(event: LamppostEvent): readonly string[] | null {
  if (isAlertEvent(event)) return null;
  if (isSessionEvent(event)) return event.data.department === null ? [] : [event.data.department];
  if (isCommandEvent(event) || isDesiredEvent(event)) return event.data.departments;
  return isTicketEvent(event) ? ticketAudienceOf(event.data) : [];
}
