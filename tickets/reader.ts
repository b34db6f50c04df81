import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import {
  type Page,
  SEVERITIES,
  type Severity,
  type ShapeOf,
  TICKET_STATUSES,
  type Ticket,
  type TicketAlert,
  type TicketChange,
  type TicketStatus,
} from '../domain/index.ts';
import {
  atOnce,
  conditionsOf,
  containing,
  createRanking,
  type Filter,
  inTurns,
  nextOf,
  type Order,
  PAGE_BYTES,
  type PlaceFilter,
  placeConditions,
  positionOf,
  type Ranked,
  textIn,
} from '../store/index.ts';
import { alertOf, SELECT_TICKETS, ticketOf } from './row.ts';

/** What a list can be ordered by: with `-` the largest first. */
export const TICKET_ORDERS = [
  'opened',
  '-opened',
  'updated',
  '-updated',
  'due',
  '-due',
  'severity',
  '-severity',
  'status',
  '-status',
] as const;
type TicketOrder = (typeof TICKET_ORDERS)[number];

const rankOf = (column: string, names: readonly string[]) =>
  `case ${column} ${names.map((name, rank) => `when '${name}' then ${rank}`).join(' ')} else -1 end`;

/** A key for each order, without its sign. */
const KEYS: Readonly<Record<string, string>> = {
  opened: 'tickets.n',
  updated: 'tickets.updated_at',
  due: 'tickets.due_at',
  severity: rankOf('tickets.severity', SEVERITIES),
  status: rankOf('tickets.status', TICKET_STATUSES),
};

/** Filters of a list; an absent filter matches all. `after` is the `next` of the page before. */
export interface TicketQuery extends PlaceFilter {
  /** A text in its id, titles, group, asset or notes, or the id of a report of the same. */
  readonly q?: string;
  readonly status?: Filter<TicketStatus>;
  readonly origin?: Filter<Ticket['origin']>;
  readonly service?: Filter<string>;
  readonly department?: Filter<string>;
  readonly party?: Filter<string>;
  readonly district?: Filter<string>;
  readonly severity?: Filter<Severity>;
  readonly rule?: Filter<string>;
  readonly group?: Filter<string>;
  readonly parent?: Filter<string>;
  readonly asset?: Filter<string>;
  /** Only those that this department or party may see. */
  readonly seenBy?: readonly string[] | null;
  /** Absent: the newest first. */
  readonly sort?: TicketOrder;
  readonly limit: number;
  readonly after?: string | null | undefined;
}

/** A whole number for each of the names. */
const countedBy = <const T extends readonly string[]>(names: T) =>
  Object.fromEntries(names.map((name) => [name, z.int()])) as Readonly<Record<T[number], z.ZodInt>>;

/** How many tickets there are. */
export const TicketCountsSchema = z
  .object({
    byStatus: z.object(countedBy(TICKET_STATUSES)),
    overdue: z.int().describe('Of those that are open: past the time at which they should be resolved'),
  })
  .meta({ id: 'TicketCounts', description: 'How many tickets match the filters' });
export type TicketCounts = ShapeOf<typeof TicketCountsSchema>;

/** Reads tickets over any connection to the file. */
export interface TicketReader {
  get(id: string): Ticket | null;
  /**
   * Reports whether one of some departments or parties may see a ticket: it is or was responsible, does or may take the
   * work, was notified, or has a part.
   */
  sees(parties: readonly string[], id: string): boolean;
  /**
   * Returns a page, newest first; it ends early after a megabyte of text. Throws `invalid` on a bad `after`.
   */
  list(query: TicketQuery): Page<Ticket>;
  /** Returns the same, a few milliseconds at a time: other work of the thread runs in between. */
  listInTurns(query: TicketQuery): Promise<Page<Ticket>>;
  /** Counts the tickets that a list without a limit would have, in turns as well. `now`: ISO 8601, for `overdue`. */
  countsInTurns(query: Omit<TicketQuery, 'limit' | 'after' | 'sort'>, now: string): Promise<TicketCounts>;
  /** Returns a page of a ticket's alerts, oldest first. Throws `invalid` on a bad `after`. */
  alerts(id: string, query: { readonly limit: number; readonly after: string | null }): Page<TicketAlert>;
  /** Returns a page of a ticket's history, oldest first. Throws `invalid` on a bad `after`. */
  history(id: string, query: { readonly limit: number; readonly after: string | null }): Page<TicketChange>;
  /** Returns how many alerts of a ticket fire, also where it has ended. */
  firing(id: string): number;
  /** Returns the number of open tickets. */
  openCount(): number;
}

/** The tickets that one of some departments or parties (`?1`, a JSON list) may see. */
const OWN = '(select value from json_each(?1))';
const SEEN = `(department in ${OWN} or party in ${OWN} or offer_to in ${OWN}
  or exists (select 1 from json_each(tickets.escalated_to) where value in ${OWN})
  or exists (select 1 from json_each(tickets.former_departments) where value in ${OWN})
  or exists (select 1 from tickets part where part.parent = tickets.id and part.relation = 'part'
    and part.department in ${OWN})
  or exists (select 1 from tickets whole where whole.id = tickets.parent and whole.department in ${OWN}))`;

/** Returns the reader of a file that has `TICKET_SCHEMA`. */
export function createTicketReader(db: DatabaseSync): TicketReader {
  const byId = db.prepare(`${SELECT_TICKETS} where id = ?`);
  const open = db.prepare("select count(*) as count from tickets where status not in ('resolved', 'closed')");
  const sees = db.prepare(`select 1 from tickets where ${SEEN} and id = ?2`);
  const firing = db.prepare("select count(*) as n from ticket_alerts where ticket = ? and state = 'firing'");
  const alerts = db.prepare(`
    select ordinal, rule, "group", state, severity, since from ticket_alerts
    where ticket = ? and ordinal >= ? order by ordinal limit ?`);
  const changes = db.prepare(`
    select ordinal, at, "by", action, "from", "to", note, statement from ticket_changes
    where ticket = ? and ordinal >= ? order by ordinal limit ?`);
  return {
    get(id) {
      const row = byId.get(id);
      return row === undefined ? null : ticketOf(row);
    },
    sees: (parties, id) => sees.get(JSON.stringify(parties), id) !== undefined,
    list: (query) => atOnce(pageOf(db, query)),
    listInTurns: (query) => inTurns(pageOf(db, query)),
    countsInTurns: (query, now) => inTurns(countsOf(db, query, now)),
    alerts(id, { limit, after }) {
      const rows = alerts.all(id, positionOf(after, 0), limit + 1);
      const page = rows
        .slice(0, limit)
        .map(({ rule, group, state, severity, since }) =>
          alertOf([String(rule), String(group), state, severity, String(since)] as Parameters<typeof alertOf>[0]),
        );
      return { items: page, next: rows.length > limit ? String(rows[limit]!.ordinal) : null };
    },
    history(id, { limit, after }) {
      const rows = changes.all(id, positionOf(after, 0), limit + 1);
      const page = rows
        .slice(0, limit)
        .map(
          ({ ordinal: _, statement, ...change }) =>
            ({ ...change, ...(statement === null ? {} : { statement }) }) as unknown as TicketChange,
        );
      return { items: page, next: rows.length > limit ? String(rows[limit]!.ordinal) : null };
    },
    firing: (id) => Number(firing.get(id)?.n),
    openCount: () => Number(open.get()?.count),
  };
}

/** Tickets that are looked at in one step, and those that are read in one: a few milliseconds. */
const LOOKED_AT = 2_000;
const READ = 50;

/** Counts tickets in steps. */
function* countsOf(
  db: DatabaseSync,
  { seenBy = null, ...filters }: Omit<TicketQuery, 'limit' | 'after' | 'sort'>,
  now: string,
): Generator<void, TicketCounts, undefined> {
  const wanted = wantedOf(db, filters);
  const select = db.prepare(`
    select status, count(*) as tickets, sum(status not in ('resolved', 'closed') and due_at < ?2) as late
    from tickets where ${seenBy === null ? '(?1 is null)' : SEEN} and n < ?3 and n >= ?4${wanted.sql} group by status`);
  const byStatus = Object.fromEntries(TICKET_STATUSES.map((status) => [status, 0])) as Record<TicketStatus, number>;
  let overdue = 0;
  for (let to = newestIn(db) + 1; to > 0; to -= LOOKED_AT) {
    for (const row of select.all(seenBy && JSON.stringify(seenBy), now, to, to - LOOKED_AT, ...wanted.params)) {
      byStatus[row.status as TicketStatus] += Number(row.tickets);
      overdue += Number(row.late);
    }
    yield;
  }
  return { byStatus, overdue };
}

/** Returns a page of tickets in steps: first the numbers of those that match, then the tickets. */
function* pageOf(
  db: DatabaseSync,
  { limit, after, sort = '-opened', ...query }: TicketQuery,
): Generator<void, Page<Ticket>, undefined> {
  const places =
    sort === '-opened'
      ? yield* newestOf(db, { ...query, before: positionOf(after, Number.MAX_SAFE_INTEGER), most: limit + 1 })
      : yield* rankedOf(db, query, { sort, after, most: limit + 1 });
  const select = db.prepare(`${SELECT_TICKETS} where n in (select value from json_each(?))`);
  const items: Ticket[] = [];
  let bytes = 0;
  for (let at = 0; at < Math.min(limit, places.length); at += READ) {
    const numbers = places.slice(at, Math.min(limit, at + READ)).map(({ n }) => n);
    const rows = new Map(select.all(JSON.stringify(numbers)).map((row) => [Number(row.n), row] as const));
    for (const row of numbers.map((n) => rows.get(n)).filter((one) => one !== undefined)) {
      if (bytes >= PAGE_BYTES) return { items, next: places[items.length - 1]!.next };
      bytes += textIn(row);
      items.push(ticketOf(row));
    }
    yield;
  }
  return { items, next: places.length > limit ? places[limit - 1]!.next : null };
}

/** A ticket in a list, and the `next` of a page that ends with it. */
interface Place {
  readonly n: number;
  readonly next: string;
}

interface Wanted extends Omit<TicketQuery, 'limit' | 'after' | 'sort'> {
  readonly before: number;
  readonly most: number;
}

/** What `q` looks at. What citizens wrote is in another file. */
const TEXTS = ['id', 'title', 'title_zh', '"group"', 'asset'];

/**
 * Returns the filters as `and …` conditions: of a few thousand rows at once, so that none needs an index of its own.
 */
function wantedOf(
  db: DatabaseSync,
  { bbox, near, q, ...filters }: Omit<TicketQuery, 'limit' | 'after' | 'sort' | 'seenBy'>,
) {
  const named = conditionsOf(filters);
  const place = { ...(bbox === undefined ? {} : { bbox }), ...(near === undefined ? {} : { near }) };
  const placed = placeConditions(db, place, { lat: 'tickets.lat', lon: 'tickets.lon' });
  const like = `like ? escape '\\'`;
  const texts = TEXTS.map((column) => `tickets.${column} ${like}`).join(' or ');
  const said = `exists (select 1 from ticket_changes where ticket = tickets.id and note ${like})`;
  const reported = `exists (select 1 from tickets report where report.parent = tickets.id and report.id ${like})`;
  const found = q === undefined ? '' : ` and (${texts} or ${said} or ${reported})`;
  const patterns = q === undefined ? [] : Array.from({ length: TEXTS.length + 2 }, () => containing(q));
  return { sql: named.sql + placed.sql + found, params: [...named.params, ...placed.params, ...patterns] };
}

/** Returns the newest matching tickets before a number; newest first. */
function* newestOf(
  db: DatabaseSync,
  { before, most, seenBy = null, ...filters }: Wanted,
): Generator<void, Place[], undefined> {
  const wanted = wantedOf(db, filters);
  const seen = seenBy === null ? '(?1 is null)' : SEEN;
  const select = db.prepare(
    `select n from tickets where ${seen} and n < ? and n >= ?${wanted.sql} order by n desc limit ?`,
  );
  const found: Place[] = [];
  for (let to = Math.min(before, newestIn(db) + 1); to > 0 && found.length < most; to -= LOOKED_AT) {
    const rows = select.all(
      seenBy && JSON.stringify(seenBy),
      to,
      to - LOOKED_AT,
      ...wanted.params,
      most - found.length,
    );
    found.push(...rows.map(({ n }) => ({ n: Number(n), next: String(n) })));
    yield;
  }
  return found;
}

const newestIn = (db: DatabaseSync) => Number(db.prepare('select coalesce(max(n), 0) as n from tickets').get()?.n);

interface Ranking {
  readonly sort: TicketOrder;
  readonly after: string | null | undefined;
  readonly most: number;
}

/** Returns the first matching tickets of an order: it looks at all of them, and keeps only as many as a page has. */
function* rankedOf(
  db: DatabaseSync,
  { seenBy = null, ...filters }: Omit<TicketQuery, 'limit' | 'after' | 'sort'>,
  { sort, ...page }: Ranking,
): Generator<void, Place[], undefined> {
  const order: Order = { key: KEYS[sort.replace('-', '')]!, descending: sort.startsWith('-') };
  const ranking = createRanking(order, { tie: 'tickets.n', ...page });
  const wanted = wantedOf(db, filters);
  const seen = seenBy === null ? '(?1 is null)' : SEEN;
  const select = db.prepare(
    `select ${ranking.columns} from tickets where ${seen} and n < ? and n >= ?${wanted.sql}${ranking.beyond}${ranking.orderBy}`,
  );
  const parties = seenBy && JSON.stringify(seenBy);
  for (let to = newestIn(db) + 1; to > 0; to -= LOOKED_AT) {
    const rows = select.all(parties, to, to - LOOKED_AT, ...wanted.params, ...ranking.params);
    ranking.add(rows as unknown as Ranked[]);
    yield;
  }
  return ranking.rows().map((row) => ({ n: Number(row.tie), next: nextOf(row) }));
}
