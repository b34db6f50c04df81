import type { DatabaseSync } from 'node:sqlite';
import type { Reference } from './formats/format.ts';

/** What receivers were sent of alerts that fire; the caller holds the transaction. */
export interface ReferenceStore {
  /** The oldest first; of many the newest ten. */
  of(receiver: string, subject: string): Reference[];
  add(receiver: string, subject: string, reference: Reference): void;
  /** The alert is over. */
  clear(receiver: string, subject: string): void;
}

/** Makes the store over a file that `openDeliveries` opened. */
export function createReferenceStore(db: DatabaseSync): ReferenceStore {
  const some = db.prepare(`
    select event as id, time from alert_references where receiver = ? and subject = ? order by time desc, event desc limit 10`);
  const add = db.prepare('insert or ignore into alert_references values (?, ?, ?, ?)');
  const clear = db.prepare('delete from alert_references where receiver = ? and subject = ?');
  return {
    of: (receiver, subject) => (some.all(receiver, subject) as unknown as Reference[]).reverse(),
    add: (receiver, subject, { id, time }) => void add.run(receiver, subject, id, time),
    clear: (receiver, subject) => void clear.run(receiver, subject),
  };
}
