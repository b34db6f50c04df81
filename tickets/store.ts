import type { DatabaseSync } from 'node:sqlite';
import type { Ticket } from '../domain/index.ts';
import { SELECT_TICKETS, ticketOf } from './row.ts';

/** The writing side of the tickets; the caller holds the transaction. */
export interface TicketStore {
  /** The one open ticket of a (rule, group), or null. */
  findOpen(rule: string, group: string): Ticket | null;
  /** Adds a ticket with its history; a second open one of its (rule, group) fails on the unique index. */
  insert(ticket: Ticket): void;
  /** Stores status, severity and time of a ticket that just changed, and adds the last entry of its history. */
  update(ticket: Ticket): void;
}

/** Makes the writing side over a file that has `TICKET_SCHEMA`. */
export function createTicketStore(db: DatabaseSync): TicketStore {
  // The term is that of the partial index, word for word: only then does SQLite use it.
  const find = db.prepare(`${SELECT_TICKETS} where rule = ? and "group" = ? and status not in ('resolved', 'closed')`);
  const insert = db.prepare(`
    insert into tickets (id, status, rule, "group", title, title_zh, service, department, district, severity, lat, lon,
      opened_at, updated_at, due_at, evidence)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const update = db.prepare('update tickets set status = ?, severity = ?, updated_at = ? where id = ?');
  const change = db.prepare('insert into ticket_changes values (?, ?, ?, ?, ?, ?, ?)');

  function addChanges(ticket: Ticket, first: number): void {
    for (const [i, { at, by, from, to, note }] of ticket.history.slice(first).entries()) {
      change.run(ticket.id, first + i, at, by, from, to, note);
    }
  }

  return {
    findOpen(rule, group) {
      const row = find.get(rule, group);
      return row === undefined ? null : ticketOf(row);
    },
    insert(t) {
      const place = [t.location?.lat ?? null, t.location?.lon ?? null];
      const times = [t.openedAt, t.updatedAt, t.dueAt];
      const names = [
        t.id,
        t.status,
        t.rule,
        t.group,
        t.title,
        t.titleZh,
        t.service,
        t.department,
        t.district,
        t.severity,
      ];
      insert.run(...names, ...place, ...times, JSON.stringify(t.evidence));
      addChanges(t, 0);
    },
    update(ticket) {
      update.run(ticket.status, ticket.severity, ticket.updatedAt, ticket.id);
      addChanges(ticket, ticket.history.length - 1);
    },
  };
}
