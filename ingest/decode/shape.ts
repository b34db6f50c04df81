import type { Rejection } from '../../domain/index.ts';

const MOST_SHOWN = 60;

/** Whether a decoded value is an object with fields. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What kind of value it is, in words: `nothing`, `null`, `an array`, `a string`. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * A value of any kind for a sentence: short, whatever was sent. Arrays and objects are only named: to write one out
 * would overflow the stack where it is nested deeply enough.
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shortened(value));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : kindOf(value);
}

/** The beginning of a text that a sender chose, so that no refusal is as long as a message. */
export function shortened(text: string): string {
  return text.length <= MOST_SHOWN ? text : `${text.slice(0, MOST_SHOWN)}…`;
}

/** The value of a JSON text (RFC 8259), or why it is none. */
export function readJson(text: string, path = '$'): { readonly value: unknown } | Rejection {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { reason: 'malformed', path, detail: `not JSON: ${(error as Error).message}` };
  }
}
