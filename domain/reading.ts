import type { Device } from './device.ts';

/** A registered device in the engine: one object per device, so that a reading needs no look-up by name. */
export interface KnownDevice extends Device {
  /** Dense index, stable while the process runs. */
  readonly index: number;
}

/**
 * Readings that passed validation and dedupe, in journal order, as columns: row `i` is
 * `device[i]`, `metric[i]`, `ts[i]` (epoch ms), `value[i]` (in the metric's unit). Only the first `length` rows count.
 */
export interface ReadingColumns {
  length: number;
  readonly device: KnownDevice[];
  /** Index of the metric in the engine's metric table. */
  metric: Int32Array | number[];
  ts: Float64Array | number[];
  value: Float64Array | number[];
}

/** Maps metric ids to dense indexes; append-only while the process runs. */
export interface MetricTable {
  /** Returns the index of a metric; a new metric gets the next one. */
  indexOf(id: string): number;
  /** Returns the id of the metric with an index. */
  idOf(index: number): string;
}
