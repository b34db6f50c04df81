import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { createEventStore } from './events.ts';
import type { ToldEvent } from './receiver.ts';

/** Events that wait for their digest or for the end of quiet hours; the caller holds the transaction. */
export interface HeldStore {
  hold(receiver: string, event: ToldEvent, dueMs: number): void;
  /** When the last of those that wait for a receiver is due, epoch ms; null where none waits. */
  dueOf(receiver: string): number | null;
  /** Takes those of one subject, in order: they wait no longer. */
  takeSubject(receiver: string, subject: string): ToldEvent[];
  /** Takes the oldest that are due, at most so many. */
  takeDue(receiver: string, nowMs: number, limit: number): ToldEvent[];
  /** Receivers that are enabled and for which something is due. */
  receiversDue(nowMs: number): string[];
  /** When the next is due for any receiver that is enabled, epoch ms; null where none waits. */
  nextDue(): number | null;
  /** All that waits for a receiver is due then. */
  move(receiver: string, dueMs: number): void;
  /** Gives up all that waits for a receiver. */
  clear(receiver: string): void;
  count(receiver: string): number;
}

/** Makes the store over a file that `openDeliveries` opened. */
export function createHeldStore(db: DatabaseSync): HeldStore {
  const events = createEventStore(db);
  const columns = 'e.id, e.n, e.type, e.subject, e.body from held h join events e on e.id = h.event';
  const hold = db.prepare('insert or replace into held values (?, ?, ?, ?)');
  const dueOf = db.prepare('select max(due_at) as at from held where receiver = ?');
  const subject = db.prepare(`select ${columns} where h.receiver = ? and e.subject = ? order by h.n`);
  const due = db.prepare(`select ${columns} where h.receiver = ? and h.due_at <= ? order by h.n limit ?`);
  const take = db.prepare('delete from held where receiver = ? and n = ?');
  const receivers = db.prepare(`
    select distinct receiver from held join receivers on id = receiver where due_at <= ? and disabled is null order by receiver`);
  const next = db.prepare('select min(due_at) as at from held join receivers on id = receiver where disabled is null');
  const move = db.prepare('update held set due_at = ? where receiver = ?');
  const clear = db.prepare('delete from held where receiver = ?');
  const count = db.prepare('select count(*) as count from held where receiver = ?');

  function taken(receiver: string, rows: readonly Record<string, SQLOutputValue>[]): ToldEvent[] {
    for (const { n } of rows) take.run(receiver, n!);
    return rows as unknown as ToldEvent[];
  }

  return {
    hold(receiver, event, dueMs) {
      events.keep(event);
      hold.run(receiver, event.n, event.id, dueMs);
    },
    dueOf: (receiver) => timeOf(dueOf.get(receiver)),
    takeSubject: (receiver, wanted) => taken(receiver, subject.all(receiver, wanted)),
    takeDue: (receiver, nowMs, limit) => taken(receiver, due.all(receiver, nowMs, limit)),
    receiversDue: (nowMs) => receivers.all(nowMs).map(({ receiver }) => String(receiver)),
    nextDue: () => timeOf(next.get()),
    move: (receiver, dueMs) => void move.run(dueMs, receiver),
    clear: (receiver) => void clear.run(receiver),
    count: (receiver) => Number(count.get(receiver)?.count),
  };
}

function timeOf(row: Record<string, SQLOutputValue> | undefined): number | null {
  const at = row?.at ?? null;
  return at === null ? null : Number(at);
}
