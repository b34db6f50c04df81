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

/** Lets other work of the thread run; it may throw, which ends what called it. */
export type Pause = () => Promise<unknown>;

/** Reads tickets as requests for service: of sensors, citizens and operators, without parts of other departments. */
export interface RequestReader {
  /** Resolves to the ids of the requests that match, newest first. It pauses after each piece of the table. */
  find(query: RequestQuery, pause: Pause): Promise<string[]>;
  /** Returns requests in the order of their ids; those that there are not are left out. */
  read(ids: readonly string[]): ServiceRequest[];
  get(id: string): ServiceRequest | null;
  /** Returns the ticket of a reporter's token, by its SHA-256; null where there is none. */
  idOf(reporterHash: Uint8Array): string | null;
  /** Returns the services of the tickets that have a photo; empty where no ticket has it. */
  servicesWith(mediaUrl: string): string[];
}

/** Rows of the table that are looked at before a pause: a millisecond or two. */
const ROWS = 2_000;

const EXTRAS = 'select id, media_url, address_id, attributes from tickets where id in (select value from json_each(?))';

/** Returns the reader of a file that has `TICKET_SCHEMA`. */
export function createRequestReader(db: DatabaseSync): RequestReader {
  const one = db.prepare(`${SELECT_TICKETS} where id = ? and relation is not 'part'`);
  const extras = db.prepare(EXTRAS);
  const ofReporter = db.prepare('select id from tickets where reporter_hash = ?');
  const services = db.prepare('select distinct service from tickets where media_url = ?');

  const several = db.prepare(
    `${SELECT_TICKETS} where id in (select value from json_each(?)) and relation is not 'part'`,
  );
  const newest = db.prepare('select coalesce(max(n), 0) as n from tickets');

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
    async find(query, pause) {
      const { sql, params } = conditions(query);
      const piece = db.prepare(`
        select id from tickets where n <= ? and n > ? and relation is not 'part'${sql} order by n desc`);
      const found: string[] = [];
      let skip = query.offset;
      for (let last = Number(newest.get()!.n); last > 0 && found.length < query.limit; last -= ROWS) {
        const ids = piece.all(last, last - ROWS, ...params).map(({ id }) => String(id));
        found.push(...ids.slice(skip, skip + query.limit - found.length));
        skip = Math.max(0, skip - ids.length);
        await pause();
      }
      return found;
    },
    read(ids) {
      const byId = new Map(several.all(JSON.stringify(ids)).map((row) => [String(row.id), row]));
      return withExtras(ids.filter((id) => byId.has(id)).map((id) => ticketOf(byId.get(id)!)));
    },
    get(id) {
      const row = one.get(id);
      return row === undefined ? null : withExtras([ticketOf(row)])[0]!;
    },
    idOf: (hash) => (ofReporter.get(hash)?.id as string | undefined) ?? null,
    servicesWith: (mediaUrl) => services.all(mediaUrl).map(({ service }) => String(service)),
  };
}

/** Returns the given filters as `and …` conditions. But for ids, none uses an index: a piece is found by its numbers. */
function conditions(query: RequestQuery): { sql: string; params: string[] } {
  const oneOf = (values: readonly string[] | undefined) => values && JSON.stringify(values);
  const wanted = [
    [' and +service in (select value from json_each(?))', oneOf(query.services)],
    [' and id in (select value from json_each(?))', oneOf(query.ids)],
    [' and +status in (select value from json_each(?))', oneOf(query.statuses)],
    [' and +opened_at >= ?', query.openedFrom],
    [' and +opened_at <= ?', query.openedTo],
    [' and +updated_at >= ?', query.updatedFrom],
    [' and +updated_at <= ?', query.updatedTo],
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
  /** Tickets before this number; null: from the newest on. */
  readonly before: number | null;
  readonly limit: number;
}

/** Some public tickets, and the number that the next ones are before; null where there are no more. */
export interface PublicPage {
  readonly tickets: readonly PublicTicket[];
  readonly next: number | null;
}

/**
 * Returns the reader of public tickets: those that are open or were resolved since a moment, newest first. Places are
 * rounded.
 */
export function createPublicTickets(db: DatabaseSync): (query: PublicQuery) => PublicPage {
  const list = db.prepare(`
    select n, id, service, department, district, status, severity, origin, opened_at as openedAt, due_at as dueAt,
      acknowledged_at as acknowledgedAt, resolved_at as resolvedAt, lat, lon
    from tickets
    where relation is not 'report' and +service in (select value from json_each(?1)) and n in (
      select n from tickets where status in (${OPEN_STATUSES.map((status) => `'${status}'`).join(', ')})
      union all select n from tickets where resolved_at >= ?2)
      and n < ?3
    order by n desc limit ?4`);
  return ({ services, resolvedSinceMs, coordinateDecimals, before, limit }) => {
    const rounded = (degrees: unknown) => Number(Number(degrees).toFixed(coordinateDecimals));
    const rows = list.all(JSON.stringify(services), isoOf(resolvedSinceMs), before ?? Number.MAX_SAFE_INTEGER, limit);
    const tickets = rows.map(({ n, lat, lon, ...ticket }) => ({
      ...(ticket as unknown as Omit<PublicTicket, 'location'>),
      location: lat === null ? null : { lat: rounded(lat), lon: rounded(lon) },
    }));
    return { tickets, next: rows.length < limit ? null : Number(rows.at(-1)!.n) };
  };
}
