import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { isDamage } from '../store/index.ts';
import { AGAIN } from './follower.ts';
import { openDeliveries } from './schema.ts';

/** Columns of how far receivers are, and of which outbox their cursors are. */
const KEPT = {
  receivers: ['id', 'cursor', 'disabled', 'failing_since'],
  outbox_known: ['one', 'store'],
  followed: ['one', 'n'],
  earlier_receivers: ['id', 'body'],
} as const;

/**
 * Makes a file of deliveries from what can be read of a damaged one: how far each receiver is. What people set of them
 * is in the state. The cursors go back to the first event that was not delivered, so that its delivery is made again
 * from the outbox. Returns a sentence on what is lost. Throws `disk` where the new file cannot be written.
 */
export function restoreReceivers(from: string, to: string): string {
  const target = openDeliveries(to);
  const source = new DatabaseSync(from);
  try {
    for (const table of Object.keys(KEPT) as (keyof typeof KEPT)[]) copyRows(source, target, table);
    rewind(source, target);
    return `the log of deliveries; what was not delivered is made again from the outbox, some of it twice`;
  } finally {
    source.close();
    target.close();
  }
}

/** Copies the rows of a table that can be read: from its start to the first damage, and from its end. */
function copyRows(source: DatabaseSync, target: DatabaseSync, table: keyof typeof KEPT): void {
  const columns = KEPT[table];
  for (const order of ['asc', 'desc']) {
    try {
      const rows = source.prepare(`select ${columns.join()} from ${table} order by ${columns[0]} ${order}`).iterate();
      const add = `insert or ignore into ${table} (${columns.join()}) values (${columns.map(() => '?').join()})`;
      for (const row of rows) target.prepare(add).run(...(Object.values(row) as SQLInputValue[]));
      break;
    } catch (error) {
      if (!isDamage(error, true)) throw error;
    }
  }
}

/** Sets the cursors back to before the first event whose delivery was open. */
function rewind(source: DatabaseSync, target: DatabaseSync): void {
  const set = target.prepare('update receivers set cursor = min(cursor, ?) where id = ?');
  try {
    const open = source.prepare(`
      select d.receiver, min(e.n) - 1 as before from deliveries d
      join delivery_events on delivery = d.n join events e on e.id = event
      where d.state in ('queued', 'pending') and e.n is not null group by d.receiver
      union all select h.receiver, min(h.n) - 1 from held h group by h.receiver`);
    for (const { receiver, before } of open.all()) set.run(before!, receiver!);
  } catch (error) {
    if (!isDamage(error, true)) throw error;
    target.prepare('update receivers set cursor = max(0, cursor - ?)').run(AGAIN);
  }
}
