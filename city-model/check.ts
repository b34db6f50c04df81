import type { z } from 'zod';
import type { CityProblem } from '../domain/index.ts';
import { suggest } from '../domain/index.ts';
import type { Source } from './source.ts';

/** Checks a file against a schema. Every issue becomes a problem at its place; the value is null where there was any. */
export function check<T extends z.ZodType>(source: Source, schema: T, problems: CityProblem[]): z.output<T> | null {
  problems.push(...source.problems);
  if (source.problems.length > 0) return null;
  const parsed = schema.safeParse(source.value ?? {}, { error: wording });
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues.flatMap(faultsOf)) {
    problems.push(source.problem(path, `${path.map(String).join('.') || 'file'}: ${message}`));
  }
  return null;
}

interface Fault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** The single faults of an issue, each with its own path. */
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

/** What is wrong in the words of somebody who writes YAML, where a schema has no words of its own. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.input === undefined) return 'is missing';
  if (issue.code === 'invalid_type') return `${shown(issue.input)} is not ${NOUNS[issue.expected] ?? issue.expected}`;
  if (issue.code === 'invalid_value')
    return `${shown(issue.input)} is not possible here${suggest(String(issue.input), issue.values.map(String))}`;
  return undefined;
}

function shown(input: unknown): string {
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object' && input !== null) return 'a map';
  return typeof input === 'string' ? JSON.stringify(input.slice(0, 60)) : String(input);
}
