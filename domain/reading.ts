import type { Device } from './device.ts';

/** A registered device as the engine holds it: one object a device, so that work per reading needs no look-up by name. */
export interface KnownDevice extends Device {
  /** Dense number, stable for as long as the process lives. */
  readonly index: number;
}

/**
 * Readings that passed validation and are no duplicates, in journal order, as columns: row `i` is
 * `device[i]`, `metric[i]`, `ts[i]` (epoch ms), `value[i]` (in the metric's unit). Only the first `length` rows count.
 */
export interface ReadingColumns {
  length: number;
  readonly device: KnownDevice[];
  /** Number of the metric in the engine's metric table. */
  metric: Int32Array | number[];
  ts: Float64Array | number[];
  value: Float64Array | number[];
}

/** Names of metrics as dense numbers, append-only for as long as the process lives. */
export interface MetricTable {
  /** The number of a metric, given one if it is new. */
  indexOf(id: string): number;
  /** The name behind a number. */
  idOf(index: number): string;
}
