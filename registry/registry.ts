import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import {
  type Clock,
  type Device,
  type DevicesControl,
  isoOf,
  type Key,
  type KeyRole,
  LamppostError,
  type Page,
} from '../domain/index.ts';
import { openDatabase, type RoomSchema, transact } from '../store/index.ts';
import { type Credential, hashSecret, newSecret } from './credentials.ts';

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

/** User name of the key in the settings, which is not in the registry. */
const ADMIN = 'admin';

/** A device with the time of its registration, ISO 8601. */
export type RegisteredDevice = Device & { readonly registeredAt: string };

/** Devices and keys that may connect, with the SHA-256 of their secrets: once opened. One thread owns the file. */
export interface Registry {
  /**
   * Registers all or none, under the next version. Throws `conflict` with the ids that devices or keys already have.
   */
  register(devices: readonly Device[]): (Device & { secret: string })[];
  /** Revokes a device under the next version; returns false where it is not registered. */
  revoke(id: string): boolean;
  /** Replaces and returns the secret of a device; null where it is not registered. */
  rotate(id: string): string | null;
  get(id: string): RegisteredDevice | null;
  list(query: { limit: number; after: string | null; profile?: string; district?: string }): Page<RegisteredDevice>;
  count(): number;
  /** Returns the changes after a version, which the journal does not have yet; null where there are none. */
  changesSince(version: number): DevicesControl | null;
  addKey(key: { name: string; role: KeyRole; department: string | null }): Key & { secret: string };
  revokeKey(id: string): boolean;
  keys(): Key[];
  /** Returns the key of a secret; null where there is none. */
  keyOf(secret: string): Key | null;
  /** Returns the credentials of all devices and keys that may connect. */
  credentials(): Credential[];
  /** Returns the credential of a device or key; null where there is none. */
  credentialOf(id: string): Credential | null;
  /** Opens the file, or creates it. Throws `disk` where it cannot, `too-new` where a newer Lamppost wrote it. */
  open(): this;
  /** Idempotent. */
  close(): void;
}

/** Returns the registry of a file; it opens nothing until `open`. */
export function createRegistry(deps: { readonly clock: Clock }, options: { readonly path: string }): Registry {
  return new RegistryFile(deps.clock, options.path);
}

class RegistryFile implements Registry {
  readonly #clock: Clock;
  readonly #path: string;
  #db!: DatabaseSync;
  #insert!: StatementSync;
  #one!: StatementSync;
  #oneKey!: StatementSync;

  constructor(clock: Clock, path: string) {
    this.#clock = clock;
    this.#path = path;
  }

  open(): this {
    this.#db = openDatabase(this.#path, { schemas: [SCHEMA] });
    this.#insert = this.#db.prepare('insert or replace into devices values (?, ?, ?, ?, ?, 0)');
    this.#one = this.#db.prepare('select * from devices where id = ? and revoked = 0');
    this.#oneKey = this.#db.prepare('select * from keys where id = ?');
    return this;
  }

  close(): void {
    if (this.#db?.isOpen) this.#db.close();
  }

  register(devices: readonly Device[]): (Device & { secret: string })[] {
    const ids = devices.map((device) => device.id);
    const taken = ids.filter((id, i) => this.#isTaken(id) || ids.indexOf(id) !== i);
    if (taken.length > 0) throw new LamppostError('conflict', `already registered: ${taken.slice(0, 10).join(', ')}`);
    const registeredAt = isoOf(this.#clock.now());
    return this.#change((next) =>
      devices.map((device) => {
        const secret = newSecret();
        this.#insert.run(device.id, JSON.stringify(device), hashSecret(secret), registeredAt, next);
        return { ...device, secret };
      }),
    );
  }

  revoke(id: string): boolean {
    const revoke = 'update devices set revoked = 1, version = ? where id = ?';
    return (
      this.#one.get(id) !== undefined && this.#change((next) => this.#db.prepare(revoke).run(next, id).changes > 0)
    );
  }

  rotate(id: string): string | null {
    const secret = newSecret();
    const changed = this.#db
      .prepare('update devices set hash = ? where id = ? and revoked = 0')
      .run(hashSecret(secret), id);
    return changed.changes > 0 ? secret : null;
  }

  get(id: string): RegisteredDevice | null {
    const row = this.#one.get(id);
    return row === undefined ? null : deviceOf(row);
  }

  list({ limit, after, profile, district }: Parameters<Registry['list']>[0]): Page<RegisteredDevice> {
    const rows = this.#db
      .prepare(
        `select * from devices where revoked = 0 and id > ?1
           and (?2 is null or body ->> 'profile' = ?2) and (?3 is null or body ->> 'district' = ?3)
         order by id limit ?4`,
      )
      .all(after ?? '', profile ?? null, district ?? null, limit + 1);
    const items = rows.slice(0, limit).map(deviceOf);
    return { items, next: rows.length > limit ? items.at(-1)!.id : null };
  }

  count(): number {
    return Number(this.#db.prepare('select count(*) as n from devices where revoked = 0').get()!.n);
  }

  changesSince(since: number): DevicesControl | null {
    const rows = this.#db.prepare('select * from devices where version > ? order by version, id').all(since);
    if (rows.length === 0) return null;
    const registered = rows.filter((row) => row.revoked === 0).map((row) => JSON.parse(row.body as string) as Device);
    const revoked = rows.filter((row) => row.revoked === 1).map((row) => row.id as string);
    return { version: this.#version(), registered, revoked };
  }

  addKey(key: Parameters<Registry['addKey']>[0]): Key & { secret: string } {
    const secret = newSecret();
    const id = `key-${newSecret()
      .slice(0, 8)
      .replace(/[^A-Za-z0-9]/g, 'x')}`;
    this.#db
      .prepare('insert into keys values (?, ?, ?, ?, ?)')
      .run(id, key.name, key.role, key.department, hashSecret(secret));
    return { id, ...key, secret };
  }

  revokeKey(id: string): boolean {
    return this.#db.prepare('delete from keys where id = ?').run(id).changes > 0;
  }

  keys(): Key[] {
    return this.#db.prepare('select * from keys order by id').all().map(keyOfRow);
  }

  keyOf(secret: string): Key | null {
    // The lookup is by the hash of a random secret: its timing does not help to guess one.
    const row = this.#db.prepare('select * from keys where hash = ?').get(hashSecret(secret));
    return row === undefined ? null : keyOfRow(row);
  }

  credentials(): Credential[] {
    return [
      ...this.#db.prepare('select id, hash, body from devices where revoked = 0').all().map(deviceCredential),
      ...this.#db.prepare('select * from keys').all().map(keyCredential),
    ];
  }

  credentialOf(id: string): Credential | null {
    const device = this.#one.get(id);
    if (device !== undefined) return deviceCredential(device);
    const key = this.#oneKey.get(id);
    return key === undefined ? null : keyCredential(key);
  }

  #version(): number {
    return Number(this.#db.prepare('select coalesce(max(n), 0) as n from version').get()!.n);
  }

  #change<T>(work: (version: number) => T): T {
    return transact(this.#db, () => {
      const next = this.#version() + 1;
      const result = work(next);
      this.#db.prepare('delete from version').run();
      this.#db.prepare('insert into version values (?)').run(next);
      return result;
    });
  }

  /** Devices and keys share one namespace of user names. */
  #isTaken(id: string): boolean {
    return id === ADMIN || this.#one.get(id) !== undefined || this.#oneKey.get(id) !== undefined;
  }
}

type Row = Readonly<Record<string, SQLOutputValue>>;

function keyOfRow(row: Row): Key {
  return {
    id: row.id as string,
    name: row.name as string,
    role: row.role as KeyRole,
    department: row.department as string | null,
  };
}

function keyCredential(row: Row): Credential {
  return { identity: { kind: 'key', id: row.id as string, key: keyOfRow(row) }, hash: row.hash as Uint8Array };
}

function deviceCredential(row: Row): Credential {
  const { profile } = JSON.parse(row.body as string) as Device;
  return { identity: { kind: 'device', id: row.id as string, profile }, hash: row.hash as Uint8Array };
}

function deviceOf(row: Row): RegisteredDevice {
  return { ...(JSON.parse(row.body as string) as Device), registeredAt: row.registered_at as string };
}
