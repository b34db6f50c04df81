import type { z } from 'zod';
import { suggest } from './names.ts';

const NOUNS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

const FORMATS: Readonly<Record<string, string>> = {
  datetime: 'a moment with its zone, such as 2026-03-01T06:00:00Z',
  date: 'a date, such as 2026-03-01',
  email: 'an e-mail address, such as mei@city.example',
  url: 'a URL, such as https://city.example',
};

/**
 * Returns what is wrong with a value and what would be right, for a schema without a message of its own; undefined for
 * the kinds of issues that zod words well enough. An error map of zod.
 */
export function wordingOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField(key, issue.inst)).join('; ');
  if (issue.input === undefined) return 'is missing';
  switch (issue.code) {
    case 'invalid_type':
      return `${Number.isNaN(issue.input) ? '' : `${shown(issue.input)} `}is not ${NOUNS[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `${shown(issue.input)} is not possible here${possible(String(issue.input), issue.values.map(String))}`;
    case 'too_small':
      return bound(issue.origin, issue.minimum, issue.inclusive === false ? 'more than' : 'at least');
    case 'too_big':
      return bound(issue.origin, issue.maximum, issue.inclusive === false ? 'less than' : 'at most');
    case 'invalid_format':
      return FORMATS[issue.format] && `${shown(issue.input)} is not ${FORMATS[issue.format]}`;
    default:
      return undefined;
  }
}

/** A value as a message shows it: the beginning of a text, and no more than the kind of a list or an object. */
function shown(input: unknown): string {
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object' && input !== null) return 'an object';
  return typeof input === 'string' ? JSON.stringify(input.slice(0, 60)) : String(input);
}

/** A near name, or all of them. */
const possible = (written: string, known: readonly string[]) =>
  suggest(written, known) || `; known: ${known.join(', ')}`;

function bound(origin: string, value: number | bigint, how: string): string {
  const [verb, unit] = { string: ['have', 'characters'], array: ['have', 'items'], set: ['have', 'items'] }[origin] ?? [
    'be',
    '',
  ];
  return `must ${verb} ${how} ${value} ${unit}`.trimEnd();
}

function unknownField(key: string, schema: unknown): string {
  const shape = (schema as z.core.$ZodObject | undefined)?._zod?.def?.shape;
  return `unknown field "${key.slice(0, 60)}"${suggest(key, Object.keys(shape ?? {}))}`;
}
