import type { DatabaseSync } from 'node:sqlite';
import type { Clock, Device, Key, KeyRole } from '../../domain/index.ts';
import { createRegistryReader, hashSecret, newSecret, RegistryRecords } from '../../registry/index.ts';
import { transact } from '../../store/index.ts';

/** Blocks that no log of a test has. */
const FIRST_BLOCK = 1_000_000;

const hashOf = (secret: string) => hashSecret(secret).toString('base64url');

/** Devices and keys in a state file, as if records of the log had made them. */
export function testRegistry(db: DatabaseSync, clock: Clock) {
  const records = new RegistryRecords(db);
  let seq = FIRST_BLOCK;
  const place = () => ({ seq: ++seq, n: 0, atMs: clock.now() });
  return {
    records,
    read: createRegistryReader(db),
    place,
    register(devices: readonly Device[]): (Device & { secret: string })[] {
      const made = devices.map((device) => ({ ...device, secret: newSecret() }));
      const hashed = made.map(({ secret, ...device }) => ({ ...device, hash: hashOf(secret) }));
      transact(db, () => records.devices.register(hashed, place()));
      return made;
    },
    /** Returns the new secret. */
    rotate(id: string, oldUntilMs: number | null = null): string {
      const secret = newSecret();
      transact(db, () => records.devices.rotate(id, { hash: hashOf(secret), oldUntilMs }, place()));
      return secret;
    },
    revoke: (id: string) => transact(db, () => records.devices.revoke(id, place())),
    addKey(
      key: { name: string; role: KeyRole; department: string | null },
      expiresMs: number | null = null,
    ): Key & { secret: string } {
      const secret = newSecret();
      const wanted = { ...key, hash: hashOf(secret), expiresMs, note: '' };
      const { id } = transact(db, () => records.keys.add(wanted, 'admin', place()));
      return { id, ...key, secret };
    },
    revokeKey: (id: string) => transact(db, () => records.keys.revoke(id, place())),
  };
}
