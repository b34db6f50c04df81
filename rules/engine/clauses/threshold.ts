import type { Band, MetricTable, ThresholdCondition } from '../../../domain/index.ts';
import type { Reader, Writer } from '../bytes.ts';
import { type FigureSpec, FigureState, figureSpec } from '../figure.ts';
import { ClauseState, held, type Scene, type Standing, shown } from './clause.ts';

/** A threshold clause made ready. */
export interface ThresholdSpec extends ThresholdCondition {
  readonly own: number;
  /** The metric compared with; −1 where there is none. */
  readonly other: number;
  readonly figure: FigureSpec;
}

export function thresholdSpec(clause: ThresholdCondition, metrics: MetricTable): ThresholdSpec {
  const { compare, threshold } = clause;
  const other = compare === null || compare.with === 'peers' ? -1 : metrics.indexOf(compare.with.metric);
  const shift = compare === null && typeof threshold === 'number' ? threshold : 0;
  return { ...clause, own: metrics.indexOf(clause.metric), other, figure: figureSpec(clause, shift) };
}

const LEAST_PEERS = 3;

/** A figure, or how it differs from another, beyond a limit. */
export class ThresholdState extends ClauseState {
  readonly #spec: ThresholdSpec;
  readonly own: FigureState;
  readonly #other: FigureState | null;
  /** Where it is compared with peers: this clause of all devices of its profile and district, itself included. */
  peers: ReadonlySet<ThresholdState> | null = null;

  constructor(spec: ThresholdSpec) {
    super();
    this.#spec = spec;
    this.own = new FigureState(spec.figure);
    this.#other = spec.other < 0 ? null : new FigureState(spec.figure);
  }

  override hears(metric: number): boolean {
    return metric === this.#spec.own || metric === this.#spec.other;
  }

  override take(metric: number, ts: number, value: number): boolean {
    return (this.#other === null || metric === this.#spec.own ? this.own : this.#other).take(ts, value);
  }

  /** Whether it is compared with peers. */
  get hasPeers(): boolean {
    return this.#spec.compare?.with === 'peers';
  }

  override judge(): void {
    this.verdict = held(this.verdict, this.figure(), this.#spec);
  }

  override figure(): number {
    const { compare } = this.#spec;
    const own = this.own.value();
    if (compare === null) return own;
    const other = this.#other === null ? this.#median(compare.withinMs) : this.#other.value();
    if (compare.as === 'difference') return own - other;
    return other === 0 ? Number.NaN : own / other;
  }

  override standing(_scene: Scene): Standing {
    const { fn, op, threshold } = this.#spec;
    const { fromMs, newest, count } = this.own;
    return { fn, fromMs, toMs: newest, count, value: shown(this.figure()), op, threshold };
  }

  override clear(): number | Band {
    return this.#spec.clear;
  }

  override readings(): [number, number][] {
    return this.own.readings();
  }

  override release(): void {
    this.own.release();
    this.#other?.release();
  }

  override write(to: Writer): void {
    this.own.write(to);
    this.#other?.write(to);
  }

  override read(from: Reader): void {
    this.own.read(from);
    this.#other?.read(from);
  }

  /** Of the peers that have a figure which is fresh enough. */
  #median(withinMs: number): number {
    const oldest = this.own.newest - withinMs;
    const figures: number[] = [];
    for (const peer of this.peers ?? []) {
      const { own } = peer;
      if (peer === this) continue;
      const value = own.newest >= oldest ? own.value() : Number.NaN;
      if (!Number.isNaN(value)) figures.push(value);
    }
    if (figures.length < LEAST_PEERS) return Number.NaN;
    return medianOf(figures.sort((a, b) => a - b));
  }
}

/** Of values in ascending order, at least one; of an even number the mean of the middle two. */
export function medianOf(sorted: ArrayLike<number>): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
