import type { DatabaseSync } from 'node:sqlite';
import type { Ticket, TicketStatus } from '../domain/index.ts';
import { SELECT_TICKETS, ticketOf } from './row.ts';
import type { TicketExtras } from './store.ts';

/** Which requests; absent filters match all. Times ISO 8601 UTC, both ends included. */
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

/** A ticket as a request for service, with what belongs to it as such. */
export interface ServiceRequest {
  readonly ticket: Ticket;
  readonly mediaUrl: string | null;
  readonly addressId: string | null;
  readonly attributes: NonNullable<TicketExtras['attributes']>;
}

/** Tickets as requests for service: of sensors, citizens and operators, but not other departments' parts of them. */
export interface RequestReader {
  /** The newest first. */
  list(query: RequestQuery): ServiceRequest[];
  get(id: string): ServiceRequest | null;
  /** The ticket that belongs to the SHA-256 of a reporter's token. */
  idOf(reporterHash: Uint8Array): string | null;
  /** Of which service the tickets are that have a photo; none: nobody's photo. */
  servicesWith(mediaUrl: string): string[];
}

const EXTRAS = 'select id, media_url, address_id, attributes from tickets where id in (select value from json_each(?))';

/** Makes the reader over a file that has `TICKET_SCHEMA`. */
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

/** The `and …` conditions of the filters that are given; only they can use their index. */
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
