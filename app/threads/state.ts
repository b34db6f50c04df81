import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { ACTION_SCHEMA } from '../../actions/index.ts';
import { CITIZENS_FILE, createCitizenStore } from '../../citizens/index.ts';
import { COMMAND_SCHEMA } from '../../commands/index.ts';
import { OUTBOX_SCHEMA } from '../../events/index.ts';
import { INGEST_SCHEMAS } from '../../ingest/index.ts';
import { RECEIVER_SCHEMA } from '../../notify/index.ts';
import { PEOPLE_SCHEMA, REGISTRY_SCHEMA } from '../../registry/index.ts';
import { ALERT_SCHEMA, RULES_SCHEMA } from '../../rules/index.ts';
import { openDatabase } from '../../store/index.ts';
import { createInlineStatements, type InlineStatement, TICKET_SCHEMA } from '../../tickets/index.ts';

const STATEMENTS_AT_ONCE = 500;

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

/**
 * Moves what citizens wrote out of the tickets of older versions, to where it can be deleted. Words are on disk there
 * before they leave the state file; what a crash interrupts is done again. Nothing else may have the files open.
 */
function moveInlineStatements(dir: string, db: DatabaseSync): void {
  const inline = createInlineStatements(db);
  if (inline.some(1).length === 0) return;
  const store = createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
  try {
    for (let some = inline.some(STATEMENTS_AT_ONCE); some.length > 0; some = inline.some(STATEMENTS_AT_ONCE)) {
      for (const one of some) put(one);
      inline.clear(some.map(({ id }) => id));
    }
  } finally {
    store.close();
  }
  inline.erase();

  function put({ id, openedAt, comment, ...statement }: InlineStatement): void {
    const storedMs = Date.parse(openedAt);
    store.put({ id, storedMs, statement, reporter: null, repeat: null });
    if (comment !== '') store.putComment(inline.commentOf(id), comment, storedMs);
  }
}
