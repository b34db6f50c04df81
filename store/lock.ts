import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isoOf, LamppostError } from '../domain/index.ts';
import { diskFault } from './database.ts';
import { PRIVATE_FILE } from './private.ts';

/** An empty file: only its lock is used, so there is nothing in it to be damaged. */
const LOCK = 'in-use.lock';
/** Who has the lock, for the sentence that another one gets. It stays after a kill and says nothing then. */
const OWNER = 'in-use.json';

/** A data folder that belongs to this process until `release`. */
export interface FolderLock {
  /** Idempotent. */
  release(): void;
}

/**
 * Takes a data folder for this process. The lock is one of the operating system on an open file (SQLite's): it ends
 * with the process however that ends, and no number of a process is compared. Throws `conflict` where another process
 * has it.
 */
export function lockFolder(dir: string, nowMs: number): FolderLock {
  const db = openLocked(dir);
  const owner = { pid: process.pid, host: hostname(), since: isoOf(nowMs) };
  try {
    writeFileSync(join(dir, OWNER), `${JSON.stringify(owner)}\n`, { mode: PRIVATE_FILE });
  } catch {
    // A full disk: the lock holds all the same.
  }
  return {
    release() {
      if (!db.isOpen) return;
      rmSync(join(dir, OWNER), { force: true });
      db.close();
    },
  };
}

/** Returns a sentence on the process that has a data folder; null where none has. */
export function ownerOf(dir: string): string | null {
  if (!existsSync(join(dir, LOCK))) return null;
  try {
    openLocked(dir).close();
    return null;
  } catch (error) {
    if (error instanceof LamppostError && error.code === 'conflict') return error.message;
    throw error;
  }
}

function openLocked(dir: string): DatabaseSync {
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(join(dir, LOCK), { timeout: 0 });
    db.exec('begin exclusive');
    return db;
  } catch (error) {
    db?.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 !== BUSY)
      throw diskFault(error, `${join(dir, LOCK)} cannot be locked`) ?? error;
    throw new LamppostError(
      'conflict',
      `${dir} is in use by ${whoHas(dir)}: stop that one, or use another folder (LAMPPOST_DATA, --data)`,
    );
  }
}

const BUSY = 5;

function whoHas(dir: string): string {
  try {
    const { pid, host, since } = JSON.parse(readFileSync(join(dir, OWNER), 'utf8'));
    return `another Lamppost (process ${pid} on ${host}, since ${since})`;
  } catch {
    return 'another Lamppost';
  }
}
