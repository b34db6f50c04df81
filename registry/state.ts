import type { DatabaseSync } from 'node:sqlite';

/** The SHA-256 of a secret, base64url: secrets themselves are never in the log. */
export type HashText = string;

/** Returns the bytes of a hash. */
export const hashBytes = (hash: HashText): Buffer => Buffer.from(hash, 'base64url');

/** Where in the log something is decided. */
export interface RecordPlace {
  /** Number of the block. */
  readonly seq: number;
  /** Number within the block. */
  readonly n: number;
  /** The log's time, epoch ms. */
  readonly atMs: number;
}

/** User name of the key in the settings, which is not in the registry. */
export const ADMIN = 'admin';

/** What devices and keys share: the namespace of user names, and the block that changed one of them last. */
export interface RegistryState {
  isTaken(id: string): boolean;
  changedAt(seq: number): void;
  /** Whether the file of before has been taken over. */
  tookOver(): boolean;
  setTookOver(): void;
}

/** Returns the shared state over a file that has `REGISTRY_SCHEMA`. */
export function createRegistryState(db: DatabaseSync): RegistryState {
  const taken = db.prepare(`
    select 1 from registry_devices where id = ?1 and revoked = 0
    union all select 1 from registry_keys where id = ?1 limit 1`);
  const changed = db.prepare('update registry_state set changed = max(changed, ?)');
  const tookOver = db.prepare('select taken_over from registry_state');
  const setTookOver = db.prepare('update registry_state set taken_over = 1');
  return {
    isTaken: (id) => id === ADMIN || taken.get(id) !== undefined,
    changedAt: (seq) => void changed.run(seq),
    tookOver: () => tookOver.get()?.taken_over === 1,
    setTookOver: () => void setTookOver.run(),
  };
}
