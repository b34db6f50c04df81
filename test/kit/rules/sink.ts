import type { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { ACTION_SCHEMA } from '../../../actions/index.ts';
import { createThreadEffects } from '../../../app/threads/effects.ts';
import { COMMAND_SCHEMA } from '../../../commands/index.ts';
import { OUTBOX_SCHEMA } from '../../../events/index.ts';
import { RECEIVER_SCHEMA } from '../../../notify/index.ts';
import { PEOPLE_SCHEMA, REGISTRY_SCHEMA } from '../../../registry/index.ts';
import { ALERT_SCHEMA } from '../../../rules/index.ts';
import { TICKET_SCHEMA } from '../../../tickets/index.ts';
import type { Sink } from './consumer-run.ts';

const log = pino({ level: 'silent' });

const FOR_EVER = { auditMs: Number.MAX_SAFE_INTEGER, quarantineMs: Number.MAX_SAFE_INTEGER };

const TABLES = [
  ...['alerts', 'tickets', 'ticket_changes', 'ticket_alerts', 'ticket_due', 'ticket_waits', 'silences'],
  ...['action_results', 'audit', 'outbox', 'context_rules'],
  ...['registry_devices', 'registry_keys', 'registry_claims', 'registry_state', 'people'],
  ...['receivers', 'receiver_secrets', 'receiver_changes', 'webhook_subscriptions', 'receivers_version'],
  ...['quarantine_discards', 'quarantine_discarded', 'rules_checksum'],
];

/** Every table that transitions, actions of people and deadlines lead to, as it is on disk. */
export const ALL_TABLES: Sink = {
  schemas: [
    ...[REGISTRY_SCHEMA, PEOPLE_SCHEMA, ALERT_SCHEMA, TICKET_SCHEMA, COMMAND_SCHEMA, ACTION_SCHEMA, OUTBOX_SCHEMA],
    RECEIVER_SCHEMA,
  ],
  open(db, context) {
    const { effects, blocks, checksum } = createThreadEffects({ db, context, log, ...FOR_EVER });
    return { effects: (transition, more) => void effects.apply({ transition, ...more }), blocks, checksum };
  },
  written: (db) => TABLES.flatMap((table) => rowsOf(db, table)).join('\n'),
};

function rowsOf(db: DatabaseSync, table: string): string[] {
  return db
    .prepare(`select * from ${table}`)
    .all()
    .map((row) => `${table} ${JSON.stringify(row)}`);
}
