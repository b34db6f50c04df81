import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { LamppostError } from '../domain/index.ts';

/**
 * Encrypts what must be readable later: only ciphertext is in the log, in the state, in backups and on disks of NATS.
 */
export interface Sealer {
  seal(text: string): string;
  /** Throws `invalid` where the text was sealed with another key, or was changed. */
  open(sealed: string): string;
  sealBytes(bytes: Uint8Array): Buffer;
  /** Throws like `open`. */
  openBytes(sealed: Uint8Array): Buffer;
}

const ALGORITHM = 'aes-256-gcm';
const VERSION = 'v1.';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Returns a sealer: AES-256-GCM with a random nonce, under a key that is derived from a secret text and a purpose
 * (HKDF-SHA-256).
 */
export function createSealer(secret: string, purpose = 'lamppost receivers'): Sealer {
  const key = Buffer.from(hkdfSync('sha256', secret, '', purpose, 32));
  function sealBytes(bytes: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, key, nonce);
    return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  }
  function openBytes(sealed: Uint8Array): Buffer {
    try {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch (error) {
      const message =
        'it was sealed with another key: start with the LAMPPOST_SECRETS_KEY, or the secrets.key, of then';
      throw new LamppostError('invalid', message, { cause: error });
    }
  }
  return {
    sealBytes,
    openBytes,
    seal: (text) => VERSION + sealBytes(Buffer.from(text)).toString('base64'),
    open: (sealed) => openBytes(Buffer.from(sealed.slice(VERSION.length), 'base64')).toString('utf8'),
  };
}

/**
 * Returns the secret text of a key file, and makes the file where it does not exist: 256 random bits that only its
 * owner can read. Throws `disk`.
 */
export function readKeyFile(path: string): string {
  try {
    if (!existsSync(path)) writeDurably(path, `${randomBytes(32).toString('hex')}\n`);
    const text = readFileSync(path, 'utf8').trim();
    if (text.length >= SHORTEST) return text;
  } catch (error) {
    throw new LamppostError('disk', `${path}: ${(error as Error).message}`, { cause: error });
  }
  throw new LamppostError('disk', `${path} holds no key: restore it from a backup, or set LAMPPOST_SECRETS_KEY`);
}

/** Characters. */
const SHORTEST = 32;

/** Returns what is wrong with a key file; null where it holds a key, or does not exist. */
export function keyFileFault(path: string): string | null {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return null;
  if (!found.isFile()) return 'it is no file';
  return readFileSync(path, 'utf8').trim().length < SHORTEST ? 'it holds no key' : null;
}

function writeDurably(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
