import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import {
  type HistoryAction,
  isoOf,
  LamppostError,
  type ShapeOf,
  type Ticket,
  type TicketChange,
  TicketSchema,
  type TicketStatus,
} from '../domain/index.ts';
import { containing, type PlaceFilter, placeConditions } from '../store/index.ts';
import { IS_OF_PERSON, OPEN_STATUSES } from './lifecycle.ts';
import { SELECT_TICKETS, ticketOf } from './row.ts';

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
  /** Within a distance of a place, and in a box: by coordinates that are rounded as they are published. */
  readonly near?: PlaceFilter['near'] | undefined;
  readonly bbox?: PlaceFilter['bbox'] | undefined;
  /** How many decimals of a coordinate are published; absent: all. */
  readonly decimals?: number | undefined;
  /** A text in what is published of a request's row: its id, its title, and the note of its resolution. */
  readonly q?: string | undefined;
  readonly limit: number;
  readonly offset: number;
}

/** Selects changes of requests. Times are ISO 8601 UTC, both ends included. */
export interface ChangeQuery {
  readonly services: readonly string[];
  readonly actions: readonly HistoryAction[];
  readonly from: string;
  readonly to: string;
  readonly limit: number;
  /** The `next` of the page before; null: from the beginning. */
  readonly after: string | null;
}

/** A change of a request. */
export interface RequestChange extends TicketChange {
  readonly ticket: string;
  /** The version of the ticket that it made: the same number for ever. */
  readonly version: number;
  /** The request that this one repeats; null: none. */
  readonly sameAs: string | null;
}

/** Lets other work of the thread run; it may throw, which ends what called it. */
export type Pause = () => Promise<unknown>;

/** Reads tickets as requests for service: of sensors, citizens and operators, without parts of other departments. */
export interface RequestReader {
  /** Resolves to the ids of the requests that match, newest first. It pauses after each piece of the table. */
  find(query: RequestQuery, pause: Pause): Promise<string[]>;
  /** Returns requests in the order of their ids; those that there are not are left out. */
  read(ids: readonly string[]): Ticket[];
  get(id: string): Ticket | null;
  /** Returns the ticket of a reporter's token, by its SHA-256; null where there is none. */
  idOf(reporterHash: Uint8Array): string | null;
  /** Returns which of these name words about a ticket, and when that closed. */
  namedBy(statements: readonly string[]): { readonly statement: string; readonly closedAt: string | null }[];
  /** Resolves to a page of changes of requests, the oldest first. It pauses after each piece of the table. */
  changes(query: ChangeQuery, pause: Pause): Promise<{ readonly items: RequestChange[]; readonly next: string | null }>;
  /** Returns the services of the tickets of what citizens wrote; empty where there are none. */
  servicesOf(statements: readonly string[]): string[];
}

/** Rows of the table that are looked at before a pause: a millisecond or two. */
const ROWS = 2_000;

/** Returns the reader of a file that has `TICKET_SCHEMA`. */
export function createRequestReader(db: DatabaseSync): RequestReader {
  const one = db.prepare(`${SELECT_TICKETS} where id = ? and relation is not 'part'`);
  const ofReporter = db.prepare('select id from tickets where reporter_hash = ?');
  const services = db.prepare(
    `select service from tickets where statement in (select value from json_each(?1))
    union
    select service from ticket_changes changes join tickets on tickets.id = changes.ticket
    where changes.statement in (select value from json_each(?1))`,
  );

  const named = db.prepare(`
    select statement, closed_at as closedAt from tickets
    where relation is not 'part' and statement in (select value from json_each(?1))
    union all
    select rating_statement, closed_at from tickets where rating_statement in (select value from json_each(?1))
    union all
    select changes.statement, closed_at from ticket_changes changes join tickets on tickets.id = changes.ticket
    where changes.statement in (select value from json_each(?1))`);
  const several = db.prepare(
    `${SELECT_TICKETS} where id in (select value from json_each(?)) and relation is not 'part'`,
  );
  const newest = db.prepare('select coalesce(max(n), 0) as n from tickets');
  const changes = db.prepare(`
    select c.ticket, c.ordinal, c.at, c."by", c.action, c."from", c."to", c.note, service,
      case when relation = 'report' then parent end as sameAs, relation
    from ticket_changes c join tickets on tickets.id = c.ticket
    where (c.at, c.ticket, c.ordinal) > (?, ?, ?) and c.at <= ? order by c.at, c.ticket, c.ordinal limit ?`);

  return {
    async find(query, pause) {
      const { sql, params } = conditions(db, query);
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
      return ids.filter((id) => byId.has(id)).map((id) => ticketOf(byId.get(id)!));
    },
    get(id) {
      const row = one.get(id);
      return row === undefined ? null : ticketOf(row);
    },
    async changes({ services, actions, from, to, limit, after }, pause) {
      const items: RequestChange[] = [];
      for (let place = placeAfter(after, from); ; ) {
        const rows = changes.all(...place, to, ROWS);
        for (const { service, relation, ordinal, ticket, ...change } of rows) {
          place = [String(change.at), String(ticket), Number(ordinal)];
          if (relation === 'part' || !services.includes(String(service))) continue;
          if (!actions.includes(change.action as HistoryAction)) continue;
          items.push({ ...(change as unknown as RequestChange), ticket: String(ticket), version: Number(ordinal) + 1 });
          if (items.length === limit) return { items, next: place.join(' ') };
        }
        if (rows.length < ROWS) return { items, next: null };
        await pause();
      }
    },
    idOf: (hash) => (ofReporter.get(hash)?.id as string | undefined) ?? null,
    namedBy: (statements) =>
      named.all(JSON.stringify(statements)).map((row) => ({ ...row })) as ReturnType<RequestReader['namedBy']>,
    servicesOf: (statements) => services.all(JSON.stringify(statements)).map(({ service }) => String(service)),
  };
}

type ChangePlace = [at: string, ticket: string, ordinal: number];

/** Throws `invalid` where it is not the next of a page. */
function placeAfter(after: string | null, from: string): ChangePlace {
  if (after === null) return [from, '', -1];
  const [at, ticket, ordinal] = after.split(' ');
  if (at === undefined || ticket === undefined || !/^\d{1,9}$/.test(ordinal ?? ''))
    throw new LamppostError('invalid', `after: "${after}" is not the next of a page`);
  return [at < from ? from : at, ticket, Number(ordinal)];
}

/** What is said of a request after it was done does not count as a change of it. */
const CHANGED = 'coalesce(resolved_at, updated_at)';

/**
 * Returns the given filters as `and …` conditions. But for ids, none uses an index: a piece is found by its numbers.
 */
function conditions(db: DatabaseSync, query: RequestQuery): { sql: string; params: SQLInputValue[] } {
  const oneOf = (values: readonly string[] | undefined) => values && JSON.stringify(values);
  const wanted = [
    [' and +service in (select value from json_each(?))', oneOf(query.services)],
    [' and id in (select value from json_each(?))', oneOf(query.ids)],
    [' and +status in (select value from json_each(?))', oneOf(query.statuses)],
    [' and +opened_at >= ?', query.openedFrom],
    [' and +opened_at <= ?', query.openedTo],
    [` and ${CHANGED} >= ?`, query.updatedFrom],
    [` and ${CHANGED} <= ?`, query.updatedTo],
  ] as const;
  const given = wanted.filter((one): one is (typeof wanted)[number] & [string, string] => one[1] !== undefined);
  const { near, bbox, decimals, q } = query;
  const rounded = (column: string) => (decimals === undefined ? `+${column}` : `round(+${column}, ${decimals})`);
  const place = { ...(near === undefined ? {} : { near }), ...(bbox === undefined ? {} : { bbox }) };
  const placed = placeConditions(db, place, { lat: rounded('lat'), lon: rounded('lon') });
  const patterns = q === undefined ? [] : SAID.map(() => containing(q));
  return {
    sql: given.map(([sql]) => sql).join('') + placed.sql + (q === undefined ? '' : ` and (${SAID.join(' or ')})`),
    params: [...given.map(([, param]) => param), ...placed.params, ...patterns],
  };
}

const LIKE = `like ? escape '\\'`;
/** What `q` looks at: what a document shows. A comment of the department's own people, or an asset, is not in it. */
const SAID = [
  `id ${LIKE}`,
  `title ${LIKE}`,
  `title_zh ${LIKE}`,
  `exists (select 1 from ticket_changes where ticket = tickets.id and action = 'resolved' and ${IS_OF_PERSON} and note ${LIKE})`,
];

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
