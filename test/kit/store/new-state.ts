import { existsSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { migrate, type RoomSchema } from '../../../store/index.ts';

/** Files with nothing but their tables, by rooms: hundreds of tests begin with the same ones. */
const MADE = new Map<string, Uint8Array>();

function madeOf(schemas: readonly RoomSchema[]): Uint8Array {
  const rooms = schemas.map(({ room, steps }) => `${room} ${steps.length}`).join();
  const known = MADE.get(rooms);
  if (known !== undefined) return known;
  const db = new DatabaseSync(':memory:');
  migrate(db, schemas);
  const made = db.serialize();
  db.close();
  MADE.set(rooms, made);
  return made;
}

/** Opens a database (`:memory:`: none on disk) with the tables of rooms, as `migrate` makes them. */
export function openMigrated(path: string, schemas: readonly RoomSchema[]): DatabaseSync {
  if (path !== ':memory:' && existsSync(path)) {
    const db = new DatabaseSync(path);
    migrate(db, schemas);
    return db;
  }
  const made = madeOf(schemas);
  if (path !== ':memory:') writeFileSync(path, made);
  const db = new DatabaseSync(path);
  if (path === ':memory:') db.deserialize(made);
  return db;
}
