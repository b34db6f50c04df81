import { DatabaseSync } from 'node:sqlite';
import { diskFault } from './faults.ts';
import { migrate, type RoomSchema } from './migrate.ts';

/** How long a statement waits for another connection's lock: each file has one writer, so only a copy or a checkpoint holds it. */
const BUSY_MS = 5_000;

/** How a file is opened. */
interface Opening {
  /** The rooms that have tables in it, in the order in which their steps run. */
  readonly schemas: readonly RoomSchema[];
  /** Bytes of a page; decides for a new file only. */
  readonly pageSize?: number;
}

/**
 * Opens (or makes) a file for its one writer, in WAL and with `synchronous=FULL`: what is committed survives a power
 * loss. Its tables are brought to the newest version. Throws `disk` where the file cannot be opened or written,
 * `too-new` where a newer Lamppost wrote it.
 */
export function openDatabase(path: string, { schemas, pageSize = 4096 }: Opening): DatabaseSync {
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { timeout: BUSY_MS });
    db.exec(`pragma page_size = ${pageSize}; pragma journal_mode = wal; pragma synchronous = full;`);
    migrate(db, schemas);
    return db;
  } catch (error) {
    db?.close();
    throw diskFault(error, `${path} cannot be opened`) ?? error;
  }
}
