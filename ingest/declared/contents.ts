import { isUtf8 } from 'node:buffer';
import { decode as decodeMessagePack } from '@msgpack/msgpack';
import { compilePath } from '../../city-model/index.ts';
import { type DeclaredFormat, excessOf, type Rejection } from '../../domain/index.ts';
import { isObject, kindOf, nulsBehind, type Past, readJson } from '../decode/format.ts';
import { noText, packed } from '../decode/looks-like.ts';
import { cborIn } from '../decode/senml-cbor.ts';
import { readFrame } from './frame.ts';
import { readProtobuf } from './protobuf.ts';
import { ONLINE_TOO, readSparkplug } from './sparkplug.ts';
import { readCsv, readLineProtocol, readPairs, readUltraLight } from './texts.ts';

const MOST_DEPTH = 16;
const HEX = /^(?:[0-9A-Fa-f]{2})+$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/** Reads the bytes of a payload as a value in which paths find their parts, and says what of it cannot be read. */
export type Content = (
  payload: Buffer,
  past: Past | null,
) => { readonly value: unknown; readonly faults?: readonly Rejection[] } | Rejection;

/** Returns the reader of a format's content. */
export function contentOf(format: DeclaredFormat): Content {
  const read = format.content === 'sparkplug-b' ? null : withFrame(readerOf(format), format);
  const named = NAMES[format.content];
  // Texts say it themselves, and a frame may begin as it likes.
  const isBinary = ['cbor', 'messagepack', 'protobuf', 'sparkplug-b'].includes(format.content);
  return (payload, past) => {
    try {
      if (read === null) return readSparkplug(payload, past, format.rows === ONLINE_TOO ? ONLINE_TOO : 'rows');
      const faults: Rejection[] = [];
      return { value: read(payload, faults), faults };
    } catch (error) {
      const kind = isBinary ? packed(payload) : null;
      const why = `${(error as Error).message.slice(0, 200)}${kind === null ? '' : `; it looks like ${kind}`}`;
      return { reason: 'malformed', path: '$', detail: `not ${named}: ${why}` };
    }
  };
}

const NAMES: Readonly<Record<DeclaredFormat['content'], string>> = {
  json: 'JSON',
  cbor: 'CBOR',
  messagepack: 'MessagePack',
  protobuf: 'this message of Protocol Buffers',
  'sparkplug-b': 'a payload of Sparkplug B',
  'home-assistant': 'JSON',
  csv: 'CSV',
  'key-value': 'names and values',
  ultralight: 'UltraLight 2.0',
  'line-protocol': 'line protocol',
  text: 'a text',
  bytes: 'a frame of this layout',
  hex: 'a frame of this layout in hex',
  base64: 'a frame of this layout in base64',
};

/** Returns what a payload is, and adds what of it cannot be read; throws where nothing can. */
type Read = (payload: Buffer, faults: Rejection[]) => unknown;

function readerOf(format: DeclaredFormat): Read {
  const { layout, proto } = format;
  switch (format.content) {
    // Both have readers of their own.
    case 'sparkplug-b':
    case 'home-assistant':
    case 'json':
      return jsonOf;
    case 'cbor':
      return (payload, faults) => plain(cborIn(payload, faults));
    case 'messagepack':
      return messagePackOf;
    case 'protobuf':
      return (payload) => readProtobuf(payload, proto!.types, proto!.message);
    case 'csv':
      return (payload, faults) => readCsv(textOf(payload, faults), format.separator ?? ',', format.columns, faults);
    case 'key-value':
      return (payload, faults) => readPairs(textOf(payload, faults), format.separator, format.equals, faults);
    case 'ultralight':
      return (payload, faults) => readUltraLight(textOf(payload, faults), faults);
    case 'line-protocol':
      return (payload, faults) => readLineProtocol(textOf(payload, faults), faults);
    case 'text':
      return (payload, faults) => textOf(payload, faults).trim();
    case 'bytes':
      return (payload) => readFrame(payload, layout!);
    case 'hex':
    case 'base64':
      return (payload, faults) => readFrame(bytesOf(textOf(payload, faults).trim(), format.content as 'hex'), layout!);
  }
}

function jsonOf(payload: Buffer, faults: Rejection[]): unknown {
  const json = readJson(payload);
  if ('reason' in json) throw new Error(json.detail.replace(/^not JSON: /, ''));
  faults.push(...json.faults);
  return json.value;
}

/**
 * A byte order mark is passed over; so are NUL bytes behind the text, but that is said. Throws where it is no text at
 * all: its bytes would become names and values that nothing reads.
 */
function textOf(payload: Buffer, faults: Rejection[]): string {
  const kind = noText(payload);
  if (kind !== null) throw new Error(`it looks like ${kind}`);
  let end = payload.length;
  while (end > 0 && payload[end - 1] === 0) end--;
  if (end < payload.length) faults.push(nulsBehind(payload.length - end, '$'));
  const text = payload.toString('utf8', 0, end);
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** Adds the values of the frame inside a message, as `frame`. */
function withFrame(read: Read, { frame, layout }: DeclaredFormat): Read {
  if (frame === null || layout === null) return read;
  const path = compilePath(frame.at);
  if (typeof path === 'string') throw new Error(path);
  return (payload, faults) => {
    const message = read(payload, faults);
    const bytes = path.read(message);
    const values = readFrame(
      bytes instanceof Uint8Array ? Buffer.from(bytes) : bytesOf(String(bytes ?? ''), frame.encoding),
      layout,
    );
    return isObject(message) ? { ...message, frame: values } : { frame: values };
  };
}

function bytesOf(text: string, encoding: 'hex' | 'base64'): Buffer {
  if (!(encoding === 'hex' ? HEX : BASE64).test(text)) throw new Error(`"${text.slice(0, 60)}" is not ${encoding}`);
  return Buffer.from(text, encoding);
}

/** Maps become objects; integers beyond 2^53 the nearest number. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, one] of value) {
    if (typeof key !== 'string' && typeof key !== 'number') throw new Error(`${kindOf(key)} as a key`);
    object[String(key)] = plain(one);
  }
  return object;
}

/** Reads MessagePack; bytes of texts that are no UTF-8 become U+FFFD, as in JSON. */
function messagePackOf(payload: Buffer, faults: Rejection[]): unknown {
  let isGood = true;
  const pairs = checkLengths(payload, (from, to) => {
    isGood &&= isAscii(payload, from, to) || isUtf8(payload.subarray(from, to));
  });
  const most = { maxArrayLength: payload.length, maxMapLength: payload.length };
  const raw = isGood ? {} : { rawStrings: true, keyDecoder: KEYS };
  const value = decodeMessagePack(payload, { ...most, useBigInt64: false, ...raw });
  if (excessOf(value, MOST_DEPTH) !== null) throw new Error(`nested deeper than ${MOST_DEPTH} levels`);
  if (keysIn(value) < pairs) {
    const detail = 'an object has a key more than once; the last value counts';
    faults.push({ reason: 'ambiguous', path: '$', detail });
  }
  return isGood ? value : withTexts(value, payload);
}

function isAscii(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at]! >= 0x80) return false;
  return true;
}

/** Whether a decoded value is a map; neither bytes nor what an extension stands for is. */
const isMap = (value: unknown): value is Record<string, unknown> =>
  isObject(value) && Object.getPrototypeOf(value) === Object.prototype;

/** The number of keys in all maps of a value. */
function keysIn(value: unknown): number {
  if (!Array.isArray(value) && !isMap(value)) return 0;
  let keys = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const one of Object.values(value)) if (typeof one === 'object') keys += keysIn(one);
  return keys;
}

/** Makes texts of those bytes of a value that are texts in its payload. */
function withTexts(value: unknown, payload: Buffer): unknown {
  const texts = new Set<number>();
  checkLengths(payload, (from) => texts.add(payload.byteOffset + from));
  const read = (one: unknown): unknown => {
    if (one instanceof Uint8Array && texts.has(one.byteOffset)) return Buffer.from(one).toString();
    if (Array.isArray(one)) return one.map(read);
    return isMap(one) ? Object.fromEntries(Object.entries(one).map(([name, part]) => [name, read(part)])) : one;
  };
  return read(value);
}

/** The library takes bytes of a short text that are no UTF-8 for characters of their own. */
const KEYS = {
  canBeCached: () => true,
  decode: (bytes: Uint8Array, at: number, length: number) => Buffer.from(bytes.subarray(at, at + length)).toString(),
};

/** Items of a list or map, or bytes of a text: how wide the length is, items or bytes for each, bytes beside it. */
interface Sized {
  readonly width: 1 | 2 | 4;
  readonly items: number;
  readonly extra: number;
}

const texts = { items: 0, extra: 0 };
const extensions = { items: 0, extra: 1 };
const SIZED: ReadonlyMap<number, Sized> = new Map<number, Sized>([
  [0xc4, { width: 1, ...texts }],
  [0xc5, { width: 2, ...texts }],
  [0xc6, { width: 4, ...texts }],
  [0xc7, { width: 1, ...extensions }],
  [0xc8, { width: 2, ...extensions }],
  [0xc9, { width: 4, ...extensions }],
  [0xd9, { width: 1, ...texts }],
  [0xda, { width: 2, ...texts }],
  [0xdb, { width: 4, ...texts }],
  [0xdc, { width: 2, items: 1, extra: 0 }],
  [0xdd, { width: 4, items: 1, extra: 0 }],
  [0xde, { width: 2, items: 2, extra: 0 }],
  [0xdf, { width: 4, items: 2, extra: 0 }],
]);
/** Bytes of a value of fixed size with its first byte, from 0xca (float 32) and from 0xcc on. */
const FIXED = [5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18];
const FIRST_FIXED = 0xca;

/**
 * Returns how many keys all maps have, and calls `onText` with the bounds of each text. Throws where lists declare more
 * items than there are bytes left for: the library makes room for what each declares, so that lists in lists would take
 * the square of the message (https://github.com/msgpack/msgpack/blob/master/spec.md).
 */
function checkLengths(bytes: Buffer, onText: (from: number, to: number) => void): number {
  let pairs = 0;
  let at = 0;
  for (let left = 1; left > 0; left--) {
    if (left > bytes.length - at) throw new Error('it ends too early');
    const first = bytes[at]!;
    const sized = SIZED.get(first);
    if (sized !== undefined) {
      const { width, items, extra } = sized;
      if (at + 1 + width > bytes.length) throw new Error('it ends too early');
      const length = bytes.readUIntBE(at + 1, width);
      left += length * items;
      at += 1 + width;
      if (items === 2) pairs += length;
      if (first >= 0xd9 && first <= 0xdb) onText(at, Math.min(at + length, bytes.length));
      if (items === 0) at += length + extra;
    } else if (first >= 0x80 && first < 0x90) {
      left += 2 * (first & 15);
      pairs += first & 15;
      at++;
    } else if (first >= 0x90 && first < 0xa0) {
      left += first & 15;
      at++;
    } else if (first >= 0xa0 && first < 0xc0) {
      const from = at + 1;
      at = from + (first & 31);
      onText(from, Math.min(at, bytes.length));
    } else at += FIXED[first - FIRST_FIXED] ?? 1;
  }
  return pairs;
}
