import { isIPv4, isIPv6 } from 'node:net';
import type { MqttReason } from '../domain/index.ts';

/** Why the beginning of a connection is not a header of the PROXY protocol. */
export type HeaderRefusal = Extract<MqttReason, 'no-proxy-header' | 'malformed-proxy-header' | 'proxy-header-too-long'>;

/**
 * A header that was read: the address of the client, null where the proxy speaks for itself or does not know it, and
 * the number of bytes after which the client's own begin.
 */
export interface ProxyHeader {
  readonly address: string | null;
  readonly length: number;
}

const V1 = Buffer.from('PROXY ');
/** §2.1: the longest line, CRLF included. */
const V1_MOST = 107;
const CRLF = '\r\n';
const PORT = /^(0|[1-9]\d{0,4})$/;

/** §2.2. */
const V2 = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const V2_FIXED = 16;
/** Addresses need 216 bytes at most; the rest is for TLVs, such as the name in a client's certificate. */
const V2_MOST = 4_096;
const LOCAL = 0x20;
const PROXY = 0x21;
/** Bytes of addresses and ports, by family (none, IPv4, IPv6, UNIX) and protocol (none, stream, datagram). */
const V2_FAMILIES = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x12, 12],
  [0x21, 36],
  [0x22, 36],
  [0x31, 216],
  [0x32, 216],
]);
const TCP4 = 0x11;
const TCP6 = 0x21;

/**
 * Reads a header of the PROXY protocol, version 1 or 2, from the first bytes of a connection (HAProxy's specification,
 * proxy-protocol.txt). Returns null where more bytes are needed, and the reason where the connection must end: a
 * receiver that expects a header does not guess whether there is one (§2).
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | HeaderRefusal | null {
  if (begins(bytes, V1)) return readV1(bytes);
  if (begins(bytes, V2)) return readV2(bytes);
  return 'no-proxy-header';
}

/** Returns whether the bytes begin as a header does, as far as they go. */
function begins(bytes: Buffer, signature: Buffer): boolean {
  const common = Math.min(bytes.length, signature.length);
  return bytes.subarray(0, common).equals(signature.subarray(0, common));
}

function readV1(bytes: Buffer): ProxyHeader | HeaderRefusal | null {
  const line = bytes.toString('latin1', 0, V1_MOST);
  const end = line.indexOf(CRLF);
  if (end === -1) return bytes.length < V1_MOST ? null : 'proxy-header-too-long';
  const length = end + CRLF.length;
  const [, family, ...rest] = line.slice(0, end).split(' ');
  // §2.1: what follows UNKNOWN is ignored.
  if (family === 'UNKNOWN') return { address: null, length };
  const [from, to, ...ports] = rest;
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : null;
  if (isAddress === null || !isAddress(from ?? '') || !isAddress(to ?? '')) return 'malformed-proxy-header';
  return ports.length === 2 && ports.every(isPort) ? { address: from!, length } : 'malformed-proxy-header';
}

const isPort = (text: string) => PORT.test(text) && Number(text) <= 65_535;

function readV2(bytes: Buffer): ProxyHeader | HeaderRefusal | null {
  if (bytes.length < V2_FIXED) return null;
  const command = bytes[12]!;
  const family = bytes[13]!;
  const follows = bytes.readUInt16BE(14);
  const length = V2_FIXED + follows;
  if (length > V2_MOST) return 'proxy-header-too-long';
  if (command !== LOCAL && command !== PROXY) return 'malformed-proxy-header';
  if (bytes.length < length) return null;
  // §2.2: with LOCAL the proxy speaks for itself, and the family is ignored.
  if (command === LOCAL) return { address: null, length };
  const needed = V2_FAMILIES.get(family);
  if (needed === undefined || follows < needed) return 'malformed-proxy-header';
  return { address: addressOf(family, bytes.subarray(V2_FIXED)), length };
}

function addressOf(family: number, addresses: Buffer): string | null {
  if (family === TCP4) return addresses.subarray(0, 4).join('.');
  if (family !== TCP6) return null;
  const groups = Array.from({ length: 8 }, (_, i) => addresses.readUInt16BE(2 * i).toString(16));
  return groups.join(':');
}

/** Returns a header of version 1 for a client at this address; `UNKNOWN` where the text is no address. */
export function proxyHeaderOf(address: string): string {
  const [plain] = address.split('%', 1) as [string];
  if (isIPv4(plain)) return `PROXY TCP4 ${plain} 127.0.0.1 0 0${CRLF}`;
  return isIPv6(plain) ? `PROXY TCP6 ${plain} ::1 0 0${CRLF}` : `PROXY UNKNOWN${CRLF}`;
}
