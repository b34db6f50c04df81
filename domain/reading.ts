import type { Device } from './device.ts';
import type { Measure } from './kind.ts';

/** A registered device in the engine: one object per device, so that a reading needs no look-up by name. */
export interface KnownDevice extends Device {
  /** Dense index, stable while the process runs. */
  readonly index: number;
  /** Its messages are refused for the time being. */
  readonly suspended?: true;
}

/**
 * Returns the metric under which the values of a calibrated metric are kept as they were measured. No metric of a city
 * has a dot in its id.
 */
export const rawMetric = (metric: string): string => `${metric}.raw`;

/** What a message may say of its values. The codes that are stored are their places. */
export const QUALITIES = ['good', 'suspect', 'corrected'] as const;
export type Quality = (typeof QUALITIES)[number];

/** The code of `suspect`. */
export const SUSPECT: number = QUALITIES.indexOf('suspect');

/** The quality of a metric's values is a state. */
export const QUALITY: Measure = { kind: 'state', max: 2, values: QUALITIES.map((name, code) => ({ code, name })) };

/** Returns the metric under which the quality of a metric's values is kept, where it is not good. */
export const qualityMetric = (metric: string): string => `${metric}.quality`;

/** Returns whether a metric keeps the quality of another. */
export const isQuality = (metric: string): boolean => metric.endsWith('.quality');

/** Returns the metric that a metric keeps the measured values or the quality of; itself for any other. */
export const measuredMetric = (metric: string): string => metric.replace(/\.(raw|quality)$/, '');

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
  /** The rows whose quality is suspect; absent or null: none. */
  suspect?: ReadonlySet<number> | null;
}

/** Maps metric ids to dense indexes; append-only while the process runs. */
export interface MetricTable {
  /** Returns the index of a metric; a new metric gets the next one. */
  indexOf(id: string): number;
  /** Returns the id of the metric with an index. */
  idOf(index: number): string;
}

/** No id of a metric begins so. */
const FAULTS = '~faults ';

/** The name of the fault codes of a metric: in the engine they are rows of their own, in no history. */
export function faultsOf(metric: string): string {
  return FAULTS + metric;
}

/** Returns whether a name in the metric table stands for fault codes. */
export function isFaults(id: string): boolean {
  return id.startsWith(FAULTS);
}
