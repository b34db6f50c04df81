import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { isDamage } from '../store/index.ts';
import { openDeliveries } from './schema.ts';

/** Tables of what people set, and of which outbox the cursors are; receivers first, the others refer to them. */
const KEPT = ['receivers', 'secrets', 'webhook_subscriptions', 'outbox_known'] as const;

/** Where it is not known which deliveries were open, so many events before a receiver's cursor are delivered again. */
const AGAIN = 1_000;

/**
 * Makes a file of deliveries from what can be read of a damaged one: receivers, with their secrets and subscriptions.
 * Their cursors go back to the first event that was not delivered, so that its delivery is made again from the outbox.
 * Returns a sentence on what is lost. Throws `disk` where the new file cannot be written.
 */
export function restoreReceivers(from: string, to: string): string {
  const target = openDeliveries(to);
  const source = new DatabaseSync(from);
  try {
    const [receivers = 0, ...others] = KEPT.map((table) => copyRows(source, target, table));
    target.exec(`
      delete from receivers where not json_valid(settings);
      delete from secrets where receiver not in (select id from receivers);
      delete from webhook_subscriptions where webhook not in (select id from receivers)`);
    rewind(source, target);
    if (receivers === 0)
      return 'webhooks, subscriptions and deliveries, of which none could be read: lamppost repair takes them from a backup';
    const kept = `${receivers} receivers of events and ${others[1] ?? 0} subscriptions could be read and go on`;
    return `the log of deliveries (${kept}; what was not delivered is made again from the outbox, some of it twice)`;
  } finally {
    source.close();
    target.close();
  }
}

/** Copies the rows of a table that can be read: from its start to the first damage, and from its end. */
function copyRows(source: DatabaseSync, target: DatabaseSync, table: string): number {
  for (const order of ['asc', 'desc']) {
    try {
      const key = table === 'receivers' || table === 'webhook_subscriptions' ? 'id' : table === 'secrets' ? 'n' : 'one';
      for (const row of source.prepare(`select * from ${table} order by ${key} ${order}`).iterate()) {
        const values = Object.values(row) as SQLInputValue[];
        target.prepare(`insert or ignore into ${table} values (${values.map(() => '?').join()})`).run(...values);
      }
      break;
    } catch (error) {
      if (!isDamage(error, true)) throw error;
    }
  }
  return Number(target.prepare(`select count(*) as n from ${table}`).get()!.n);
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
