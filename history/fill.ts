import { LamppostError, type ReadingsQuery, type Series } from '../domain/index.ts';

/** Throws `invalid` where there are more points than were asked for. */
export function checkPoints(points: number, maxPoints: number): void {
  if (points <= maxPoints) return;
  const narrow = 'name fewer devices or metrics, a shorter time, or a longer every';
  throw new LamppostError('invalid', `more than ${maxPoints} points; ${narrow}`);
}

/** The interval of a query in whole milliseconds; null for raw readings. */
export function everyOf({ everyMs }: Pick<ReadingsQuery, 'everyMs'>): number | null {
  return everyMs === undefined ? null : Math.max(1, Math.round(everyMs));
}

/** Start of the interval that a moment lies in, aligned to the epoch. */
export function bucketOf(ms: number, every: number): number {
  return Math.floor(ms / every) * every;
}

/**
 * With `fill: null`, every interval that begins before `toMs`, from the one that holds `fromMs`, gets a point in each series;
 * a gap is null, whatever the function. Throws `invalid` past `maxPoints`.
 */
export function filled(series: readonly Series[], query: ReadingsQuery): Series[] {
  const every = everyOf(query);
  if (query.fill !== 'null' || every === null) return [...series];
  const first = bucketOf(query.fromMs, every);
  const intervals = Math.max(0, Math.ceil((query.toMs - first) / every));
  checkPoints(intervals * series.length, query.maxPoints);
  return series.map((one) => {
    const values = new Map(one.points);
    const points = Array.from({ length: intervals }, (_, n): [number, number | null] => {
      const ts = first + n * every;
      return [ts, values.get(ts) ?? null];
    });
    return { ...one, points };
  });
}
