import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { LamppostError } from '../domain/index.ts';

/** Encrypts what receivers need in clear: only ciphertext is in the log, in the state and in backups. */
export interface Sealer {
  seal(text: string): string;
  /** Throws `invalid` where the text was sealed with another key, or was changed. */
  open(sealed: string): string;
}

const ALGORITHM = 'aes-256-gcm';
const VERSION = 'v1.';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Returns a sealer: AES-256-GCM with a random nonce, under a key that is derived from a secret text (HKDF-SHA-256). */
export function createSealer(secret: string): Sealer {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'lamppost receivers', 32));
  return {
    seal(text) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, key, nonce);
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return VERSION + Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64');
    },
    open(sealed) {
      const bytes = Buffer.from(sealed.slice(VERSION.length), 'base64');
      try {
        const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
        const body = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
        return Buffer.concat([body, decipher.final()]).toString('utf8');
      } catch (error) {
        const message =
          'it was sealed with another key: start with the LAMPPOST_SECRETS_KEY, or the secrets.key, of then';
        throw new LamppostError('invalid', message, { cause: error });
      }
    },
  };
}

/**
 * Returns the secret text of a key file, and makes the file where it does not exist: 256 random bits that only its owner
 * can read. Throws `disk`.
 */
export function readKeyFile(path: string): string {
  try {
    if (!existsSync(path)) writeDurably(path, `${randomBytes(32).toString('hex')}\n`);
    const text = readFileSync(path, 'utf8').trim();
    if (text.length >= 32) return text;
  } catch (error) {
    throw new LamppostError('disk', `${path}: ${(error as Error).message}`, { cause: error });
  }
  throw new LamppostError('disk', `${path} holds no key: restore it from a backup, or set LAMPPOST_SECRETS_KEY`);
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
