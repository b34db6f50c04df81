import type { DatabaseSync } from 'node:sqlite';
import type { Page, Severity, Ticket, TicketAlert, TicketStatus } from '../domain/index.ts';
import { conditionsOf, type Filter, positionOf } from '../store/index.ts';
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
  /** Reports whether a department or party may see a ticket: it is or was responsible, does or may take the work, was notified, or has a part. */
  sees(party: string, id: string): boolean;
  /** Returns a page, newest first. Throws `invalid` on a bad `after`. */
  list(query: TicketQuery): Page<Ticket>;
  /** Returns a page of a ticket's alerts, oldest first. Throws `invalid` on a bad `after`. */
  alerts(id: string, query: { readonly limit: number; readonly after: string | null }): Page<TicketAlert>;
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
  return {
    get(id) {
      const row = byId.get(id);
      return row === undefined ? null : ticketOf(row);
    },
    sees: (party, id) => sees.get(party, id) !== undefined,
    list({ limit, after, seenBy = null, ...filters }) {
      const wanted = conditionsOf(filters);
      const seen = seenBy === null ? '(?1 is null)' : SEEN;
      const sql = `${SELECT_TICKETS} where ${seen} and n < ?${wanted.sql} order by n desc limit ?`;
      const before = positionOf(after, Number.MAX_SAFE_INTEGER);
      const rows = db.prepare(sql).all(seenBy, before, ...wanted.params, limit + 1);
      const page = rows.slice(0, limit);
      return { items: page.map(ticketOf), next: rows.length > limit ? String(page.at(-1)?.n) : null };
    },
    alerts(id, { limit, after }) {
      const rows = alerts.all(id, positionOf(after, 0), limit + 1);
      const page = rows
        .slice(0, limit)
        .map(({ rule, group, state, severity, since }) =>
          alertOf([String(rule), String(group), state, severity, String(since)] as Parameters<typeof alertOf>[0]),
        );
      return { items: page, next: rows.length > limit ? String(rows[limit]!.ordinal) : null };
    },
    openCount: () => Number(open.get()?.count),
  };
}
