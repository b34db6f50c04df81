import type { Random } from '../random.ts';
import type { Weather } from '../weather.ts';

/** Values by metric id, in the metric's unit. */
export type Metrics = Readonly<Record<string, number>>;

/** What a device measures: values at a time of the simulation (epoch ms, never going back). */
export interface Model {
  next(timeMs: number): Metrics;
}

/** What a model may look at. */
export interface Surroundings {
  readonly random: Random;
  /** Weather of the device's district. */
  weather(timeMs: number): Weather;
  /** Local time as if it were UTC, ms. */
  local(timeMs: number): number;
}

/** Bounds a value and rounds it to two decimals, as a sensor reports it. */
export function reported(value: number, min: number, max: number): number {
  return Math.round(Math.min(max, Math.max(min, value)) * 100) / 100;
}
