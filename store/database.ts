import { DatabaseSync } from 'node:sqlite';
import { LamppostError } from '../domain/index.ts';
import { makeFilePrivate } from './private.ts';

/**
 * How long a statement waits for another connection's lock: each file has one writer, so only a copy or a checkpoint
 * holds it.
 */
const BUSY_MS = 5_000;

interface OpenOptions {
  /** The rooms that have tables in the file, in the order in which their steps run. */
  readonly schemas: readonly RoomSchema[];
  /** Bytes of a page; only a new file uses it. */
  readonly pageSize?: number;
}

/**
 * Opens or creates a file for its one writer, in WAL mode and with `synchronous=FULL`: what is committed survives a
 * power loss. Only its owner may read it. Migrates its tables to the newest version. Throws `disk` where the file cannot be opened or written,
 * `too-new` where a newer Lamppost wrote it.
 */
export function openDatabase(path: string, { schemas, pageSize = 4096 }: OpenOptions): DatabaseSync {
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { timeout: BUSY_MS });
    makeFilePrivate(db.location());
    db.exec(`pragma page_size = ${pageSize}; pragma journal_mode = wal; pragma synchronous = full;`);
    migrate(db, schemas);
    return db;
  } catch (error) {
    db?.close();
    throw diskFault(error, `${path} cannot be opened`) ?? error;
  }
}

/**
 * Runs `work` in one transaction, commits it and returns its result. Where it throws, rolls back and throws the same
 * error.
 */
export function transact<T>(db: DatabaseSync, work: () => T): T {
  db.exec('begin immediate');
  try {
    const result = work();
    db.exec('commit');
    return result;
  } catch (error) {
    // After a full disk, SQLite may have rolled back already.
    if (db.isTransaction) db.exec('rollback');
    throw error;
  }
}

/**
 * Runs `work` inside a transaction that the caller holds. Where it throws, what it wrote is undone, and the transaction
 * goes on; throws the same error.
 */
export function undoing<T>(db: DatabaseSync, work: () => T): T {
  db.exec('savepoint work');
  try {
    const result = work();
    db.exec('release work');
    return result;
  } catch (error) {
    // After a full disk, SQLite may have rolled back the whole transaction.
    if (db.isTransaction) db.exec('rollback to work; release work');
    throw error;
  }
}

/**
 * The tables of one room in a file, as migration steps: after step `n` the room is at version `n`. Steps are only
 * added, never edited: files exist at every version. Step 1 creates its tables `if not exists`, so that it also fits
 * files from before there were versions.
 */
export interface RoomSchema {
  readonly room: string;
  readonly steps: readonly (string | ((db: DatabaseSync) => void))[];
}

/**
 * Migrates every room's tables to their newest version. Each step and its version are one transaction, so that after a
 * crash the next call continues. Foreign keys are not enforced in a step, so that it can rebuild a table, but have to
 * hold at its end. Throws `too-new` where the file has versions or rooms that this Lamppost does not know, and leaves
 * the file unchanged.
 */
export function migrate(db: DatabaseSync, schemas: readonly RoomSchema[]): void {
  const versions = versionsOf(db);
  refuseNewer(db, versions, schemas);
  const due = schemas.filter(({ room, steps }) => (versions.get(room) ?? 0) < steps.length);
  if (due.length === 0) return;
  const { foreign_keys: enforced } = db.prepare('pragma foreign_keys').get()!;
  db.exec('pragma foreign_keys = off');
  try {
    db.exec('create table if not exists schema_versions (room text primary key, version integer not null) strict');
    for (const schema of due) applySteps(db, schema, versions.get(schema.room) ?? 0);
  } finally {
    db.exec(`pragma foreign_keys = ${enforced}`);
  }
}

function applySteps(db: DatabaseSync, { room, steps }: RoomSchema, from: number): void {
  const note = db.prepare('insert or replace into schema_versions values (?, ?)');
  for (let version = from + 1; version <= steps.length; version++) {
    transact(db, () => {
      const step = steps[version - 1]!;
      if (typeof step === 'string') db.exec(step);
      else step(db);
      const broken = db.prepare('pragma foreign_key_check').get();
      if (broken !== undefined) throw new Error(`step ${version} of ${room} breaks a reference of ${broken.table}`);
      note.run(room, version);
    });
  }
}

/** Returns the versions by room; empty for a new file and for one from before there were versions. */
function versionsOf(db: DatabaseSync): Map<string, number> {
  const known = db.prepare("select 1 from sqlite_schema where name = 'schema_versions'").get();
  if (known === undefined) return new Map();
  const rows = db.prepare('select room, version from schema_versions').all();
  return new Map(rows.map(({ room, version }) => [String(room), Number(version)]));
}

function refuseNewer(db: DatabaseSync, versions: ReadonlyMap<string, number>, schemas: readonly RoomSchema[]): void {
  for (const [room, version] of versions) {
    const newest = schemas.find((schema) => schema.room === room)?.steps.length ?? 0;
    if (version <= newest) continue;
    const known = newest === 0 ? 'knows nothing of these' : `knows versions up to ${newest}`;
    throw new LamppostError(
      'too-new',
      `${db.location() ?? 'the database'} has the tables of "${room}" in version ${version}, and this Lamppost ${known}: ` +
        'start the version that wrote it, or a newer one, or restore a backup of before',
    );
  }
}

// Result codes of SQLite (sqlite.org/rescode.html) about the file and its disk, not about our statements.
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;
const PASSING: readonly number[] = [BUSY, LOCKED, IOERR, FULL];
const LASTING: readonly number[] = [READONLY, CORRUPT, CANTOPEN, NOTADB];

/**
 * Returns the `disk` error for an error of SQLite or the file system, retryable where it may pass; null where the error
 * is a bug.
 */
export function diskFault(cause: unknown, what: string): LamppostError | null {
  const { syscall, message } = cause as NodeJS.ErrnoException;
  if (syscall !== undefined) return new LamppostError('disk', `${what}: ${message}`, { retryable: true, cause });
  // The low byte is the primary code: SQLITE_IOERR_WRITE is an SQLITE_IOERR.
  const code = ((cause as { errcode?: number }).errcode ?? 0) & 0xff;
  const retryable = PASSING.includes(code);
  if (!retryable && !LASTING.includes(code)) return null;
  return new LamppostError('disk', `${what}: ${message}`, { retryable, cause });
}
