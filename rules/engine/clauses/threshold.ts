import type { Band, MetricTable, ThresholdCondition } from '../../../domain/index.ts';
import { type AggregateSpec, AggregateState, aggregateSpec } from '../aggregate.ts';
import type { Reader, Writer } from '../bytes.ts';
import { ClauseState, type ClauseWindow, type EngineTime, shown, verdictOf } from './clause.ts';
import type { Peers } from './peers.ts';

/** A compiled threshold clause. */
export interface ThresholdSpec extends ThresholdCondition {
  readonly own: number;
  /** Number of the metric compared with; −1 where there is none. */
  readonly other: number;
  readonly aggregate: AggregateSpec;
}

export function thresholdSpec(clause: ThresholdCondition, metrics: MetricTable): ThresholdSpec {
  const { compare, threshold } = clause;
  const other = compare === null || compare.with === 'peers' ? -1 : metrics.indexOf(compare.with.metric);
  const shift = compare === null && typeof threshold === 'number' ? threshold : 0;
  return { ...clause, own: metrics.indexOf(clause.metric), other, aggregate: aggregateSpec(clause, shift) };
}

/** An aggregate, or its difference from another, beyond a limit. */
export class ThresholdState extends ClauseState {
  readonly #spec: ThresholdSpec;
  readonly own: AggregateState;
  readonly #other: AggregateState | null;
  /** The aggregates of all devices of the same profile and district; null where it does not compare with peers. */
  peers: Peers | null = null;

  constructor(spec: ThresholdSpec) {
    super();
    this.#spec = spec;
    this.own = new AggregateState(spec.aggregate);
    this.#other = spec.other < 0 ? null : new AggregateState(spec.aggregate);
  }

  override reads(metric: number): boolean {
    return metric === this.#spec.own || metric === this.#spec.other;
  }

  override take(metric: number, ts: number, value: number): boolean {
    if (this.peers === null)
      return (this.#other === null || metric === this.#spec.own ? this.own : this.#other).take(ts, value);
    const before = this.own.value();
    if (!this.own.take(ts, value)) return false;
    this.peers.changed(this.own, before);
    return true;
  }

  /** Whether it compares with peers. */
  get hasPeers(): boolean {
    return this.#spec.compare?.with === 'peers';
  }

  override judge(): void {
    this.verdict = verdictOf(this.verdict, this.value(), this.#spec);
  }

  override value(): number {
    const { compare } = this.#spec;
    const own = this.own.value();
    if (compare === null) return own;
    if (Number.isNaN(own)) return own;
    const other = this.#other === null ? this.#median(compare.withinMs) : this.#other.value();
    if (compare.as === 'difference') return own - other;
    return other === 0 ? Number.NaN : own / other;
  }

  override window(_time: EngineTime): ClauseWindow {
    const { fn, op, threshold } = this.#spec;
    const { fromMs, newest, count } = this.own;
    return { fn, fromMs, toMs: newest, count, value: shown(this.value()), op, threshold };
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
    this.peers?.reset();
  }

  #median(withinMs: number): number {
    return this.peers === null ? Number.NaN : this.peers.median(this.own, withinMs);
  }
}

/** The median of at least one value in ascending order; of an even number the mean of the middle two. */
export function medianOf(sorted: ArrayLike<number>): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
