import type { FlatCondition, JumpCondition, MetricTable } from '../../../domain/index.ts';
import type { Reader, Writer } from '../bytes.ts';
import { Series } from '../series.ts';
import { type SeriesSpec, seriesSpec } from '../series-layout.ts';
import { ClauseState, type ClauseWindow, type EngineTime, FALSE, shown, TRUE, UNKNOWN, verdictOf } from './clause.ts';

/** A compiled clause over the range of a window. */
export interface RangeSpec<C extends FlatCondition | JumpCondition> {
  readonly clause: C;
  readonly metric: number;
  readonly series: SeriesSpec;
}

export function rangeSpec<C extends FlatCondition | JumpCondition>(clause: C, metrics: MetricTable): RangeSpec<C> {
  return { clause, metric: metrics.indexOf(clause.metric), series: seriesSpec('range', clause.windowMs) };
}

const [MIN, MAX, OLDEST] = [0, 1, 2];
const LEAST_READINGS = 3;

abstract class RangeState<C extends FlatCondition | JumpCondition> extends ClauseState {
  protected readonly clause: C;
  protected readonly series: Series;
  readonly #metric: number;

  constructor(spec: RangeSpec<C>) {
    super();
    this.clause = spec.clause;
    this.series = new Series(spec.series);
    this.#metric = spec.metric;
  }

  abstract override value(): number;

  override reads(metric: number): boolean {
    return metric === this.#metric;
  }

  override take(_metric: number, ts: number, value: number): boolean {
    return this.series.take(ts, value);
  }

  override readings(): [number, number][] {
    return this.series.recent(this.series.fromMs);
  }

  override release(): void {
    this.series.release();
  }

  override write(to: Writer): void {
    this.series.write(to);
  }

  override read(from: Reader): void {
    this.series.read(from);
  }

  protected windowOf(fn: 'flat' | 'jump', op: 'above' | 'below', threshold: number): ClauseWindow {
    const { fromMs, newest, count } = this.series;
    return { fn, fromMs, toMs: newest, count, value: shown(this.value()), op, threshold };
  }
}

/** A stuck sensor: the range of the whole window is at most `within`. */
export class FlatState extends RangeState<FlatCondition> {
  override judge(): void {
    const range = this.value();
    if (Number.isNaN(range)) this.verdict = UNKNOWN;
    else this.verdict = range <= this.clause.within ? TRUE : FALSE;
  }

  override value(): number {
    const { series } = this;
    const { windowMs } = this.clause;
    const known = series.newest - series.first >= windowMs && series.count >= LEAST_READINGS;
    if (!known || 2 * (series.newest - series.least(OLDEST)) < windowMs) return Number.NaN;
    return series.most(MAX) - series.least(MIN);
  }

  override window(_time: EngineTime): ClauseWindow {
    return this.windowOf('flat', 'below', this.clause.within);
  }

  override clear(): number {
    return this.clause.within;
  }
}

/** The newest reading differs much from another reading of the window. */
export class JumpState extends RangeState<JumpCondition> {
  override judge(): void {
    const { by: threshold, clear } = this.clause;
    this.verdict = verdictOf(this.verdict, this.value(), { op: 'above', threshold, clear });
  }

  override value(): number {
    const { series } = this;
    const { direction } = this.clause;
    if (series.count < 2) return Number.NaN;
    const up = series.last - series.least(MIN);
    const down = series.most(MAX) - series.last;
    if (direction === 'up') return up;
    return direction === 'down' ? down : Math.max(up, down);
  }

  override window(_time: EngineTime): ClauseWindow {
    return this.windowOf('jump', 'above', this.clause.by);
  }

  override clear(): number {
    return this.clause.clear;
  }
}
