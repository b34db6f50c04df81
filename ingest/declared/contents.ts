import { decode as decodeMessagePack } from '@msgpack/msgpack';
import { compilePath } from '../../city-model/index.ts';
import { type DeclaredFormat, excessOf, type Rejection } from '../../domain/index.ts';
import { isObject, kindOf, nulsBehind, type Past, readJson } from '../decode/format.ts';
import { cborIn } from '../decode/senml-cbor.ts';
import { readFrame } from './frame.ts';
import { readProtobuf } from './protobuf.ts';
import { readSparkplug } from './sparkplug.ts';
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
  return (payload, past) => {
    try {
      if (read === null) return readSparkplug(payload, past);
      const faults: Rejection[] = [];
      return { value: read(payload, faults), faults };
    } catch (error) {
      return { reason: 'malformed', path: '$', detail: `not ${named}: ${(error as Error).message}`.slice(0, 300) };
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
      return (payload) => messagePackOf(payload);
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
  const json = readJson(payload.toString('utf8'));
  if ('reason' in json) throw new Error(json.detail.replace(/^not JSON: /, ''));
  faults.push(...json.faults);
  return json.value;
}

/** A byte order mark is passed over; so are NUL bytes behind the text, but that is said. */
function textOf(payload: Buffer, faults: Rejection[]): string {
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

function messagePackOf(payload: Buffer): unknown {
  checkLengths(payload);
  const most = payload.length;
  const value = decodeMessagePack(payload, { maxArrayLength: most, maxMapLength: most, useBigInt64: false });
  if (excessOf(value, MOST_DEPTH) !== null) throw new Error(`nested deeper than ${MOST_DEPTH} levels`);
  return value;
}

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
 * Throws where lists declare more items than there are bytes left for: the library makes room for what each declares,
 * so that lists in lists would take the square of the message (https://github.com/msgpack/msgpack/blob/master/spec.md).
 */
function checkLengths(bytes: Buffer): void {
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
      at += 1 + width + (items === 0 ? length + extra : 0);
    } else if (first >= 0x80 && first < 0x90) {
      left += 2 * (first & 15);
      at++;
    } else if (first >= 0x90 && first < 0xa0) {
      left += first & 15;
      at++;
    } else if (first >= 0xa0 && first < 0xc0) at += 1 + (first & 31);
    else at += FIXED[first - FIRST_FIXED] ?? 1;
  }
}
