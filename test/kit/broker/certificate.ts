import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** A certificate and its private key, PEM. */
export interface Certified {
  readonly name: string;
  readonly cert: string;
  readonly key: string;
}

// X.690: tag, length, content.
function der(tag: number, ...parts: readonly (Buffer | number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
const SEQUENCE = 0x30;
const SET = 0x31;
const OID = 0x06;
const UTF8 = 0x0c;
const COMMON_NAME = [0x55, 0x04, 0x03];
const ECDSA_WITH_SHA256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const signedWith = der(SEQUENCE, der(OID, ECDSA_WITH_SHA256));

const nameOf = (name: string) =>
  der(SEQUENCE, der(SET, der(SEQUENCE, der(OID, COMMON_NAME), der(UTF8, Buffer.from(name)))));
function timeOf(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}
function pem(label: string, bytes: Buffer): string {
  return `-----BEGIN ${label}-----\n${bytes.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`;
}

/**
 * A certificate (RFC 5280, version 1) for a day around now: by `issuer`, or self-signed. Made here, since not every
 * machine has openssl.
 */
export function certificate(name: string, issuer?: Certified): Certified {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const serial = randomBytes(8);
  serial[0]! &= 0x7f;
  serial[0]! |= 1;
  const day = 86_400_000;
  const content = der(
    SEQUENCE,
    der(0x02, serial),
    signedWith,
    nameOf(issuer?.name ?? name),
    der(SEQUENCE, timeOf(new Date(Date.now() - day)), timeOf(new Date(Date.now() + day))),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = sign('sha256', content, issuer?.key ?? key);
  const whole = der(SEQUENCE, content, signedWith, der(0x03, [0], signature));
  return { name, key, cert: pem('CERTIFICATE', whole) };
}
