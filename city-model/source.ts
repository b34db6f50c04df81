import { isMap, isScalar, isSeq, type LineCounter, type Node } from 'yaml';
import type { z } from 'zod';
import { type CityFile, type CityProblem, excessOf, MOST_LEVELS, wordingOf } from '../domain/index.ts';
import { FILE_BOUNDS, type ReadYaml, readYaml, type YamlBounds } from './yaml.ts';

/** One file of the city folder: its value, and the place of each part in the text. */
export interface Source {
  readonly file: string;
  readonly text: string;
  /** The parsed value; undefined where the file is not well-formed. */
  readonly value: unknown;
  /** Syntax errors. */
  readonly problems: readonly CityProblem[];
  /** Returns a problem at a path of the value, placed at the deepest part of the path that exists in the text. */
  problem(path: readonly PropertyKey[], message: string): CityProblem;
}

/**
 * Parses one file: `*.geojson` as JSON, all others as YAML. Never throws: syntax errors, and what is past the bounds,
 * are its `problems`.
 */
export function openSource(file: CityFile, bounds: YamlBounds = FILE_BOUNDS): Source {
  return file.path.endsWith('.geojson') ? openJson(file) : openYaml(file, bounds);
}

function openYaml({ path: file, text }: CityFile, bounds: YamlBounds): Source {
  const { document, faults, value, lines } = readYaml(text, bounds);
  const at = placeIn(file, lines);
  const root = document?.contents ?? null;
  const problems = faults.map(({ offset, message }) => at(offset, message));
  return { file, text, value, problems, problem: (path, message) => at(offsetOf(root, path), message) };
}

/**
 * Reads places only for the first problem: real districts have megabytes of coordinates, and the YAML parser is slow.
 */
function openJson({ path: file, text }: CityFile): Source {
  let read: ReadYaml | undefined;
  const places = () => {
    read ??= readYaml(text);
    return read;
  };
  const problem: Source['problem'] = (path, message) => {
    const { document, lines } = places();
    return placeIn(file, lines)(offsetOf(document?.contents ?? null, path), message);
  };
  const faulty = (offset: number, message: string): Source => {
    const fault = placeIn(file, places().lines)(offset, message);
    return { file, text, value: undefined, problems: [fault], problem };
  };
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''));
    if (excessOf(value, MOST_LEVELS) === null) return { file, text, value, problems: [], problem };
    return faulty(places().faults[0]?.offset ?? 0, `nested deeper than ${MOST_LEVELS} levels`);
  } catch (error) {
    const { message } = error as Error;
    const [, position] = /at position (\d+)/.exec(message) ?? [];
    const offset = position === undefined ? places().faults[0]?.offset : Number(position);
    return faulty(offset ?? 0, `not JSON: ${message}`);
  }
}

function placeIn(file: string, lines: LineCounter): (offset: number, message: string) => CityProblem {
  return (offset, message) => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), message };
  };
}

/** Returns the offset of the deepest part of the path that exists: a key, or an item of a list. */
function offsetOf(root: Node | null, path: readonly PropertyKey[]): number {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (pair === undefined) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}

/** Checks a file against a schema. Adds a problem with its place for every issue, and then returns null. */
export function check<T extends z.ZodType>(source: Source, schema: T, problems: CityProblem[]): z.output<T> | null {
  problems.push(...source.problems);
  if (source.problems.length > 0) return null;
  // A file is checked once: to compile a function for each schema takes longer than that.
  const parsed = schema.safeParse(source.value ?? {}, { error: wording, jitless: true });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.flatMap(faultsOf);
  for (const { path, message } of faults.slice(0, MOST_PROBLEMS)) {
    problems.push(source.problem(path, shortened(`${path.map(String).join('.') || 'file'}: ${message}`)));
  }
  if (faults.length > MOST_PROBLEMS) {
    problems.push(source.problem([], `and ${faults.length - MOST_PROBLEMS} more mistakes`));
  }
  return null;
}

/** Mistakes of one source that are listed: to find the place of each takes as long as its text. */
export const MOST_PROBLEMS = 100;
const LONGEST_MESSAGE = 1_000;

function shortened(text: string): string {
  return text.length <= LONGEST_MESSAGE ? text : `${text.slice(0, LONGEST_MESSAGE - 1)}…`;
}

interface Fault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Splits an issue into its single faults, each with its own path. */
function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    const messages = issue.message.split('\n');
    return issue.keys.map((key, i) => ({ path: [...issue.path, key], message: messages[i] ?? issue.message }));
  }
  if (issue.code === 'invalid_key') return [{ path: issue.path, message: issue.issues[0]?.message ?? issue.message }];
  if (issue.code !== 'invalid_union') return [issue];
  const meant = issue.errors.find(
    (errors) => !errors.some((one) => one.path.length === 0 && one.code === 'invalid_type'),
  );
  if (meant === undefined) return [issue];
  return meant.flatMap((one) => faultsOf({ ...one, path: [...issue.path, ...one.path] }));
}

const NOUNS: Readonly<Record<string, string>> = {
  string: 'a text; put it in quotes',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'a map of keys and values',
  record: 'a map of keys and values',
};

/** Returns an error message for a person who writes YAML, where the schema has no message of its own. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'unrecognized_keys') return undefined;
  if (issue.code === 'invalid_type' && issue.input !== undefined)
    return `${shown(issue.input)} is not ${NOUNS[issue.expected] ?? issue.expected}`;
  return wordingOf(issue);
}

function shown(input: unknown): string {
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object' && input !== null) return 'a map';
  return typeof input === 'string' ? JSON.stringify(input.slice(0, 60)) : String(input);
}
