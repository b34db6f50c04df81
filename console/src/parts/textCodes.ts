import type { Series } from '../api/schema.ts';

/** The codes of states are smaller, and those of texts hardly ever are. */
const MOST_CODE = 1_000_000;

/**
 * Returns series in which texts have small numbers in place of their codes, so that a chart has room for them: of one
 * metric the same text has the same one in all series, in the order in which they come.
 */
export function withPlaces(all: readonly Series[]): Series[] {
  const byMetric = new Map<string, Map<number, { readonly code: number; readonly name: string }>>();
  for (const { metric, values = [] } of all) {
    if (!values.some(({ code }) => code > MOST_CODE)) continue;
    const places = byMetric.get(metric) ?? new Map();
    byMetric.set(metric, places);
    for (const { code, name } of values) if (!places.has(code)) places.set(code, { code: places.size, name });
  }
  return all.map((one) => {
    const places = byMetric.get(one.metric);
    if (places === undefined) return one;
    const placed = ([at, value]: Series['points'][number]): Series['points'][number] => [
      at,
      value === null ? null : (places.get(value)?.code ?? null),
    ];
    return { ...one, values: [...places.values()], points: one.points.map(placed) };
  });
}
