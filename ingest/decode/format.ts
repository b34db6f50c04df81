import type { Rejection } from '../../domain/index.ts';

/** One reading as a decoder found it, not yet validated. */
export interface RawReading {
  /** JSON path of the reading in the message: `$`, `$[2]`, `$.uplink_message.decoded_payload`. */
  readonly path: string;
  /** ISO 8601 text or epoch ms; undefined where the message has no time. */
  readonly ts: unknown;
  /** Values by field name; the profile maps fields to metrics. */
  readonly metrics: Readonly<Record<string, unknown>>;
  /** Units by field name where the format carries them; null where values are in the units of the profile. */
  readonly units: Readonly<Record<string, string>> | null;
  /** JSON path of the time; absent: `{path}.ts`. */
  readonly timePath?: string;
  /** JSON path of each value by field name; absent: `{path}.metrics.{field}`. */
  readonly paths?: Readonly<Record<string, string>>;
  /** Other names of a field, the best first, for fields that the profile does not know by their own name. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
}

/** The result of decoding a payload: raw readings, and rejections for parts that are no reading. */
export interface Decoded {
  readonly readings: readonly RawReading[];
  readonly rejections: readonly Rejection[];
  /** LoRaWAN: session and frame counter of the uplink. The same pair again is a duplicate, whatever its time. */
  readonly uplink?: string;
}

/** A payload format of devices or network servers. */
export interface Format {
  readonly name: string;
  /**
   * Pure. Returns a rejection where nothing of the payload can be read. `receivedAt` is epoch ms, the base of relative
   * times.
   */
  readonly decode: (payload: Buffer, receivedAt: number) => Decoded | Rejection;
  /** For formats where only the payload names the device: returns its id, null where there is none. */
  readonly deviceOf?: (payload: Buffer) => string | null;
}

const MOST_SHOWN = 60;

/** Returns whether a decoded value is an object with fields. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns the kind of a value in words: `nothing`, `null`, `an array`, `a string`. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
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

/** Parses a JSON text (RFC 8259). Returns a rejection where it is malformed. */
export function readJson(text: string, path = '$'): { readonly value: unknown } | Rejection {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { reason: 'malformed', path, detail: `not JSON: ${(error as Error).message}` };
  }
}
