import { isUtf8 } from 'node:buffer';

/** Kinds of bytes by how they begin. Encodings of text have two bytes or more a character, and so zeros. */
const BEGINNINGS: readonly (readonly [hex: string, name: string])[] = [
  ['1f8b', 'gzip; send it as it is over MQTT, or with Content-Encoding: gzip over HTTP'],
  ['789c', 'zlib; send it as it is over MQTT, or with Content-Encoding: deflate over HTTP'],
  ['7801', 'zlib; send it as it is over MQTT, or with Content-Encoding: deflate over HTTP'],
  ['78da', 'zlib; send it as it is over MQTT, or with Content-Encoding: deflate over HTTP'],
  ['28b52ffd', 'Zstandard; send it as it is over MQTT, or with Content-Encoding: zstd over HTTP'],
  ['fffe0000', 'UTF-32; send UTF-8'],
  ['0000feff', 'UTF-32; send UTF-8'],
  ['fffe', 'UTF-16; send UTF-8'],
  ['feff', 'UTF-16; send UTF-8'],
  ['504b0304', 'a ZIP archive; send the text in it'],
  ['d9d9f7', 'CBOR; SenML in CBOR has a topic of its own'],
];

/** Kinds of texts that are sent where JSON is expected. */
const TEXTS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^$/, 'nothing at all'],
  [/^[[{]\s*'/, 'a text of Python or JavaScript; names and texts of JSON have double quotes'],
  [/^<[?!a-z]/i, 'XML or HTML'],
  [/[\]}]\s*[[{]/, 'several JSON texts; send one, or one array'],
  [/^[0-9a-f]{8,}$/i, 'bytes as hexadecimal digits'],
  [/^[A-Za-z0-9+/_-]{16,}={0,2}$/, 'bytes in Base64'],
  [/^[\w.-]+=[^&\s]*(&[\w.-]+=[^&\s]*)*$/, 'a form (name=value)'],
  [/^[\w ."-]+([,;][\w ."+-]*)+$/, 'CSV'],
];
/** A text is looked at no further. */
const LOOKED_AT = 1_024;

/**
 * Returns what a payload that cannot be read as JSON looks like, as the end of a sentence; empty where it is not known.
 */
export function looksLike(payload: Buffer): string {
  const name = kindOfBytes(payload);
  return name === null ? '' : `; it looks like ${name}`;
}

/** Returns what a payload is that begins as no text in UTF-8 does: packed, or in another encoding; null else. */
export function noText(payload: Buffer): string | null {
  const [first = 0, second = 0] = payload;
  if (payload.length > 3 && (first === 0) !== (second === 0)) return 'UTF-16; send UTF-8';
  return packed(payload);
}

/** Returns the same of bytes that are no text in their format either: their first bytes alone say it. */
export function packed(payload: Buffer): string | null {
  return isUtf8(payload) ? null : beginning(payload);
}

function beginning(payload: Buffer): string | null {
  const start = payload.toString('hex', 0, 4);
  return BEGINNINGS.find(([hex]) => start.startsWith(hex))?.[1] ?? null;
}

function kindOfBytes(payload: Buffer): string | null {
  const [first = 0] = payload;
  const kind = beginning(payload) ?? noText(payload);
  if (kind !== null) return kind;
  if (first >= 0xa0 && first <= 0xbf) return 'CBOR; SenML in CBOR has a topic of its own';
  if (first >= 0x80 && first <= 0x9f) return 'CBOR or MessagePack';
  if (first >= 0xdc && first <= 0xdf) return 'MessagePack';
  if (isProtobuf(payload)) return 'Protocol Buffers; send JSON (in a network server: choose the JSON marshaler)';
  const text = payload.toString('utf8', 0, LOOKED_AT).trim();
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}

/** Bytes of control characters, which no text has, that are fields of Protocol Buffers from the first to the last. */
function isProtobuf(payload: Buffer): boolean {
  let isText = true;
  for (const byte of payload.subarray(0, LOOKED_AT)) isText &&= byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d);
  if (isText) return false;
  let at = 0;
  while (at < payload.length) {
    const end = endOfField(payload, at);
    if (end === null) return false;
    at = end;
  }
  return at === payload.length && at > 1;
}

/** Returns where a field ends; null where there is none. */
function endOfField(payload: Buffer, at: number): number | null {
  const [tag, behind] = varint(payload, at);
  if (tag < 8) return null;
  if (tag % 8 === 0) return varint(payload, behind)[1];
  if (tag % 8 === 1) return behind + 8;
  if (tag % 8 === 5) return behind + 4;
  if (tag % 8 !== 2) return null;
  const [length, from] = varint(payload, behind);
  return from + length;
}

/** Returns a number of at most 35 bits and where it ends; a longer one is read to its end. */
function varint(payload: Buffer, from: number): [value: number, end: number] {
  let value = 0;
  let at = from;
  for (let factor = 1; at < payload.length; at++, factor *= 128) {
    if (at - from < 5) value += (payload[at]! & 0x7f) * factor;
    if (payload[at]! < 0x80) return [value, at + 1];
  }
  return [value, payload.length + 1];
}
