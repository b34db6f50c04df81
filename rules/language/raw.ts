import { parseDuration, WINDOW_FUNCTIONS } from '../../domain/index.ts';

/** A rule as it was written, read without its schema, so that one mistake does not hide another. */
export type Raw = Readonly<Record<string, unknown>>;

/** A mistake, and its path in the rule. */
export type Fault = readonly [path: readonly PropertyKey[], message: string];

/** The object at a key; an empty one where there is none. */
export function mapAt(raw: Raw, key: string): Raw {
  const value = raw[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {};
}

function listAt(raw: Raw, key: string): readonly unknown[] {
  const value = raw[key];
  return Array.isArray(value) ? value : [];
}

/** One text or several, as a list; undefined where there is none. */
export function namesAt(raw: Raw, key: string): readonly string[] | undefined {
  const value = raw[key];
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined;
}

export function textAt(raw: Raw, key: string): string | undefined {
  const value = raw[key];
  return typeof value === 'string' ? value : undefined;
}

export function numberAt(raw: Raw, key: string): number | undefined {
  const value = raw[key];
  return typeof value === 'number' ? value : undefined;
}

/** ms. */
export function durationAt(raw: Raw, key: string): number | undefined {
  const value = raw[key];
  return typeof value === 'string' ? (parseDuration(value) ?? undefined) : undefined;
}

/** A pair of numbers; undefined where there is none. */
export function bandAt(raw: Raw, key: string): readonly [number, number] | undefined {
  const [low, high] = listAt(raw, key);
  return typeof low === 'number' && typeof high === 'number' ? [low, high] : undefined;
}

/** Kinds of conditions, named after their keyword; `threshold` has none. */
const SHAPES = ['all', 'any', 'not', 'absent', 'flat', 'jump', 'anomaly', 'forecast', 'threshold'] as const;
export type Shape = (typeof SHAPES)[number];

export const FUNCTIONS = ['last', ...WINDOW_FUNCTIONS] as const;
export const LIMITS = ['above', 'below', 'outside', 'equals', 'sector', 'is', 'is_not'] as const;

/** The keywords of each kind. */
export const WORDS: Readonly<Record<Shape, readonly string[]>> = {
  all: ['all'],
  any: ['any'],
  not: ['not'],
  absent: ['metric', 'absent'],
  flat: ['metric', 'flat'],
  jump: ['metric', 'jump'],
  anomaly: ['metric', ...FUNCTIONS, 'of', 'anomaly'],
  forecast: ['metric', 'forecast', 'above', 'below', 'clear'],
  threshold: ['metric', ...FUNCTIONS, ...LIMITS, 'of', 'clear', 'compare'],
};

/** The kind of a condition. */
export function shapeOf(when: Raw): Shape {
  return SHAPES.find((shape) => when[shape] !== undefined) ?? 'threshold';
}

/** A condition within another, and its path. */
export interface Node {
  readonly when: Raw;
  readonly path: readonly PropertyKey[];
  readonly depth: number;
}

/** Yields the clauses of a condition, in the order in which they are written. */
export function* leavesOf(when: Raw): Generator<Node> {
  for (const node of nodesOf(when)) if (!['all', 'any', 'not'].includes(shapeOf(node.when))) yield node;
}

/** Yields a condition and all conditions within it, outer first. */
export function* nodesOf(when: Raw, path: readonly PropertyKey[] = ['when'], depth = 1): Generator<Node> {
  yield { when, path, depth };
  const shape = shapeOf(when);
  if (shape === 'not') yield* nodesOf(mapAt(when, 'not'), [...path, 'not'], depth + 1);
  if (shape !== 'all' && shape !== 'any') return;
  for (const i of listAt(when, shape).keys()) {
    yield* nodesOf(mapAt(listAt(when, shape) as unknown as Raw, String(i)), [...path, shape, i], depth + 1);
  }
}
