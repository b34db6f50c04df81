import { createHmac, randomBytes } from 'node:crypto';

/** How long one code is shown, and how many digits it has: what every authenticator app knows. */
const STEP_MS = 30_000;
const DIGITS = 6;
/** Codes of one step before and after count too, because clocks differ (RFC 6238 §5.2). */
const DRIFT = 1;
/** RFC 4226 §4 R6 recommends 160 bits. */
const SECRET_BYTES = 20;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** Returns a new secret in Base32, as authenticator apps take it. */
export function newTotpSecret(): string {
  return [...randomBytes(SECRET_BYTES)]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
    .match(/.{5}/g)!
    .map((bits) => ALPHABET[Number.parseInt(bits, 2)])
    .join('');
}

/** A secret in Base32, as `newTotpSecret` returns it. */
export const TOTP_SECRET = /^[A-Z2-7]{32}$/;

/** Returns the address that authenticator apps read, such as from a QR code. */
export function totpUri(secret: string, email: string, issuer: string): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(email)}`;
  return `otpauth://totp/${label}?secret=${secret}&issuer=${encodeURIComponent(issuer)}`;
}

/** Returns the code of a step: the number of half minutes since 1970 (RFC 6238 §4, RFC 4226 §5.3). */
export function totpCode(secret: string, step: number, digits = DIGITS): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', bytesOf(secret)).update(counter).digest();
  const at = mac.at(-1)! & 0xf;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 10 ** digits).padStart(digits, '0');
}

/** Returns the step of a code that is right now; null where it is wrong. */
export function totpStep(secret: string, code: string, nowMs: number): number | null {
  const now = Math.floor(nowMs / STEP_MS);
  for (let step = now - DRIFT; step <= now + DRIFT; step++) {
    if (totpCode(secret, step) === code) return step;
  }
  return null;
}

function bytesOf(secret: string): Buffer {
  const bits = [...secret].map((one) => ALPHABET.indexOf(one).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
