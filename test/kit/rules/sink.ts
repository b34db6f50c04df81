import type { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { ACTION_SCHEMA } from '../../../actions/index.ts';
import { createThreadEffects } from '../../../app/threads/effects.ts';
import { OUTBOX_SCHEMA } from '../../../events/index.ts';
import { ALERT_SCHEMA } from '../../../rules/index.ts';
import { TICKET_SCHEMA } from '../../../tickets/index.ts';
import type { Sink } from './consumer-run.ts';

const log = pino({ level: 'silent' });

const TABLES = [
  ...['alerts', 'tickets', 'ticket_changes', 'ticket_alerts', 'ticket_due', 'ticket_waits', 'silences'],
  ...['action_results', 'audit', 'outbox'],
];

/** Every table that transitions, actions of people and deadlines lead to, as it is on disk. */
export const ALL_TABLES: Sink = {
  schemas: [ALERT_SCHEMA, TICKET_SCHEMA, ACTION_SCHEMA, OUTBOX_SCHEMA],
  open(db, context) {
    const { effects, blocks } = createThreadEffects({ db, context, log, auditMs: Number.MAX_SAFE_INTEGER });
    return { effects: (transition, more) => void effects.apply({ transition, ...more }), blocks };
  },
  written: (db) => TABLES.flatMap((table) => rowsOf(db, table)).join('\n'),
};

function rowsOf(db: DatabaseSync, table: string): string[] {
  return db
    .prepare(`select * from ${table}`)
    .all()
    .map((row) => `${table} ${JSON.stringify(row)}`);
}
