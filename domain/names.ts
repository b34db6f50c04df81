import { LamppostError } from './errors.ts';

const MOST_LISTED = 20;
/** No name is longer; a text that is longer is not compared with the names, and is not repeated as a whole. */
const LONGEST_NAME = 256;

/** Returns the known name that is closest to what was written; null where none is close. */
export function nearest(written: string, known: Iterable<string>, lettersAMistake = 3): string | null {
  const near = (written.length > LONGEST_NAME ? [] : [...known])
    .map((name) => ({ name, edits: editsBetween(written.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, edits }) => edits <= Math.max(1, Math.floor(name.length / lettersAMistake)))
    .sort((a, b) => a.edits - b.edits)[0];
  return near?.name ?? null;
}

/**
 * `: did you mean "pm25"?` where a known name is close to what was written; else the known names, if they are few; else
 * ''.
 */
export function suggest(written: string, known: Iterable<string>, lettersAMistake = 3): string {
  const names = [...known];
  const near = nearest(written, names, lettersAMistake);
  if (near !== null) return `: did you mean "${near}"?`;
  return names.length > 0 && names.length <= MOST_LISTED ? `; known: ${names.join(', ')}` : '';
}

/** What has names: the entries of the city, or a list. */
export type Names = ReadonlyMap<string, unknown> | ReadonlySet<string> | readonly string[];

/** `unknown district "habour": did you mean "harbour"?`; null where the name is known. */
export function unknownName(what: string, name: string, known: Names): string | null {
  const names = Array.isArray(known) ? (known as readonly string[]) : [...(known as ReadonlySet<string>).keys()];
  if (names.includes(name)) return null;
  const shown = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name;
  return `unknown ${what} "${shown}"${suggest(name, names)}`;
}

/**
 * Throws with a suggestion where the name is not known; `at` says where it stands, such as `device bin-1: `. `code`:
 * `not-found` where the name is that of what is asked for, not a value of a request.
 */
export function requireName(
  what: string,
  name: string,
  known: Names,
  at = '',
  code: 'invalid' | 'not-found' = 'invalid',
): void {
  const fault = unknownName(what, name, known);
  if (fault !== null) throw new LamppostError(code, at + fault);
}

/** Levenshtein distance, with two neighbours swapped as one edit: it is the most common mistake. */
function editsBetween(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? rows[i - 2]![j - 2]! + 1 : Infinity;
      row.push(Math.min(row[j - 1]! + 1, rows[i - 1]![j]! + 1, replaced, swapped));
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
