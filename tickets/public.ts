import type { DatabaseSync } from 'node:sqlite';
import { isoOf, type ShapeOf, type Ticket, TicketSchema, type TicketStatus } from '../domain/index.ts';
import { OPEN_STATUSES } from './lifecycle.ts';
import { SELECT_TICKETS, ticketOf } from './row.ts';
import type { TicketExtras } from './store.ts';

/** Filters of requests; an absent filter matches all. Times are ISO 8601 UTC, both ends included. */
export interface RequestQuery {
  /** Only of these services. */
  readonly services: readonly string[];
  readonly ids?: readonly string[] | undefined;
  readonly statuses?: readonly TicketStatus[] | undefined;
  readonly openedFrom?: string | undefined;
  readonly openedTo?: string | undefined;
  readonly updatedFrom?: string | undefined;
  readonly updatedTo?: string | undefined;
  readonly limit: number;
  readonly offset: number;
}

/** A ticket as a request for service (Open311), with the fields that only requests have. */
export interface ServiceRequest {
  readonly ticket: Ticket;
  readonly mediaUrl: string | null;
  readonly addressId: string | null;
  readonly attributes: NonNullable<TicketExtras['attributes']>;
}

/** Reads tickets as requests for service: of sensors, citizens and operators, without parts of other departments. */
export interface RequestReader {
  /** Newest first. */
  list(query: RequestQuery): ServiceRequest[];
  get(id: string): ServiceRequest | null;
  /** Returns the ticket of a reporter's token, by its SHA-256; null where there is none. */
  idOf(reporterHash: Uint8Array): string | null;
  /** Returns the services of the tickets that have a photo; empty where no ticket has it. */
  servicesWith(mediaUrl: string): string[];
}

const EXTRAS = 'select id, media_url, address_id, attributes from tickets where id in (select value from json_each(?))';

/** Returns the reader of a file that has `TICKET_SCHEMA`. */
export function createRequestReader(db: DatabaseSync): RequestReader {
  const one = db.prepare(`${SELECT_TICKETS} where id = ? and relation is not 'part'`);
  const extras = db.prepare(EXTRAS);
  const ofReporter = db.prepare('select id from tickets where reporter_hash = ?');
  const services = db.prepare('select distinct service from tickets where media_url = ?');

  function withExtras(tickets: readonly Ticket[]): ServiceRequest[] {
    const rows = extras.all(JSON.stringify(tickets.map(({ id }) => id)));
    const byId = new Map(rows.map((row) => [row.id, row]));
    return tickets.map((ticket) => {
      const { media_url, address_id, attributes } = byId.get(ticket.id)!;
      return {
        ticket,
        mediaUrl: media_url as string | null,
        addressId: address_id as string | null,
        attributes: JSON.parse(String(attributes)) as ServiceRequest['attributes'],
      };
    });
  }

  return {
    list(query) {
      const { sql, params } = conditions(query);
      const found = db.prepare(`${SELECT_TICKETS} where relation is not 'part'${sql} order by n desc limit ? offset ?`);
      return withExtras(found.all(...params, query.limit, query.offset).map(ticketOf));
    },
    get(id) {
      const row = one.get(id);
      return row === undefined ? null : withExtras([ticketOf(row)])[0]!;
    },
    idOf: (hash) => (ofReporter.get(hash)?.id as string | undefined) ?? null,
    servicesWith: (mediaUrl) => services.all(mediaUrl).map(({ service }) => String(service)),
  };
}

/** Returns the given filters as `and …` conditions. Only these can use their index. */
function conditions(query: RequestQuery): { sql: string; params: string[] } {
  const oneOf = (values: readonly string[] | undefined) => values && JSON.stringify(values);
  const wanted = [
    [' and service in (select value from json_each(?))', oneOf(query.services)],
    [' and id in (select value from json_each(?))', oneOf(query.ids)],
    [' and status in (select value from json_each(?))', oneOf(query.statuses)],
    [' and opened_at >= ?', query.openedFrom],
    [' and opened_at <= ?', query.openedTo],
    [' and updated_at >= ?', query.updatedFrom],
    [' and updated_at <= ?', query.updatedTo],
  ] as const;
  const given = wanted.filter((one): one is (typeof wanted)[number] & [string, string] => one[1] !== undefined);
  return { sql: given.map(([sql]) => sql).join(''), params: given.map(([, param]) => param) };
}

/** What anybody may see of a ticket: nothing that a person wrote, and no names. */
export const PublicTicketSchema = TicketSchema.pick({
  id: true,
  service: true,
  department: true,
  district: true,
  status: true,
  severity: true,
  origin: true,
  openedAt: true,
  dueAt: true,
  acknowledgedAt: true,
  resolvedAt: true,
  location: true,
});
export type PublicTicket = ShapeOf<typeof PublicTicketSchema>;

/** Says which tickets are public, and how exact their places are. */
export interface PublicQuery {
  readonly services: readonly string[];
  /** Resolved tickets are public from this resolution on, epoch ms. */
  readonly resolvedSinceMs: number;
  readonly coordinateDecimals: number;
  readonly limit: number;
}

/** Returns the reader of public tickets: those that are open or were resolved since a moment, newest first. Places are rounded. */
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
