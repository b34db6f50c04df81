import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';

/** Brings the write-ahead log of a SQLite file into the file from time to time. */
export interface Checkpointer {
  start(): void;
  stop(): void;
}

/**
 * Returns the checkpointer of a file that another thread writes: a checkpoint waits for the disk, which the broker's
 * thread
 * must not (ADR 13). Neither waits for the other.
 */
export function createCheckpointer({ path, everyMs }: { path: string; everyMs: number }, log: Logger): Checkpointer {
  let db: DatabaseSync | undefined;
  let timer: NodeJS.Timeout | undefined;

  function checkpoint(): void {
    try {
      db ??= new DatabaseSync(path);
      db.exec('pragma wal_checkpoint(passive)');
    } catch (error) {
      log.warn({ err: error, path }, 'a file is checkpointed later');
    }
  }

  return {
    start() {
      timer = setInterval(checkpoint, everyMs);
    },
    stop() {
      clearInterval(timer);
      db?.close();
      db = undefined;
    },
  };
}
