import type { KnownDevice, MetricTable, ReadingColumns } from '../../../domain/index.ts';

/** Metrics by name, as the engine numbers them. */
export function metricTable(...names: string[]): MetricTable {
  const ids = [...names];
  return {
    indexOf(id) {
      const known = ids.indexOf(id);
      return known < 0 ? ids.push(id) - 1 : known;
    },
    idOf: (index) => ids[index]!,
  };
}

/** One reading as a test writes it down. */
export type Row = readonly [device: KnownDevice, metric: string, ts: number, value: number];

/** Readings as the columns that stores take. */
export function columns(metrics: MetricTable, rows: readonly Row[]): ReadingColumns {
  return {
    length: rows.length,
    device: rows.map(([device]) => device),
    metric: Int32Array.from(rows, ([, metric]) => metrics.indexOf(metric)),
    ts: Float64Array.from(rows, ([, , ts]) => ts),
    value: Float64Array.from(rows, ([, , , value]) => value),
  };
}

/** A device by its number. */
export function knownDevice(index: number, more: Partial<KnownDevice> = {}): KnownDevice {
  return { index, id: `d${index}`, profile: 'bin', district: index % 2 === 0 ? 'east' : 'west', ...more };
}
