import {
  fillOf,
  type HistoryStore,
  type LatestReading,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  type Series,
} from '../../../domain/index.ts';

type Points = [number, number | null][];

/** The whole result of a query, its gaps included. */
export async function queried(
  history: Pick<HistoryStore, 'read'>,
  query: ReadingsQuery,
  options?: ReadOptions,
): Promise<Series[]> {
  const found: (Omit<Series, 'points'> & { points: Points })[] = [];
  for await (const { series, ts, value } of history.read(query, options)) {
    for (const [at, { device, metric, unit, from }] of series.entries()) {
      const known = found.at(-1);
      const last = known?.device === device && known.metric === metric ? known : { device, metric, unit, points: [] };
      if (last !== known) found.push(last);
      const to = series[at + 1]?.from ?? ts.length;
      for (let row = from; row < to; row++) last.points.push([ts[row]!, value[row]!]);
    }
  }
  const fill = fillOf(query);
  if (fill === null) return found;
  return found.map((one) => {
    const known = new Map(one.points);
    const points = Array.from({ length: fill.intervals }, (_, n): [number, number | null] => {
      const at = fill.firstMs + n * fill.everyMs;
      return [at, known.get(at) ?? null];
    });
    return { ...one, points };
  });
}

/** All newest readings. */
export async function newest(
  history: Pick<HistoryStore, 'latest'>,
  filter: ReadingsFilter = {},
): Promise<LatestReading[]> {
  const found: LatestReading[] = [];
  for await (const some of history.latest(filter)) found.push(...some);
  return found;
}
