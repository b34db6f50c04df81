import type { DatabaseSync } from 'node:sqlite';
import type { Page, Severity, Ticket, TicketAlert, TicketChange, TicketStatus } from '../domain/index.ts';
import { atOnce, conditionsOf, type Filter, inTurns, PAGE_BYTES, positionOf, textIn } from '../store/index.ts';
import { alertOf, SELECT_TICKETS, ticketOf } from './row.ts';

/** Filters of a list; an absent filter matches all. `after` is the `next` of the page before. */
export interface TicketQuery {
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
  /** Only those that this department or party may see. */
  readonly seenBy?: string | null;
  readonly limit: number;
  readonly after?: string | null | undefined;
}

/** Reads tickets over any connection to the file. */
export interface TicketReader {
  get(id: string): Ticket | null;
  /**
   * Reports whether a department or party may see a ticket: it is or was responsible, does or may take the work, was
   * notified, or has a part.
   */
  sees(party: string, id: string): boolean;
  /**
   * Returns a page, newest first; it ends early after a megabyte of text. Throws `invalid` on a bad `after`.
   */
  list(query: TicketQuery): Page<Ticket>;
  /** Returns the same, a few milliseconds at a time: other work of the thread runs in between. */
  listInTurns(query: TicketQuery): Promise<Page<Ticket>>;
  /** Returns a page of a ticket's alerts, oldest first. Throws `invalid` on a bad `after`. */
  alerts(id: string, query: { readonly limit: number; readonly after: string | null }): Page<TicketAlert>;
  /** Returns a page of a ticket's history, oldest first. Throws `invalid` on a bad `after`. */
  history(id: string, query: { readonly limit: number; readonly after: string | null }): Page<TicketChange>;
  /** Returns the number of open tickets. */
  openCount(): number;
}

/** The tickets that a department or party (`?1`) may see. */
const SEEN = `(department = ?1 or party = ?1 or offer_to = ?1
  or exists (select 1 from json_each(tickets.escalated_to) where value = ?1)
  or exists (select 1 from json_each(tickets.former_departments) where value = ?1)
  or exists (select 1 from tickets part where part.parent = tickets.id and part.relation = 'part' and part.department = ?1)
  or exists (select 1 from tickets whole where whole.id = tickets.parent and whole.department = ?1))`;

/** Returns the reader of a file that has `TICKET_SCHEMA`. */
export function createTicketReader(db: DatabaseSync): TicketReader {
  const byId = db.prepare(`${SELECT_TICKETS} where id = ?`);
  const open = db.prepare("select count(*) as count from tickets where status not in ('resolved', 'closed')");
  const sees = db.prepare(`select 1 from tickets where ${SEEN} and id = ?2`);
  const alerts = db.prepare(`
    select ordinal, rule, "group", state, severity, since from ticket_alerts
    where ticket = ? and ordinal >= ? order by ordinal limit ?`);
  const changes = db.prepare(`
    select ordinal, at, "by", action, "from", "to", note from ticket_changes
    where ticket = ? and ordinal >= ? order by ordinal limit ?`);
  return {
    get(id) {
      const row = byId.get(id);
      return row === undefined ? null : ticketOf(row);
    },
    sees: (party, id) => sees.get(party, id) !== undefined,
    list: (query) => atOnce(pageOf(db, query)),
    listInTurns: (query) => inTurns(pageOf(db, query)),
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
      const page = rows.slice(0, limit).map(({ ordinal: _, ...change }) => change as unknown as TicketChange);
      return { items: page, next: rows.length > limit ? String(rows[limit]!.ordinal) : null };
    },
    openCount: () => Number(open.get()?.count),
  };
}

/** Tickets that are looked at in one step, and those that are read in one: a few milliseconds. */
const LOOKED_AT = 2_000;
const READ = 50;

/** Returns a page of tickets in steps: first the numbers of those that match, then the tickets. */
function* pageOf(db: DatabaseSync, { limit, after, ...query }: TicketQuery): Generator<void, Page<Ticket>, undefined> {
  const numbers = yield* numbersOf(db, {
    ...query,
    before: positionOf(after, Number.MAX_SAFE_INTEGER),
    most: limit + 1,
  });
  const select = db.prepare(`${SELECT_TICKETS} where n in (select value from json_each(?)) order by n desc`);
  const items: Ticket[] = [];
  let bytes = 0;
  for (let at = 0; at < Math.min(limit, numbers.length); at += READ) {
    const some = numbers.slice(at, Math.min(limit, at + READ));
    for (const row of select.iterate(JSON.stringify(some))) {
      if (bytes >= PAGE_BYTES) return { items, next: String(numbers[items.length - 1]) };
      bytes += textIn(row);
      items.push(ticketOf(row));
    }
    yield;
  }
  return { items, next: numbers.length > limit ? String(numbers[limit - 1]) : null };
}

interface Wanted extends Omit<TicketQuery, 'limit' | 'after'> {
  readonly before: number;
  readonly most: number;
}

/** Returns the numbers of the newest matching tickets before a number; newest first. */
function* numbersOf(
  db: DatabaseSync,
  { before, most, seenBy = null, ...filters }: Wanted,
): Generator<void, number[], undefined> {
  const wanted = conditionsOf(filters);
  const seen = seenBy === null ? '(?1 is null)' : SEEN;
  const select = db.prepare(
    `select n from tickets where ${seen} and n < ? and n >= ?${wanted.sql} order by n desc limit ?`,
  );
  const newest = Number(db.prepare('select coalesce(max(n), 0) as n from tickets').get()?.n);
  const found: number[] = [];
  for (let to = Math.min(before, newest + 1); to > 0 && found.length < most; to -= LOOKED_AT) {
    const rows = select.all(seenBy, to, to - LOOKED_AT, ...wanted.params, most - found.length);
    found.push(...rows.map(({ n }) => Number(n)));
    yield;
  }
  return found;
}
