import type { ReadingColumns } from '../domain/index.ts';

/** Where a row stands among several batches. */
export interface RowPlace {
  readonly batch: number;
  readonly row: number;
}

/** The rows that stay where later ones replace earlier ones of the same device, metric and ts, in their order. */
export function lastOfEach(batches: readonly ReadingColumns[]): RowPlace[] {
  const last = new Map<string, RowPlace>();
  for (const [batch, { length, device, metric, ts }] of batches.entries()) {
    for (let row = 0; row < length; row++) {
      last.set(`${device[row]!.index} ${metric[row]!} ${ts[row]!}`, { batch, row });
    }
  }
  return [...last.values()];
}

/** The rows for which `is` holds. */
export function rowsWhere(readings: ReadingColumns, is: (row: number) => boolean): ReadingColumns {
  const places: RowPlace[] = [];
  for (let row = 0; row < readings.length; row++) if (is(row)) places.push({ batch: 0, row });
  return pick([readings], places);
}

/** The rows at these places, as columns of their own. */
export function pick(batches: readonly ReadingColumns[], places: readonly RowPlace[]): ReadingColumns {
  const column = (name: 'metric' | 'ts' | 'value') => places.map(({ batch, row }) => batches[batch]![name][row]!);
  return {
    length: places.length,
    device: places.map(({ batch, row }) => batches[batch]!.device[row]!),
    metric: column('metric'),
    ts: column('ts'),
    value: column('value'),
  };
}
