import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { CITIZENS_FILE, createCitizenStore } from '../../citizens/index.ts';
import { createInlineStatements, type InlineStatement } from '../../tickets/index.ts';

const AT_ONCE = 500;

/**
 * Moves what citizens wrote out of the tickets of older versions, to where it can be deleted. Words are on disk there
 * before they leave the state file; what a crash interrupts is done again. Nothing else may have the files open.
 */
export function moveInlineStatements(dir: string, db: DatabaseSync): void {
  const inline = createInlineStatements(db);
  if (inline.some(1).length === 0) return;
  const store = createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
  try {
    for (let some = inline.some(AT_ONCE); some.length > 0; some = inline.some(AT_ONCE)) {
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
