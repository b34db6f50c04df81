import type { DatabaseSync } from 'node:sqlite';
import { createOutbox, createPipeline, OUTBOX_SCHEMA } from '../../../events/index.ts';
import { ALERT_SCHEMA, createAlertStore } from '../../../rules/index.ts';
import { createTicketStore, TICKET_SCHEMA } from '../../../tickets/index.ts';
import type { Books } from './consumer-run.ts';

/** All that follows from transitions, as it is on disk. */
export const BOOKS: Books = {
  schemas: [ALERT_SCHEMA, TICKET_SCHEMA, OUTBOX_SCHEMA],
  open(db) {
    const pipeline = createPipeline({
      alerts: createAlertStore(db),
      tickets: createTicketStore(db),
      outbox: createOutbox(db),
    });
    return (transition, context) => void pipeline.apply({ transition, ...context });
  },
  told: (db) => ['alerts', 'tickets', 'ticket_changes', 'outbox'].flatMap((table) => rowsOf(db, table)).join('\n'),
};

function rowsOf(db: DatabaseSync, table: string): string[] {
  return db
    .prepare(`select * from ${table}`)
    .all()
    .map((row) => `${table} ${JSON.stringify(row)}`);
}
