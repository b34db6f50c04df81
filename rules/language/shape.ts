import { WINDOW_FUNCTIONS } from '../../domain/index.ts';
import { listAt, mapAt, type Raw } from './raw.ts';

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
