import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { ACTION_SCHEMA } from '../../actions/index.ts';
import { COMMAND_SCHEMA } from '../../commands/index.ts';
import { OUTBOX_SCHEMA } from '../../events/index.ts';
import { INGEST_SCHEMAS } from '../../ingest/index.ts';
import { RECEIVER_SCHEMA } from '../../notify/index.ts';
import { PEOPLE_SCHEMA, REGISTRY_SCHEMA } from '../../registry/index.ts';
import { ALERT_SCHEMA, RULES_SCHEMA } from '../../rules/index.ts';
import { openDatabase } from '../../store/index.ts';
import { TICKET_SCHEMA } from '../../tickets/index.ts';
import { moveInlineStatements } from './inline-statements.ts';

/** All that is in the state file, room by room. */
const SCHEMAS = [
  ...[...INGEST_SCHEMAS, REGISTRY_SCHEMA, PEOPLE_SCHEMA, RULES_SCHEMA, ALERT_SCHEMA],
  ...[TICKET_SCHEMA, COMMAND_SCHEMA, ACTION_SCHEMA, OUTBOX_SCHEMA, RECEIVER_SCHEMA],
];

/**
 * Opens (or makes) the state file of a data folder for its writer, and moves what citizens wrote out of it where an
 * older version kept it there. Throws `disk`, `too-new`.
 */
export function openStateFile(dir: string): DatabaseSync {
  const db = openDatabase(join(dir, 'state.sqlite'), { schemas: SCHEMAS });
  moveInlineStatements(dir, db);
  return db;
}
