import type { DatabaseSync } from 'node:sqlite';

/** Runs `work` in one transaction and commits it; where anything throws, nothing of it stays, and the same error is thrown. */
export function transact<T>(db: DatabaseSync, work: () => T): T {
  db.exec('begin immediate');
  try {
    const result = work();
    db.exec('commit');
    return result;
  } catch (error) {
    // A full disk may have rolled it back already.
    if (db.isTransaction) db.exec('rollback');
    throw error;
  }
}
