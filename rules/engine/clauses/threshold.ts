import {
  type Band,
  type Clause,
  faultsOf,
  type MetricTable,
  nameOfState,
  type StateValues,
  type ThresholdCondition,
  turnOf,
} from '../../../domain/index.ts';
import { type AggregateSpec, AggregateState, aggregateSpec } from '../aggregate.ts';
import type { Reader, Writer } from '../bytes.ts';
import {
  ClauseState,
  type ClauseWindow,
  type EngineTime,
  FALSE,
  shown,
  TRUE,
  UNKNOWN,
  type Verdict,
  verdictOf,
} from './clause.ts';
import type { Peers } from './peers.ts';

/** A compiled threshold clause. */
export interface ThresholdSpec extends ThresholdCondition {
  readonly own: number;
  /** Number of the metric compared with; −1 where there is none. */
  readonly other: number;
  /** Number of the fault codes of the metric, where their share is asked for; −1 else. */
  readonly faults: number;
  readonly aggregate: AggregateSpec;
  readonly names: StateNames;
}

/** The names of a state's values, in evidence only: they follow the city, while the clause goes on. */
export interface StateNames {
  values: StateValues | undefined;
}

/** Returns the names that a clause has for the values of a state. */
export const namesOf = (clause: Clause): StateNames => ({
  values: 'measure' in clause ? clause.measure?.values : undefined,
});

export function thresholdSpec(
  clause: ThresholdCondition,
  metrics: MetricTable,
  names: StateNames = namesOf(clause),
): ThresholdSpec {
  const { compare, threshold } = clause;
  const other = compare === null || compare.with === 'peers' ? -1 : metrics.indexOf(compare.with.metric);
  const shift = compare === null && typeof threshold === 'number' ? threshold : 0;
  const faults = clause.fn === 'faults' ? metrics.indexOf(faultsOf(clause.metric)) : -1;
  return {
    ...clause,
    own: metrics.indexOf(clause.metric),
    other,
    faults,
    aggregate: aggregateSpec(clause, shift),
    names,
  };
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
    const { own, other, faults } = this.#spec;
    return metric === own || metric === other || metric === faults;
  }

  override take(metric: number, ts: number, value: number): boolean {
    if (this.#spec.faults >= 0) return this.own.take(ts, metric === this.#spec.faults ? 1 : 0);
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
    const { op } = this.#spec;
    this.verdict =
      op === 'is' || op === 'is_not' ? this.#isIn(op === 'is') : verdictOf(this.verdict, this.value(), this.#spec);
  }

  override value(): number {
    const { compare } = this.#spec;
    const own = this.own.value();
    if (compare === null) return own;
    if (Number.isNaN(own)) return own;
    const other = this.#other === null ? this.#median(compare.withinMs) : this.#other.value();
    if (compare.as === 'difference') return this.#spec.measure?.kind === 'angle' ? turnOf(other, own) : own - other;
    return other === 0 ? Number.NaN : own / other;
  }

  override window(_time: EngineTime): ClauseWindow {
    const { fn, op, threshold, names, states = [] } = this.#spec;
    const { fromMs, newest, count } = this.own;
    const value = this.value();
    const window = { fn, fromMs, toMs: newest, count, value: shown(value), op, threshold };
    const { values } = names;
    if (fn !== 'last' || values === undefined) return window;
    const named = Number.isNaN(value) ? {} : { state: nameOfState(values, value) };
    return { ...window, threshold: null, states: states.map((code) => nameOfState(values, code)), ...named };
  }

  override clear(): number | Band | null {
    return this.#spec.op === 'is' || this.#spec.op === 'is_not' ? null : this.#spec.clear;
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

  /** Whether the newest value is one of those of the clause, or none of them. */
  #isIn(wanted: boolean): Verdict {
    const value = this.value();
    if (Number.isNaN(value)) return UNKNOWN;
    return this.#spec.states!.includes(value) === wanted ? TRUE : FALSE;
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
