import type { DatabaseSync } from 'node:sqlite';
import type { Severity, Ticket, TicketStatus } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';

import { OPEN_STATUSES } from './lifecycle.ts';

/** What anybody may see of a ticket: nothing that a person wrote, and nobody's name. Times ISO 8601 UTC. */
export interface PublicTicket
  extends Pick<Ticket, 'id' | 'service' | 'department' | 'district' | 'openedAt' | 'dueAt' | 'acknowledgedAt'> {
  readonly status: TicketStatus;
  readonly severity: Severity;
  readonly origin: Ticket['origin'];
  readonly resolvedAt: string | null;
  /** Rounded; null where it has no place. */
  readonly location: Ticket['location'];
}

/** Which tickets are public, and how exactly their places are. */
export interface PublicQuery {
  readonly services: readonly string[];
  /** Of tickets that are resolved: since when, epoch ms. */
  readonly resolvedSinceMs: number;
  readonly coordinateDecimals: number;
  readonly limit: number;
}

/** Reads what anybody may see of tickets: those that ask for something, and those resolved since a moment; the newest first. */
export function createPublicTickets(db: DatabaseSync): (query: PublicQuery) => PublicTicket[] {
  const list = db.prepare(`
    select id, service, department, district, status, severity, origin, opened_at as openedAt, due_at as dueAt,
      acknowledged_at as acknowledgedAt, resolved_at as resolvedAt, lat, lon
    from tickets
    where relation is not 'report' and +service in (select value from json_each(?1)) and n in (
      select n from tickets where status in (${OPEN_STATUSES.map((status) => `'${status}'`).join(', ')})
      union all select n from tickets where resolved_at >= ?2)
    order by n desc limit ?3`);
  return ({ services, resolvedSinceMs, coordinateDecimals, limit }) => {
    const rounded = (degrees: unknown) => Number(Number(degrees).toFixed(coordinateDecimals));
    return list.all(JSON.stringify(services), isoOf(resolvedSinceMs), limit).map(({ lat, lon, ...ticket }) => ({
      ...(ticket as unknown as Omit<PublicTicket, 'location'>),
      location: lat === null ? null : { lat: rounded(lat), lon: rounded(lon) },
    }));
  };
}
