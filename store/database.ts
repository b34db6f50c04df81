import { DatabaseSync } from 'node:sqlite';
import { LamppostError } from '../domain/index.ts';

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

/**
 * The tables of one room in a file, as the steps that led to them: after step `n` the room is at version `n`. Steps are
 * only ever added, never edited: files are out there at every version. Step 1 makes its tables `if not exists`, which
 * adopts files from before there were versions.
 */
export interface RoomSchema {
  readonly room: string;
  readonly steps: readonly (string | ((db: DatabaseSync) => void))[];
}

/**
 * Brings every room's tables to their newest version. Each step is one transaction together with its version, so that
 * a crash between steps, or in one, is continued by the next call. Foreign keys are not enforced in a step, so that it
 * can rebuild a table, but have to hold at its end. Throws `too-new` where the file has versions or rooms that
 * this Lamppost does not know; it is then left as it is.
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
    for (const schema of due) climb(db, schema, versions.get(schema.room) ?? 0);
  } finally {
    db.exec(`pragma foreign_keys = ${enforced}`);
  }
}

function climb(db: DatabaseSync, { room, steps }: RoomSchema, from: number): void {
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

/** Versions by room; none for a new file, and for one from before there were versions. */
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

// Result codes of SQLite (sqlite.org/rescode.html) that speak of the file and its disk, not of our statements.
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

/** The `disk` error that an error of SQLite or of the file system stands for, retryable where it may pass; null for what is a bug. */
export function diskFault(cause: unknown, what: string): LamppostError | null {
  const { syscall, message } = cause as NodeJS.ErrnoException;
  if (syscall !== undefined) return new LamppostError('disk', `${what}: ${message}`, { retryable: true, cause });
  // The low byte is the primary code: SQLITE_IOERR_WRITE is an SQLITE_IOERR.
  const code = ((cause as { errcode?: number }).errcode ?? 0) & 0xff;
  const retryable = PASSING.includes(code);
  if (!retryable && !LASTING.includes(code)) return null;
  return new LamppostError('disk', `${what}: ${message}`, { retryable, cause });
}
