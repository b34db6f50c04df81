import { type Calibration, calibrated, type MetricTable, rawMetric } from '../domain/index.ts';

/** A calibration, with its times in epoch ms. */
interface Span {
  readonly calibration: Calibration;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What a device's values of a metric become. */
interface MetricCalibrations {
  /** Index of the metric that keeps the values as they were measured. */
  readonly raw: number;
  /** The newest first. */
  readonly spans: readonly Span[];
}

/** The calibrations of a device by the index of the metric; null where it has none. */
export type Calibrations = ReadonlyMap<number, MetricCalibrations> | null;

/** Compiles the calibrations of a device, and adds the metrics of what was measured to the metric table. */
export function compileCalibrations(made: readonly Calibration[] | undefined, metrics: MetricTable): Calibrations {
  if (made === undefined || made.length === 0) return null;
  const compiled = new Map<number, MetricCalibrations>();
  for (const [metric, some] of Map.groupBy(made, (one) => one.metric)) {
    const spans = some.toReversed().map((calibration): Span => {
      const { from, until } = calibration;
      const untilMs = until === null ? Number.POSITIVE_INFINITY : Date.parse(until);
      return { calibration, fromMs: Date.parse(from), untilMs };
    });
    compiled.set(metrics.indexOf(metric), { raw: metrics.indexOf(rawMetric(metric)), spans });
  }
  return compiled;
}

/** Returns the corrected value of a reading; null where no calibration is for its time. */
export function correctedBy({ spans }: MetricCalibrations, ts: number, value: number): number | null {
  const span = spans.find(({ fromMs, untilMs }) => ts >= fromMs && ts < untilMs);
  return span === undefined ? null : calibrated(span.calibration, value);
}
