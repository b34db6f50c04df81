import type { KnownDevice, MetricTable, ReadingColumns } from '../../../domain/index.ts';

const DEVICES: readonly KnownDevice[] = Array.from({ length: 5 }, (_, index) => ({
  id: `d${index}`,
  index,
  profile: 'bin',
  district: 'east',
}));

/** Readings of batch `n`: lengths on both sides of a chunk of 2,048 rows. */
export const rowsIn = (n: number): number => [1, 300, 2_048, 5_000][n % 4]!;

/** Where the reading `row` of batch `n` stands, epoch ms: no two batches meet. */
export const tsOf = (n: number, row: number): number => 1_700_000_000_000 + n * 10_000 + row;

/** Batch `n`, each value its number. */
export function batchOf(n: number): ReadingColumns {
  const rows = Array.from({ length: rowsIn(n) }, (_, row) => row);
  return {
    length: rows.length,
    device: rows.map((row) => DEVICES[row % DEVICES.length]!),
    metric: rows.map(() => 0),
    ts: rows.map((row) => tsOf(n, row)),
    value: rows.map(() => n),
  };
}

/** What batch `n` replaces: the first value of the batch before it, by `n - 0.5`. */
export function replacedIn(n: number): ReadingColumns {
  const length = n > 1 ? 1 : 0;
  return { length, device: [DEVICES[0]!], metric: [0], ts: [tsOf(n - 1, 0)], value: [n - 0.5] };
}

/** A table of the one metric. */
export const metricTable = (): MetricTable => ({ indexOf: () => 0, idOf: () => 'a' });
