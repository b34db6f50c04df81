import { type ForecastCondition, HOUR_MS, type MetricTable } from '../../../domain/index.ts';
import type { Reader, Writer } from '../bytes.ts';
import { HoltWinters } from '../holt-winters.ts';
import { Series } from '../series.ts';
import { type SeriesSpec, seriesSpec } from '../series-layout.ts';
import { ClauseState, type ClauseWindow, type EngineTime, shown, verdictOf } from './clause.ts';

const LEAST_READINGS = 5;
const [T, Y, TT, TY, OLDEST] = [0, 1, 2, 3, 4];

/** A compiled forecast clause. */
export interface ForecastSpec {
  readonly clause: ForecastCondition;
  readonly metric: number;
  readonly series: SeriesSpec;
}

export function forecastSpec(clause: ForecastCondition, metrics: MetricTable): ForecastSpec {
  const series = clause.method === 'trend' ? seriesSpec('line', clause.overMs) : seriesSpec('last', 0);
  return { clause, metric: metrics.indexOf(clause.metric), series };
}

/** A value that is expected to be beyond a limit within some time. */
export class ForecastState extends ClauseState {
  readonly #spec: ForecastSpec;
  readonly #series: Series;
  readonly #seasonal: HoltWinters | null;

  constructor(spec: ForecastSpec) {
    super();
    this.#spec = spec;
    this.#series = new Series(spec.series);
    this.#series.extra = Number.NEGATIVE_INFINITY;
    const { method, seasonMs } = spec.clause;
    this.#seasonal = method === 'holt_winters' ? new HoltWinters(seasonMs / HOUR_MS) : null;
  }

  override reads(metric: number): boolean {
    return metric === this.#spec.metric;
  }

  override take(_metric: number, ts: number, value: number): boolean {
    if (this.#seasonal !== null) {
      const took = this.#seasonal.take(ts, value);
      // Within the open hour the newest reading by time gives the newest value.
      if (took) this.#series.take(ts, value);
      return took;
    }
    const series = this.#series;
    if (ts < series.extra) return false;
    if (this.#startsAgain(ts, value)) {
      series.clear();
      series.extra = ts;
    }
    return series.take(ts, value);
  }

  /** In order only: the model of a season goes on from hour to hour. A trend has nothing to learn. */
  override learn(ts: number, value: number): boolean {
    return this.#seasonal?.take(ts, value) ?? false;
  }

  override judge(): void {
    this.verdict = verdictOf(this.verdict, this.value(), this.#spec.clause);
  }

  override value(): number {
    const { op, withinMs } = this.#spec.clause;
    const ahead =
      this.#seasonal === null ? this.#line(withinMs) : this.#seasonal.extreme(op, this.#series.newest + withinMs);
    if (Number.isNaN(ahead)) return Number.NaN;
    return op === 'above' ? Math.max(this.#series.last, ahead) : Math.min(this.#series.last, ahead);
  }

  override window(_time: EngineTime): ClauseWindow {
    const { op, threshold } = this.#spec.clause;
    const { fromMs, newest, count } = this.#series;
    return { fn: 'forecast', fromMs, toMs: newest, count, value: shown(this.value()), op, threshold };
  }

  override clear(): number {
    return this.#spec.clause.clear;
  }

  override readings(): [number, number][] {
    return this.#series.recent(this.#seasonal === null ? this.#series.fromMs : Number.NEGATIVE_INFINITY);
  }

  override release(): void {
    this.#series.release();
  }

  override write(to: Writer): void {
    this.#series.write(to);
    this.#seasonal?.write(to);
  }

  override read(from: Reader): void {
    this.#series.read(from);
    this.#seasonal?.read(from);
  }

  #startsAgain(ts: number, value: number): boolean {
    const { reset, op } = this.#spec.clause;
    const series = this.#series;
    if (reset === null || series.count === 0 || ts < series.newest) return false;
    return (op === 'above' ? series.last - value : value - series.last) > reset;
  }

  /**
   * The value of the least-squares line `withinMs` after the newest reading. Time is in hours from the start of the
   * newest slice.
   */
  #line(withinMs: number): number {
    const series = this.#series;
    const { slices, sliceMs } = series.spec;
    const n = series.count;
    if (n < LEAST_READINGS || 4 * (series.newest - series.least(OLDEST)) < this.#spec.clause.overMs) return Number.NaN;
    let [t, y, tt, ty] = [0, 0, 0, 0];
    for (let back = 0; back < slices; back++) {
      const count = series.countOf(back);
      if (count === 0) continue;
      const shift = (-back * sliceMs) / HOUR_MS;
      const [st, sy] = [series.lane(back, T), series.lane(back, Y)];
      t += st + count * shift;
      y += sy;
      tt += series.lane(back, TT) + 2 * shift * st + count * shift * shift;
      ty += series.lane(back, TY) + shift * sy;
    }
    const spread = n * tt - t * t;
    if (spread === 0) return Number.NaN;
    const slope = (n * ty - t * y) / spread;
    const at = (series.newest + withinMs - series.slice * sliceMs) / HOUR_MS;
    return (y - slope * t) / n + slope * at;
  }
}
