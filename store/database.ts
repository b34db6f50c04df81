import { DatabaseSync } from 'node:sqlite';
import { LamppostError } from '../domain/index.ts';
import { damageOf, isDamage } from './damage.ts';
import { makeFilePrivate } from './private.ts';

/**
 * How long a statement waits for another connection's lock: each file has one writer, so only a copy or a checkpoint
 * holds it.
 */
const BUSY_MS = 5_000;
/** What a write-ahead log keeps of the disk after a large transaction or a long read made it larger. */
const WAL_BYTES = 64 * 2 ** 20;

interface OpenOptions {
  /** The rooms that have tables in the file, in the order in which their steps run. */
  readonly schemas: readonly RoomSchema[];
  /** Bytes of a page; only a new file uses it. */
  readonly pageSize?: number;
}

/**
 * Opens or creates a file for its one writer, in WAL mode and with `synchronous=FULL`: what is committed survives a
 * power loss, also where an earlier process met an fsync that failed. Only its owner may read it. Migrates its tables
 * to the newest version. Throws `disk` where the file cannot be opened or written, `damaged` where its content is not
 * what it was, `too-new` where a newer Lamppost wrote it.
 */
export function openDatabase(path: string, { schemas, pageSize = 4096 }: OpenOptions): DatabaseSync {
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { timeout: BUSY_MS });
    makeFilePrivate(db.location());
    db.exec(`pragma page_size = ${pageSize}; pragma journal_mode = wal; pragma synchronous = full;
      pragma journal_size_limit = ${WAL_BYTES};`);
    migrate(db, schemas);
    // An earlier process may have ended at an fsync that failed. What it wrote is read, but may not be on disk, and the
    // system takes it for written: only another write brings it there.
    db.exec('pragma wal_checkpoint(truncate)');
    return db;
  } catch (error) {
    db?.close();
    if (!(error instanceof LamppostError) && isDamage(error)) throw damageOf(path, (error as Error).message, error);
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
  refuseForeign(db, versions, schemas);
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

/** Throws `damaged` for a file of something else: of another program, or another file of Lamppost in its place. */
function refuseForeign(db: DatabaseSync, versions: ReadonlyMap<string, number>, schemas: readonly RoomSchema[]): void {
  const rooms = [...versions.keys()];
  const tables = db.prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'").all();
  if (tables.length === 0) return;
  const wanted = schemas.flatMap(({ steps }) => steps.filter((step) => typeof step === 'string')).join();
  const isOurs =
    rooms.length > 0
      ? rooms.some((room) => schemas.some((schema) => schema.room === room))
      : tables.some(({ name }) => wanted.includes(` ${name} (`));
  if (isOurs) return;
  const found = tables.map(({ name }) => name).slice(0, 5);
  throw damageOf(
    db.location() ?? 'the database',
    `it is the file of something else, with the tables ${found.join(', ')}`,
  );
}

// Result codes of SQLite (sqlite.org/rescode.html) about the file and its disk, not about our statements.
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const FULL = 13;
const CANTOPEN = 14;
const PASSING: readonly number[] = [BUSY, LOCKED, IOERR, FULL];
const LASTING: readonly number[] = [READONLY, CANTOPEN];

/**
 * Returns the `disk` error for an error of SQLite or the file system, retryable where it may pass, or `damaged`, which
 * does not; null where the error is a bug.
 */
export function diskFault(cause: unknown, what: string): LamppostError | null {
  const { syscall, message } = cause as NodeJS.ErrnoException;
  if (syscall !== undefined) return new LamppostError('disk', `${what}: ${message}`, { retryable: true, cause });
  if (isDamage(cause)) return new LamppostError('damaged', `${what}: ${message}`, { cause });
  // The low byte is the primary code: SQLITE_IOERR_WRITE is an SQLITE_IOERR.
  const code = ((cause as { errcode?: number }).errcode ?? 0) & 0xff;
  const retryable = PASSING.includes(code);
  if (!retryable && !LASTING.includes(code)) return null;
  return new LamppostError('disk', `${what}: ${message}`, { retryable, cause });
}
