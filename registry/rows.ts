import { type Device, isoOf, type Key, type KeyRole } from '../domain/index.ts';
import type { Credential } from './credentials.ts';

/** A device, and what the registry says of it. Times are ISO 8601 UTC. */
export type RegisteredDevice = Device & {
  readonly registeredAt: string;
  /** Of the device as it is here: 1, 2, 3 …; `If-Match` names it. */
  readonly version: number;
  readonly suspended: boolean;
  /** Until when the secret before the last rotation is valid too; null where it is not. */
  readonly oldSecretUntil: string | null;
  /** When other hardware took its place; null where none did. */
  readonly replacedAt: string | null;
};

/** A key, and what the registry says of it. Times are ISO 8601 UTC. */
export type RegisteredKey = Key & {
  readonly version: number;
  /** Null where it is from before this was noted. */
  readonly createdAt: string | null;
  /** Id of the key that made it. */
  readonly createdBy: string | null;
  readonly expiresAt: string | null;
  readonly note: string;
  readonly oldSecretUntil: string | null;
  /** To the minute; null where it was never used. */
  readonly lastUsedAt: string | null;
};

/** The stored part of a key: what does not change by itself. */
export interface KeyBody extends Omit<Key, 'id'> {
  readonly createdMs: number | null;
  readonly createdBy: string | null;
  readonly note: string;
}

interface SecretRow {
  readonly id: string;
  readonly body: string;
  readonly hash: Uint8Array;
  readonly old_hash: Uint8Array | null;
  readonly old_until_ms: number | null;
  readonly version: number;
  readonly changed: number;
  readonly revoked: number;
}

/** A row of `registry_devices`. */
export interface DeviceRow extends SecretRow {
  readonly suspended: number;
  readonly registered_ms: number;
  readonly replaced_ms: number | null;
}

/** A row of `registry_keys`; `used_ms` where the query joins it. */
export interface KeyRow extends SecretRow {
  readonly expires_ms: number | null;
  readonly used_ms?: number | null;
}

const isoOrNull = (ms: number | null) => (ms === null ? null : isoOf(ms));

export function deviceOf(row: DeviceRow): RegisteredDevice {
  return {
    ...(JSON.parse(row.body) as Device),
    registeredAt: isoOf(row.registered_ms),
    version: row.version,
    suspended: row.suspended === 1,
    oldSecretUntil: isoOrNull(row.old_until_ms),
    replacedAt: isoOrNull(row.replaced_ms),
  };
}

export function keyOf({ id, body }: Pick<KeyRow, 'id' | 'body'>): Key {
  const { createdMs: _, createdBy: __, note: ___, ...key } = JSON.parse(body) as KeyBody & { role: KeyRole };
  return { id, ...key };
}

export function registeredKeyOf(row: KeyRow): RegisteredKey {
  const { createdMs, createdBy, note } = JSON.parse(row.body) as KeyBody;
  return {
    ...keyOf(row),
    version: row.version,
    createdAt: isoOrNull(createdMs),
    createdBy,
    note,
    expiresAt: isoOrNull(row.expires_ms),
    oldSecretUntil: isoOrNull(row.old_until_ms),
    lastUsedAt: isoOrNull(row.used_ms ?? null),
  };
}

export function deviceCredential(row: DeviceRow): Credential {
  const { profile } = JSON.parse(row.body) as Device;
  const identity = { kind: 'device', id: row.id, profile } as const;
  return { identity, hash: row.hash, oldHash: row.old_hash, suspended: row.suspended === 1 };
}

export function keyCredential(row: KeyRow): Credential {
  const identity = { kind: 'key', id: row.id, key: keyOf(row) } as const;
  return { identity, hash: row.hash, oldHash: row.old_hash, suspended: false };
}
