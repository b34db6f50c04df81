import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';

/** Brings the log of sessions into their file from time to time. */
export interface Checkpointer {
  start(): void;
  stop(): void;
}

/**
 * Makes the checkpointer of a file that another thread writes: a checkpoint waits for the disk, which the broker's thread must
 * not (ADR 13). It neither holds up the writer nor is held up by it.
 */
export function createCheckpointer({ path, everyMs }: { path: string; everyMs: number }, log: Logger): Checkpointer {
  let db: DatabaseSync | undefined;
  let timer: NodeJS.Timeout | undefined;

  function checkpoint(): void {
    try {
      db ??= new DatabaseSync(path);
      db.exec('pragma wal_checkpoint(passive)');
    } catch (error) {
      log.warn({ err: error }, 'the sessions are checkpointed later');
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
