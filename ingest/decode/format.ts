import type { DeviceSaid, Rejection } from '../../domain/index.ts';
import type { Codec } from '../codecs/index.ts';
import { readLeniently, Unreadable } from './lenient-json.ts';
import { looksLike } from './looks-like.ts';

/** One reading as a decoder found it, not yet validated. */
export interface RawReading {
  /** JSON path of the reading in the message: `$`, `$[2]`, `$.uplink_message.decoded_payload`. */
  readonly path: string;
  /** The device that the reading itself names; absent: that of the message. */
  readonly device?: string;
  /** ISO 8601 text or epoch ms; undefined where the message has no time. */
  readonly ts: unknown;
  /** Values by field name; the profile maps fields to metrics. */
  readonly metrics: Readonly<Record<string, unknown>>;
  /** Units by field name where the format carries them; null where values are in the units of the profile. */
  readonly units: Readonly<Record<string, string>> | null;
  /** JSON path of the time; absent: `{path}.ts`. */
  readonly timePath?: string;
  /** The unit of times that are numbers in the message; absent: milliseconds. `ts` has milliseconds in any case. */
  readonly timeUnit?: 'seconds';
  /** Further times in the message, the best first: the first one that the city accepts counts. */
  readonly otherTimes?: readonly TimeIn[];
  /** JSON path of each value by field name; absent: `{path}.metrics.{field}`. */
  readonly paths?: Readonly<Record<string, string>>;
  /** Other names of a field, the best first, for fields that the profile does not know by their own name. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
  /** Whether texts that are numbers count as numbers, as they do where firmware or codecs write every value as text. */
  readonly numbersAsTexts?: true;
  /** What the message says of the quality of the values: one for all, or by field name. */
  readonly quality?: unknown;
  /** Of fields whose name the message has in several quantities: one unit of each, in their order. */
  readonly quantities?: Readonly<Record<string, readonly string[]>>;
}

/** A time that a message has, and its JSON path. */
export interface TimeIn {
  readonly ts: unknown;
  readonly timePath: string;
}

/** The result of decoding a payload: raw readings, and rejections for parts that are no reading. */
export interface Decoded {
  readonly readings: readonly RawReading[];
  readonly rejections: readonly Rejection[];
  /**
   * LoRaWAN: session, frame counter and content of the frame. The same again within ten minutes is the same frame,
   * received by another gateway or delivered later.
   */
  readonly uplink?: string;
  /** What it says beside readings, once its device is known. */
  readonly said?: (device: string) => DeviceSaid;
}

/** What a decoder may know beside the payload: where the message came, and what earlier ones said (ADR 53). */
export interface Past {
  readonly topic: string;
  /** Who sent it. */
  readonly identity: string;
  /** The device of the message. */
  readonly device: string;
  /** The DevEUI of its hardware, where that is not its id. */
  readonly devEui: string | undefined;
  /** Returns what was known of a device at this message, this one included; null: nothing. */
  recall(device: string, name: string): { readonly body: unknown; readonly isNew: boolean } | null;
  /** Whether what was said under one name is newer than what was said under another one. */
  isNewer(one: readonly [device: string, name: string], other: readonly [device: string, name: string]): boolean;
  /**
   * Keeps what the message says of its device, for itself and the messages after it. Returns false where it is too
   * much.
   */
  learn(name: string, body: unknown): boolean;
  /**
   * Counts the messages of who publishes for this device and others, by their numbers. Returns how many are missing
   * before this one. 0 where the sender may not publish for that one.
   */
  missing(publisher: string, number: number, restarts: boolean): number;
}

/** A payload format of devices or network servers. */
export interface Format {
  readonly name: string;
  /**
   * Pure. Returns a rejection where nothing of the payload can be read. `receivedAt` is epoch ms, the base of relative
   * times, `codec` what decodes raw frames of the device, `past` what earlier messages said; without it they said
   * nothing.
   */
  readonly decode: (
    payload: Buffer,
    receivedAt: number,
    codec?: Codec | null,
    past?: Past | null,
  ) => Decoded | Rejection;
  /**
   * For formats where only the payload names the device: returns its id, null where it names none or several. With
   * `wanted`, that one where it is among them.
   */
  readonly deviceOf?: (payload: Buffer, wanted?: string) => string | null;
}

/** The formats that a city declares, compiled. */
export interface DeclaredFormats {
  /** Returns the format of a topic, and the device that the topic names; null where none matches. */
  match(topic: string): { readonly format: Format; readonly device: string | null } | null;
  /** Returns a format by its name. */
  named(id: string): Format | null;
}

/** A city without declared formats. */
export const NO_FORMATS: DeclaredFormats = { match: () => null, named: () => null };

const MOST_SHOWN = 60;

/** Returns whether a decoded value is an object with fields. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Unreadable);
}

/** Returns the kind of a value in words: `nothing`, `null`, `an array`, `a string`. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Unreadable) return value.text === '' ? 'nothing' : shortened(value.text);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * Returns a short text for a value of any kind, for error messages. Arrays and objects are only named: to write out one
 * that is nested deeply would overflow the stack.
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shortened(value));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : kindOf(value);
}

/** Returns at most 60 characters of a text that a sender chose, so that no refusal is as long as a message. */
export function shortened(text: string): string {
  return text.length <= MOST_SHOWN ? text : `${text.slice(0, MOST_SHOWN)}…`;
}

/** A JSON text that was read. */
export interface ReadJson {
  readonly value: unknown;
  /** What was passed over: keys that an object has twice, NUL bytes behind the end. */
  readonly faults: readonly Rejection[];
  /** Where values of it are no JSON (`NaN`) and are read as `Unreadable`: the refusal if nothing else is in it. */
  readonly broken: Rejection | null;
}

/**
 * Reads a JSON text (RFC 8259) of a payload. What is certain is read: a byte order mark before it and NUL bytes behind
 * it are passed over, values that are no JSON become `Unreadable`, bytes that are no UTF-8 become U+FFFD. Returns a
 * rejection where it is malformed beyond that, and what it looks like.
 */
export function readJson(payload: Buffer | string, path = '$'): ReadJson | Rejection {
  const text = typeof payload === 'string' ? payload : payload.toString('utf8');
  if (text.endsWith('\0')) return withoutNuls(text, payload, path);
  return parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text, payload, path);
}

function parse(text: string, payload: Buffer | string, path: string): ReadJson | Rejection {
  try {
    const value: unknown = JSON.parse(text);
    if (keysOf(value, 0) === colonsOf(text)) return { value, faults: NONE, broken: null };
    return { value, faults: (readLeniently(text, path)?.repeated ?? []).map(repetition), broken: null };
  } catch (error) {
    const hint = typeof payload === 'string' ? '' : looksLike(payload);
    const broken: Rejection = { reason: 'malformed', path, detail: `not JSON: ${(error as Error).message}${hint}` };
    const read = readLeniently(text, path);
    return read === null ? broken : { value: read.value, faults: read.repeated.map(repetition), broken };
  }
}

const NONE: readonly Rejection[] = [];

function withoutNuls(text: string, payload: Buffer | string, path: string): ReadJson | Rejection {
  let end = text.length;
  while (text.charCodeAt(end - 1) === 0) end--;
  const read = parse(text.slice(text.charCodeAt(0) === 0xfeff ? 1 : 0, end), payload, path);
  if ('reason' in read) return read;
  return { ...read, faults: [nulsBehind(text.length - end, path), ...read.faults] };
}

/** Says that NUL bytes behind a message were passed over. */
export function nulsBehind(count: number, path: string): Rejection {
  const detail = `NUL bytes behind the message (${count}) are no part of it; send it without them`;
  return { reason: 'malformed', path, detail };
}

function repetition(path: string): Rejection {
  return { reason: 'ambiguous', path, detail: 'the object has this key more than once; the last value counts' };
}

/** Beyond this depth keys are not counted: what walks a value may not recurse as deeply as a sender likes. */
const MOST_COUNTED = 64;

/** The number of keys in all objects of a value; NaN where it is nested too deeply. */
function keysOf(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth > MOST_COUNTED) return Number.NaN;
  let keys = 0;
  if (Array.isArray(value)) {
    for (const one of value) if (typeof one === 'object') keys += keysOf(one, depth + 1);
    return keys;
  }
  for (const key in value) {
    keys++;
    const one: unknown = value[key as keyof typeof value];
    if (typeof one === 'object') keys += keysOf(one, depth + 1);
  }
  return keys;
}

/** The number of keys in a JSON text: that of colons outside of texts. */
function colonsOf(text: string): number {
  let colons = 0;
  let isText = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === 0x22) isText = !isText;
    else if (char === 0x5c) at++;
    else if (char === 0x3a && !isText) colons++;
  }
  return colons;
}

/** Returns the faults of a JSON text that are under a path, and those of the text as a whole. */
export function faultsUnder({ faults }: ReadJson, path: string): readonly Rejection[] {
  return faults.filter((fault) => fault.path === '$' || fault.path.startsWith(path));
}
