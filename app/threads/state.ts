import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { ACTION_SCHEMA } from '../../actions/index.ts';
import { OUTBOX_SCHEMA } from '../../events/index.ts';
import { INGEST_SCHEMAS } from '../../ingest/index.ts';
import { ALERT_SCHEMA, RULES_SCHEMA } from '../../rules/index.ts';
import { openDatabase } from '../../store/index.ts';
import { TICKET_SCHEMA } from '../../tickets/index.ts';

/** All that is in the state file, room by room. */
const SCHEMAS = [...INGEST_SCHEMAS, RULES_SCHEMA, ALERT_SCHEMA, TICKET_SCHEMA, ACTION_SCHEMA, OUTBOX_SCHEMA];

/** Opens (or makes) the state file of a data folder for its writer. Throws `disk`, `too-new`. */
export function openStateFile(dir: string): DatabaseSync {
  return openDatabase(join(dir, 'state.sqlite'), { schemas: SCHEMAS });
}
