import type { DatabaseSync } from 'node:sqlite';
import { createEffects } from '../../../app/threads/effects.ts';
import { createOutbox, OUTBOX_SCHEMA } from '../../../events/index.ts';
import { ALERT_SCHEMA, createAlertReader, createAlertStore } from '../../../rules/index.ts';
import { TICKET_SCHEMA, TicketService } from '../../../tickets/index.ts';
import type { Sink } from './consumer-run.ts';

const TABLES = ['alerts', 'tickets', 'ticket_changes', 'ticket_alerts', 'ticket_due', 'ticket_waits', 'outbox'];

/** Every table that transitions lead to, as it is on disk. */
export const ALL_TABLES: Sink = {
  schemas: [ALERT_SCHEMA, TICKET_SCHEMA, OUTBOX_SCHEMA],
  open(db) {
    const clock = { now: () => 0 };
    const { firing } = createAlertReader(db);
    const city = () => {
      throw new Error('only people ask for the city in force');
    };
    const tickets = new TicketService({ db, clock, city, firing });
    const effects = createEffects({ alerts: createAlertStore(db), tickets, outbox: createOutbox(db) });
    return (transition, context) => void effects.apply({ transition, ...context });
  },
  written: (db) => TABLES.flatMap((table) => rowsOf(db, table)).join('\n'),
};

function rowsOf(db: DatabaseSync, table: string): string[] {
  return db
    .prepare(`select * from ${table}`)
    .all()
    .map((row) => `${table} ${JSON.stringify(row)}`);
}
