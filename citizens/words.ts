import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { REMOVED, type Statement } from './statements.ts';

/** Reads what citizens wrote, in a thread that does not own their file. */
interface Words {
  /** The words of a request or comment; that they were removed, in both languages; null: there are none. */
  of(statement: string): string | null;
  /** Idempotent. */
  close(): void;
}

/**
 * Returns the reader of a file of citizens; it is opened when it is first asked for and there. A word that is read is
 * not kept: what is removed from the file is gone.
 */
export function createWords(path: string): Words {
  let db: DatabaseSync | null = null;
  let one: StatementSync | null = null;

  /** The first start of the server makes the file a moment after its threads. */
  function opened(): StatementSync | null {
    if (one !== null) return one;
    try {
      db ??= new DatabaseSync(path, { readOnly: true });
      one = db.prepare('select body from statements where id = ?');
    } catch {
      return null;
    }
    return one;
  }

  return {
    of(statement) {
      const row = opened()?.get(statement);
      if (row === undefined) return null;
      if (row.body === null) return `${REMOVED.en} ${REMOVED.zh}`;
      const said = JSON.parse(String(row.body)) as Statement | string;
      if (typeof said === 'string') return said;
      return [said.description, said.address].filter(Boolean).join('\n');
    },
    close() {
      if (db?.isOpen) db.close();
    },
  };
}
