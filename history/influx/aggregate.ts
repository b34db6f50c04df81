import type { Aggregate } from '../../domain/index.ts';
import { bucketOf } from '../fill.ts';

type Point = [number, number];

const FIGURES: Readonly<Record<Aggregate, (values: number[]) => number>> = {
  mean: (values) => sum(values) / values.length,
  min: (values) => values.reduce((a, b) => Math.min(a, b)),
  max: (values) => values.reduce((a, b) => Math.max(a, b)),
  sum,
  count: (values) => values.length,
  first: (values) => values[0]!,
  last: (values) => values.at(-1)!,
  p95: (values) => values.sort((a, b) => a - b)[Math.floor((values.length * 95) / 100 + 0.5) - 1]!,
};

/** One point an interval, of points in time order; each stands at the start of its interval. */
export function aggregate(points: readonly Point[], every: number, fn: Aggregate): Point[] {
  const values = new Map<number, number[]>();
  for (const [ts, value] of points) {
    const start = bucketOf(ts, every);
    const bucket = values.get(start);
    if (bucket === undefined) values.set(start, [value]);
    else bucket.push(value);
  }
  return [...values].map(([start, bucket]) => [start, FIGURES[fn](bucket)]);
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
