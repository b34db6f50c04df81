import type { DatabaseSync } from 'node:sqlite';
import type { Due, DueKind } from './deadlines.ts';

/** What comes due, by ticket; the caller holds the transaction. A due thing is done and taken off in one transaction: once. */
export interface DueStore {
  add(ticket: string, due: readonly Due[]): void;
  /** Takes off all of a ticket, those of some kinds, or those about one deadline. */
  remove(ticket: string, what?: { readonly kind?: DueKind; readonly on?: 'acknowledge' | 'resolve' }): void;
  /** Takes the oldest that is due; null where nothing is. At one moment a warning comes first, then that it is overdue, then who else is told. */
  take(nowMs: number): (Due & { readonly ticket: string }) | null;
  has(ticket: string, kind: DueKind): boolean;
  /** When the next one is due; null where there is none. */
  nextMs(): number | null;
}

/** Makes the store over a file that has `TICKET_SCHEMA`. */
export function createDueStore(db: DatabaseSync): DueStore {
  const add = db.prepare(
    'insert or replace into ticket_due (ticket, kind, n, at_ms, "on", "to") values (?, ?, ?, ?, ?, ?)',
  );
  const remove = db.prepare(
    'delete from ticket_due where ticket = ?1 and (?2 is null or kind = ?2) and (?3 is null or "on" = ?3)',
  );
  const oldest = db.prepare(`
    select ticket, kind, n, at_ms as atMs, "on", "to" from ticket_due where at_ms <= ?
    order by at_ms, ticket, kind desc, n limit 1`);
  const one = db.prepare('delete from ticket_due where ticket = ? and kind = ? and n = ?');
  const has = db.prepare('select 1 from ticket_due where ticket = ? and kind = ? limit 1');
  const next = db.prepare('select min(at_ms) as ms from ticket_due');
  return {
    add(ticket, due) {
      for (const { kind, n, atMs, on, to } of due) add.run(ticket, kind, n, atMs, on, to);
    },
    remove: (ticket, { kind, on } = {}) => void remove.run(ticket, kind ?? null, on ?? null),
    take(nowMs) {
      const row = oldest.get(nowMs);
      if (row === undefined) return null;
      const due = { ...row } as unknown as Due & { ticket: string };
      one.run(due.ticket, due.kind, due.n);
      return due;
    },
    has: (ticket, kind) => has.get(ticket, kind) !== undefined,
    nextMs: () => (next.get()?.ms as number | null) ?? null,
  };
}
