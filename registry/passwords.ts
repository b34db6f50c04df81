import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { LamppostError } from '../domain/index.ts';
import { createTurns, type Turns } from '../limits/index.ts';

/** What one hash costs: 32 MiB and about a fifth of a second (OWASP's second row for scrypt). */
const COST = { N: 2 ** 15, r: 8, p: 3 } as const;
/** Node refuses to use more memory than this. */
const MEMORY = 64 * 2 ** 20;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

export const LEAST_PASSWORD = 12;
export const MOST_PASSWORD = 200;

/** Hashes and checks passwords, a few at once, off the main thread. */
export interface Passwords {
  /** Returns the hash of a new password as the log has it: `scrypt$N$r$p$salt$hash`. Throws `limit`, `busy`. */
  hash(who: string, password: string): Promise<string>;
  /**
   * Returns whether a password is that of a hash; false for null, which takes as long. `who` waits for its own turn;
   * `before` may throw when that has come. Throws `limit`, `busy`.
   */
  verify(who: string, password: string, hash: string | null, before?: () => void): Promise<boolean>;
}

/** At most two threads of libuv's four are busy with guesses; disk and DNS use the others. */
const LIMITS = { atOnce: 2, perHolder: 4, total: 512 };

interface Options {
  readonly turns?: Turns;
  /** Of new hashes, and of unknown names. */
  readonly cost?: { readonly N: number; readonly r: number; readonly p: number };
}

/** Returns passwords of a queue of their own. */
export function createPasswords({ turns = createTurns(LIMITS), cost = COST }: Options = {}): Passwords {
  const nobody = { salt: Buffer.alloc(SALT_BYTES), hash: Buffer.alloc(HASH_BYTES), cost };
  return {
    hash: (who, password) =>
      turns.run(who, async () => {
        const salt = randomBytes(SALT_BYTES);
        const hash = await derive(password, salt, cost);
        return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64url'), hash.toString('base64url')].join('$');
      }),
    verify: (who, password, stored, before) =>
      turns.run(who, async () => {
        before?.();
        const parts = stored === null ? nobody : partsOf(stored);
        const found = await derive(password, parts.salt, parts.cost);
        return timingSafeEqual(found, parts.hash) && stored !== null;
      }),
  };
}

/** Throws `invalid` where a password is too short, too long, or the person's own e-mail address. */
export function checkPassword(password: string, email: string): void {
  const length = [...password].length;
  const why =
    length < LEAST_PASSWORD || length > MOST_PASSWORD
      ? `it has ${length} characters; ${LEAST_PASSWORD} to ${MOST_PASSWORD} are right`
      : password.toLowerCase().includes(email)
        ? 'it contains your e-mail address'
        : new Set(password).size < 5
          ? 'it has fewer than 5 different characters'
          : null;
  if (why !== null) throw new LamppostError('invalid', `password: ${why}`);
}

function partsOf(stored: string) {
  const [, n, r, p, salt, hash] = stored.split('$') as [string, string, string, string, string, string];
  const cost = { N: Number(n), r: Number(r), p: Number(p) };
  return { cost, salt: Buffer.from(salt, 'base64url'), hash: Buffer.from(hash, 'base64url') };
}

function derive(password: string, salt: Buffer, cost: ScryptOptions): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  // The same text typed on another keyboard is the same password (RFC 8265 §4.2).
  scrypt(password.normalize('NFC'), salt, HASH_BYTES, { ...cost, maxmem: MEMORY }, (error, hash) =>
    error === null ? resolve(hash) : reject(error),
  );
  return promise;
}
