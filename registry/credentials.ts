import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Key } from '../domain/index.ts';

/** Returns a new secret: 256 random bits, base64url (43 characters). */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** Returns the SHA-256 of a secret. It needs no salt and no slow hash, because secrets are 256 random bits. */
export function hashSecret(secret: string | Buffer): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares two hashes in constant time. */
export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** The identity of an authenticated MQTT client: a device, or a key of a person or program. */
export type Identity =
  | { readonly kind: 'device'; readonly id: string; readonly profile: string }
  | { readonly kind: 'key'; readonly id: string; readonly key: Key };

/** An identity and the SHA-256 of its secret. */
export interface Credential {
  readonly identity: Identity;
  readonly hash: Uint8Array;
  /** Of the secret before, while it is valid beside the new one; null or absent: there is none. */
  readonly oldHash?: Uint8Array | null;
  /** Whether it may not connect for the time being. */
  readonly suspended?: boolean;
}

/** A change of the credentials, sent to the broker's thread when devices or keys are added, revoked or rotated. */
export interface CredentialChange {
  readonly set: readonly Credential[];
  /** User names that may no longer connect. Connections whose secret was revoked or replaced are closed. */
  readonly remove: readonly string[];
}

// Compared where the user name is unknown, so that the time is the same.
const UNKNOWN_HASH = Buffer.alloc(32);

interface Known {
  readonly identity: Identity;
  readonly hash: Buffer;
  readonly oldHash: Buffer | null;
  readonly suspended: boolean;
}

/** What is wrong with a login: the user name or secret, or the device is suspended. */
export type LoginFault = 'wrong-credentials' | 'suspended';

/** The broker's copy of the credentials, in memory. User names of devices and keys share one namespace. */
export class Credentials {
  readonly #byUser = new Map<string, Known>();

  /** Applies a change; returns the user names of which a secret is no longer valid, or that were suspended. */
  apply(change: CredentialChange): ReadonlySet<string> {
    const ended = new Set(change.remove);
    for (const credential of change.set) {
      const { id } = credential.identity;
      const [before, now] = [this.#byUser.get(id), knownOf(credential)];
      if (before !== undefined && endsWith(before, now)) ended.add(id);
      this.#byUser.set(id, now);
    }
    for (const id of change.remove) this.#byUser.delete(id);
    return ended;
  }

  /**
   * Returns the identity of a user name and secret, null where either is wrong or the device is suspended. Takes the
   * same time for unknown names.
   */
  verify(username: string, secret: Uint8Array): Identity | null {
    const found = this.check(username, secret);
    return typeof found === 'string' ? null : found;
  }

  /** As `verify`, with what is wrong. Only who knows the secret learns that the device is suspended. */
  check(username: string, secret: Uint8Array): Identity | LoginFault {
    const known = this.#byUser.get(username);
    const hash = hashSecret(Buffer.from(secret));
    const isNew = sameHash(hash, known?.hash ?? UNKNOWN_HASH);
    const isOld = sameHash(hash, known?.oldHash ?? UNKNOWN_HASH);
    if (known === undefined || (!isNew && !(isOld && known.oldHash !== null))) return 'wrong-credentials';
    return known.suspended ? 'suspended' : known.identity;
  }

  /** As `check`, for a device that has shown a certificate of its name; keys have secrets only. */
  named(username: string): Identity | LoginFault {
    const known = this.#byUser.get(username);
    if (known?.identity.kind !== 'device') return 'wrong-credentials';
    return known.suspended ? 'suspended' : known.identity;
  }

  /** Returns the identity of a user name and the SHA-256 of its secret. */
  get(username: string): Known | undefined {
    return this.#byUser.get(username);
  }

  get size(): number {
    return this.#byUser.size;
  }
}

function knownOf({ identity, hash, oldHash = null, suspended = false }: Credential): Known {
  return { identity, hash: Buffer.from(hash), oldHash: oldHash === null ? null : Buffer.from(oldHash), suspended };
}

/** Whether connections that were right before have to end: nobody knows with which secret each logged in. */
function endsWith(before: Known, now: Known): boolean {
  const stays = (hash: Buffer) => sameHash(hash, now.hash) || (now.oldHash !== null && sameHash(hash, now.oldHash));
  if (now.suspended && !before.suspended) return true;
  return !stays(before.hash) || (before.oldHash !== null && !stays(before.oldHash));
}
