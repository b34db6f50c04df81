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
}

/** A change of the credentials, sent to the broker's thread when devices or keys are added, revoked or rotated. */
export interface CredentialChange {
  readonly set: readonly Credential[];
  /** User names that may no longer connect. Connections whose secret was revoked or replaced are closed. */
  readonly remove: readonly string[];
}

// Compared where the user name is unknown, so that the time is the same.
const UNKNOWN_HASH = Buffer.alloc(32);

/** The broker's copy of the credentials, in memory. User names of devices and keys share one namespace. */
export class Credentials {
  readonly #byUser = new Map<string, { identity: Identity; hash: Buffer }>();

  /** Applies a change; returns the user names whose old secret is no longer valid. */
  apply(change: CredentialChange): ReadonlySet<string> {
    const ended = new Set(change.remove);
    for (const { identity, hash } of change.set) {
      const known = this.#byUser.get(identity.id);
      if (known !== undefined && !sameHash(known.hash, Buffer.from(hash))) ended.add(identity.id);
      this.#byUser.set(identity.id, { identity, hash: Buffer.from(hash) });
    }
    for (const id of change.remove) this.#byUser.delete(id);
    return ended;
  }

  /**
   * Returns the identity of a user name and secret, null where either is wrong. Takes the same time for unknown names.
   */
  verify(username: string, secret: Uint8Array): Identity | null {
    const known = this.#byUser.get(username);
    const same = sameHash(hashSecret(Buffer.from(secret)), known?.hash ?? UNKNOWN_HASH);
    return same && known !== undefined ? known.identity : null;
  }

  /** Returns the identity of a user name and the SHA-256 of its secret. */
  get(username: string): { readonly identity: Identity; readonly hash: Uint8Array } | undefined {
    return this.#byUser.get(username);
  }

  get size(): number {
    return this.#byUser.size;
  }
}
