import { existsSync, renameSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import type { Device, KeyRole } from '../domain/index.ts';
import { openDatabase, type RoomSchema } from '../store/index.ts';
import type { Credential } from './credentials.ts';
import type { TakenDevice } from './device-records.ts';
import type { TakenKey } from './key-records.ts';
import type { TakeOver } from './records.ts';

/** The tables of `registry.sqlite`, which held devices and keys before they were records of the log. */
const SCHEMA: RoomSchema = {
  room: 'registry',
  steps: [
    `
  create table if not exists devices (
    id text primary key, body text not null, hash blob not null, registered_at text not null,
    version integer not null, revoked integer not null default 0
  ) strict;
  create index if not exists devices_version on devices (version);
  create table if not exists keys (
    id text primary key, name text not null, role text not null, department text, hash blob not null unique
  ) strict;
  create table if not exists version (n integer not null) strict;
`,
  ],
};

/** Devices of one part: a record of the log of about a mebibyte. */
const DEVICES_AT_ONCE = 2_000;

/** What a file of before holds. */
export interface FileOfBefore {
  /** In order; the last one says so. */
  readonly parts: readonly TakeOver[];
  readonly credentials: readonly Credential[];
  /** Gives the file another name: it is not read again, and may be deleted. */
  putAside(): void;
}

/**
 * Reads devices and keys of `registry.sqlite`; null where there is none. `journalled`: the version of it that the log
 * has. Throws `disk`, `damaged`, `too-new`.
 */
export function readFileOfBefore(path: string, journalled: number): FileOfBefore | null {
  if (!existsSync(path)) return null;
  const db = openDatabase(path, { schemas: [SCHEMA] });
  try {
    const devices = devicesOf(db, journalled);
    const keys = keysOf(db);
    return { parts: partsOf(devices, keys), credentials: credentialsOf(devices, keys), putAside: () => aside(path) };
  } finally {
    db.close();
  }
}

const textOf = (hash: unknown) => Buffer.from(hash as Uint8Array).toString('base64url');

function devicesOf(db: DatabaseSync, journalled: number): TakenDevice[] {
  return db
    .prepare('select * from devices order by id')
    .all()
    .map((row) => ({
      device: JSON.parse(String(row.body)) as Device,
      hash: textOf(row.hash),
      registeredMs: Date.parse(String(row.registered_at)),
      revoked: row.revoked === 1,
      logged: Number(row.version) <= journalled,
    }));
}

function keysOf(db: DatabaseSync): TakenKey[] {
  return db
    .prepare('select * from keys order by id')
    .all()
    .map(({ id, name, role, department, hash }) => ({
      key: {
        id: String(id),
        name: String(name),
        role: role as KeyRole,
        department: department === null ? null : String(department),
      },
      hash: textOf(hash),
    }));
}

function partsOf(devices: readonly TakenDevice[], keys: readonly TakenKey[]): TakeOver[] {
  const parts: TakeOver[] = [];
  for (let at = 0; at < devices.length; at += DEVICES_AT_ONCE)
    parts.push({ devices: devices.slice(at, at + DEVICES_AT_ONCE), keys: [], last: false });
  return [...parts, { devices: [], keys, last: true }];
}

function credentialsOf(devices: readonly TakenDevice[], keys: readonly TakenKey[]): Credential[] {
  const ofDevices = devices
    .filter(({ revoked }) => !revoked)
    .map(({ device: { id, profile }, hash }) => ({
      identity: { kind: 'device', id, profile } as const,
      hash: Buffer.from(hash, 'base64url'),
    }));
  const ofKeys = keys.map(({ key, hash }) => ({
    identity: { kind: 'key', id: key.id, key } as const,
    hash: Buffer.from(hash, 'base64url'),
  }));
  return [...ofDevices, ...ofKeys];
}

function aside(path: string): void {
  for (const tail of ['-wal', '-shm', ''])
    if (existsSync(`${path}${tail}`)) renameSync(`${path}${tail}`, `${path}.taken-over${tail}`);
}
