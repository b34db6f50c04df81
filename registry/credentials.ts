import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Key } from '../domain/index.ts';

/** A new secret: 256 random bits, base64url (43 characters). */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** SHA-256 of a secret. No salt and no slow hash: the secrets are random, so that guessing is hopeless as it is. */
export function hashSecret(secret: string | Buffer): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares two hashes in constant time. */
export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Who an MQTT client is, once authenticated: a device, or a key of a person or program. */
export type Identity =
  | { readonly kind: 'device'; readonly id: string }
  | { readonly kind: 'key'; readonly id: string; readonly key: Key };

/** One line of what the broker knows: an identity and the SHA-256 of its secret. */
export interface Credential {
  readonly identity: Identity;
  readonly hash: Uint8Array;
}

/** A change of the credentials: sent to the broker's thread when devices or keys come and go. */
export interface CredentialChange {
  readonly set: readonly Credential[];
  /** User names that may no longer connect. Connections that were opened with a secret that is gone or replaced are cut. */
  readonly remove: readonly string[];
}

const NOBODY = Buffer.alloc(32);

/** The broker's own copy of the credentials, in memory. User names of devices and keys share one space. */
export class Credentials {
  readonly #byUser = new Map<string, { identity: Identity; hash: Buffer }>();

  /** Takes a change over; answers the user names whose old secret is worth nothing any more. */
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

  /** The identity behind a user name and secret, or null. Takes the same time whether or not the name is known. */
  verify(username: string, secret: Uint8Array): Identity | null {
    const known = this.#byUser.get(username);
    const same = sameHash(hashSecret(Buffer.from(secret)), known?.hash ?? NOBODY);
    return same && known !== undefined ? known.identity : null;
  }

  /** The identity of a user name and the SHA-256 of its secret. */
  get(username: string): { readonly identity: Identity; readonly hash: Uint8Array } | undefined {
    return this.#byUser.get(username);
  }

  get size(): number {
    return this.#byUser.size;
  }
}
