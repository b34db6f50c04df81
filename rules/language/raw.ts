import { parseDuration, WINDOW_FUNCTIONS } from '../../domain/index.ts';

/** What was written, before or beside its schema: so that one mistake does not hide another. */
export type Raw = Readonly<Record<string, unknown>>;

/** A mistake at a path of the rule. */
export type Fault = readonly [path: readonly PropertyKey[], message: string];

/** A map of keys and values; an empty one where it is none. */
export function mapAt(raw: Raw, key: string): Raw {
  const value = raw[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {};
}

export function listAt(raw: Raw, key: string): readonly unknown[] {
  const value = raw[key];
  return Array.isArray(value) ? value : [];
}

/** One text or several, as a list; undefined where none is written. */
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

/** A band that is written as two numbers. */
export function bandAt(raw: Raw, key: string): readonly [number, number] | undefined {
  const [low, high] = listAt(raw, key);
  return typeof low === 'number' && typeof high === 'number' ? [low, high] : undefined;
}

/** Kinds of conditions, by the word that makes them; `threshold` has none. */
const SHAPES = ['all', 'any', 'not', 'absent', 'flat', 'jump', 'anomaly', 'forecast', 'threshold'] as const;
export type Shape = (typeof SHAPES)[number];

export const FUNCTIONS = ['last', ...WINDOW_FUNCTIONS] as const;
export const LIMITS = ['above', 'below', 'outside', 'equals'] as const;

/** Which words go with which kind. */
export const WORDS: Readonly<Record<Shape, readonly string[]>> = {
  all: ['all'],
  any: ['any'],
  not: ['not'],
  absent: ['metric', 'absent'],
  flat: ['metric', 'flat'],
  jump: ['metric', 'jump'],
  anomaly: ['metric', ...FUNCTIONS, 'anomaly'],
  forecast: ['metric', 'forecast', 'above', 'below', 'clear'],
  threshold: ['metric', ...FUNCTIONS, ...LIMITS, 'clear', 'compare'],
};

/** The kind of a condition. */
export function shapeOf(when: Raw): Shape {
  return SHAPES.find((shape) => when[shape] !== undefined) ?? 'threshold';
}

/** A condition within another, and where it stands. */
export interface Node {
  readonly when: Raw;
  readonly path: readonly PropertyKey[];
  readonly depth: number;
}

/** A condition and all within it, outer first. */
export function* nodesOf(when: Raw, path: readonly PropertyKey[] = ['when'], depth = 1): Generator<Node> {
  yield { when, path, depth };
  const shape = shapeOf(when);
  if (shape === 'not') yield* nodesOf(mapAt(when, 'not'), [...path, 'not'], depth + 1);
  if (shape !== 'all' && shape !== 'any') return;
  for (const i of listAt(when, shape).keys()) {
    yield* nodesOf(mapAt(listAt(when, shape) as unknown as Raw, String(i)), [...path, shape, i], depth + 1);
  }
}
