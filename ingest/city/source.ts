import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import type { CityFile, CityProblem } from '../../domain/index.ts';

/** One file of the city folder: its value, and where each part of it stands in the text. */
export interface Source {
  readonly file: string;
  readonly text: string;
  /** The parsed value; undefined where the file is not well-formed. */
  readonly value: unknown;
  /** Mistakes of syntax. */
  readonly problems: readonly CityProblem[];
  /** A mistake at a path of the value. */
  problem(path: readonly PropertyKey[], message: string): CityProblem;
}

/** Parses YAML, of which JSON is a part: GeoJSON goes the same way. */
export function openSource({ path: file, text }: CityFile): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const at = (offset: number, message: string): CityProblem => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col, message };
  };
  const problems = document.errors.map((error) => at(error.pos[0], error.message.split('\n')[0]!));
  return {
    file,
    text,
    value: problems.length > 0 ? undefined : document.toJS(),
    problems,
    problem: (path, message) => at(offsetOf(document.contents, path), message),
  };
}

/** Checks a value; every issue becomes a problem at its place. */
export function check<T extends z.ZodType>(source: Source, schema: T, problems: CityProblem[]): z.output<T> | null {
  problems.push(...source.problems);
  if (source.problems.length > 0) return null;
  const parsed = schema.safeParse(source.value ?? {});
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [undefined];
    for (const key of keys) {
      const path = key === undefined ? issue.path : [...issue.path, key];
      problems.push(source.problem(path, `${path.map(String).join('.') || 'file'}: ${issue.message}`));
    }
  }
  return null;
}

/** Offset of the deepest part of the path that exists: a key, or an item of a list. */
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
