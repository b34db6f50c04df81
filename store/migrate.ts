import type { DatabaseSync } from 'node:sqlite';
import { LamppostError } from '../domain/index.ts';
import { transact } from './transact.ts';

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
