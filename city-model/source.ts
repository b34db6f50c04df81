import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';
import type { CityFile, CityProblem } from '../domain/index.ts';

/** One file of the city folder: its value, and where each part of it stands in the text. */
export interface Source {
  readonly file: string;
  readonly text: string;
  /** The parsed value; undefined where the file is not well-formed. */
  readonly value: unknown;
  /** Mistakes of syntax. */
  readonly problems: readonly CityProblem[];
  /** A mistake at a path of the value; at the deepest part of the path that is written. */
  problem(path: readonly PropertyKey[], message: string): CityProblem;
}

/** Parses one file, `*.geojson` as JSON and all else as YAML. Never throws: mistakes of syntax are its `problems`. */
export function openSource(file: CityFile): Source {
  return file.path.endsWith('.geojson') ? openJson(file) : openYaml(file);
}

function openYaml({ path: file, text }: CityFile): Source {
  const { document, at } = located(file, text);
  const problems = document.errors.map((error) => at(error.pos[0], error.message));
  visit(document, {
    Alias(_, node) {
      if (node.resolve(document) !== undefined) return;
      problems.push(
        at(node.range?.[0] ?? 0, `*${node.source} stands for nothing; &${node.source} must come before it`),
      );
    },
  });
  let value: unknown;
  try {
    if (problems.length === 0) value = document.toJS();
  } catch (error) {
    problems.push(at(0, (error as Error).message));
  }
  return { file, text, value, problems, problem: (path, message) => at(offsetOf(document.contents, path), message) };
}

/** Real districts have megabytes of coordinates, and YAML is slow to read: only a mistake needs the places, and once. */
function openJson({ path: file, text }: CityFile): Source {
  let places: ReturnType<typeof located> | undefined;
  const place = () => {
    places ??= located(file, text);
    return places;
  };
  const problem: Source['problem'] = (path, message) => place().at(offsetOf(place().document.contents, path), message);
  try {
    return { file, text, value: JSON.parse(text.replace(/^\uFEFF/, '')), problems: [], problem };
  } catch (error) {
    const offset = place().document.errors[0]?.pos[0] ?? 0;
    const fault = place().at(offset, `not JSON: ${(error as Error).message}`);
    return { file, text, value: undefined, problems: [fault], problem };
  }
}

function located(file: string, text: string) {
  const lines = new LineCounter();
  const document: Document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number, message: string): CityProblem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), message };
  };
  return { document, at };
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
