import type { DatabaseSync } from 'node:sqlite';
import type { Page, Severity, Ticket, TicketStatus } from '../domain/index.ts';
import { SELECT_TICKETS, ticketOf } from './row.ts';
import { conditionsOf, type Filter, positionOf } from './select.ts';

/** Which tickets; absent filters match all. `after` is the `next` of the page before. */
export interface TicketQuery {
  readonly status?: Filter<TicketStatus>;
  readonly department?: Filter<string>;
  readonly district?: Filter<string>;
  readonly severity?: Filter<Severity>;
  readonly rule?: Filter<string>;
  readonly group?: Filter<string>;
  readonly limit: number;
  readonly after?: string | null | undefined;
}

/** The reading side of the tickets, for any connection to the file. */
export interface TicketReader {
  get(id: string): Ticket | null;
  /** The newest opened first. A bad `after` throws `invalid`. */
  list(query: TicketQuery): Page<Ticket>;
  /** How many tickets are neither resolved nor closed. */
  openCount(): number;
}

/** Makes the reading side over a file that has `TICKET_SCHEMA`. */
export function createTicketReader(db: DatabaseSync): TicketReader {
  const byId = db.prepare(`${SELECT_TICKETS} where id = ?`);
  const open = db.prepare("select count(*) as count from tickets where status not in ('resolved', 'closed')");
  return {
    get(id) {
      const row = byId.get(id);
      return row === undefined ? null : ticketOf(row);
    },
    list({ limit, after, status, department, district, severity, rule, group }) {
      const wanted = conditionsOf({ status, department, district, severity, rule, group });
      const sql = `${SELECT_TICKETS} where n < ?${wanted.sql} order by n desc limit ?`;
      const before = positionOf(after, Number.MAX_SAFE_INTEGER);
      const rows = db.prepare(sql).all(before, ...wanted.params, limit + 1);
      const page = rows.slice(0, limit);
      return { items: page.map(ticketOf), next: rows.length > limit ? String(page.at(-1)?.n) : null };
    },
    openCount: () => Number(open.get()?.count),
  };
}
