import {
  angularDeviation,
  HOUR_MS,
  levelOf,
  type MetricKind,
  meanAngle,
  normalAngle,
  turnOf,
  type WindowAggregate,
} from '../../domain/index.ts';
import type { Reader, Writer } from './bytes.ts';
import { Ranks } from './ranks.ts';
import { Series } from './series.ts';
import { type Keeps, type SeriesSpec, seriesSpec, stepOf } from './series-layout.ts';

const KEEPS: Readonly<Record<WindowAggregate['fn'], Keeps>> = {
  last: 'last',
  mean: 'sum',
  sum: 'sum',
  count: 'count',
  min: 'min',
  max: 'max',
  p10: 'count',
  p50: 'count',
  p90: 'count',
  p95: 'count',
  stddev: 'moments',
  rate: 'ends',
  delta: 'ends',
  changes: 'changed',
  share: 'held',
  faults: 'sum',
};

/** What the functions of a kind store otherwise. */
const KEEPS_OF: Readonly<Record<MetricKind, Partial<Record<WindowAggregate['fn'], Keeps>>>> = {
  gauge: {},
  counter: { sum: 'counted', delta: 'counted', rate: 'counted' },
  angle: { mean: 'direction', stddev: 'direction' },
  level: { mean: 'power' },
  presence: {},
  state: {},
  text: {},
};

const SHARES: Partial<Record<WindowAggregate['fn'], number>> = { p10: 0.1, p50: 0.5, p90: 0.9, p95: 0.95 };

/** An aggregate and the layout of its series, shared by all series of a clause. */
export interface AggregateSpec extends SeriesSpec {
  readonly fn: WindowAggregate['fn'];
  readonly kind: MetricKind;
}

// Lanes of `ends`, and of what is counted between readings.
const [OLDEST, FIRST, NEWEST, LAST, COUNTED] = [0, 1, 2, 3, 4];

const specs = new Map<string, AggregateSpec>();

/** Returns the same object for equal arguments; `threshold` is subtracted from each value before a mean is summed. */
export function aggregateSpec(clause: WindowAggregate, threshold: number): AggregateSpec {
  const { fn, windowMs, measure } = clause;
  const kind = measure?.kind ?? 'gauge';
  const keeps = KEEPS_OF[kind][fn] ?? KEEPS[fn];
  if (keeps === undefined) throw new Error(`there is no function "${fn}"`);
  const shift = fn === 'mean' && kind !== 'angle' ? threshold : 0;
  const max = keeps === 'counted' ? measure!.max : Number.POSITIVE_INFINITY;
  const states = keeps === 'held' ? (clause.states ?? []) : [];
  const key = `${kind} ${fn} ${windowMs} ${shift} ${max} ${states}`;
  const spec = specs.get(key) ?? { ...seriesSpec(keeps, windowMs, { shift, max, states }), fn, kind };
  specs.set(key, spec);
  return spec;
}

/** One aggregate over one series; `domain/rule.ts` defines each function. */
export class AggregateState extends Series<AggregateSpec> {
  readonly #ranks: Ranks | null;

  constructor(spec: AggregateSpec) {
    super(spec);
    this.#ranks = SHARES[spec.fn] === undefined ? null : new Ranks();
  }

  override take(ts: number, value: number): boolean {
    const ranks = this.#ranks;
    if (ranks === null) return super.take(ts, value);
    const before = this.slice;
    if (!super.take(ts, value)) return false;
    if (this.slice > before) ranks.expire(this.slice - this.spec.slices + 1);
    ranks.add(Math.floor(ts / this.spec.sliceMs), value);
    return true;
  }

  /** NaN while there are too few readings. */
  value(): number {
    const { count } = this;
    if (count === 0) return Number.NaN;
    const { fn, kind } = this.spec;
    switch (fn) {
      case 'last':
        return kind === 'angle' ? normalAngle(this.last) : this.last;
      case 'mean':
        return this.#mean(count);
      case 'count':
        return count;
      case 'faults':
        return (100 * this.total) / count;
      case 'p10':
      case 'p50':
      case 'p90':
      case 'p95':
        return this.#ranks!.percentile(SHARES[fn]!, count);
      case 'stddev':
        return this.#stddev(count);
      case 'sum':
        return kind === 'counter' ? this.#change(count) : this.total;
      case 'changes':
        return count < 2 ? 0 : this.#change(count);
      case 'rate':
      case 'delta':
      case 'share':
        return this.#change(count);
      default:
        return this.total;
    }
  }

  /** The newest readings of the window, at most 10; `last` has no window: the reading and those before it. */
  readings(): [number, number][] {
    return this.recent(this.spec.fn === 'last' ? Number.NEGATIVE_INFINITY : this.fromMs);
  }

  override write(to: Writer): void {
    super.write(to);
    this.#ranks?.write(to);
  }

  override read(from: Reader): void {
    super.read(from);
    this.#ranks?.read(from);
  }

  #mean(count: number): number {
    const { kind, shift } = this.spec;
    if (kind === 'angle') return meanAngle(this.sum(0), this.sum(1), count);
    return shift + (kind === 'level' ? levelOf(this.total / count) : this.total / count);
  }

  #stddev(count: number): number {
    if (count < 2) return Number.NaN;
    if (this.spec.kind === 'angle') return angularDeviation(this.sum(0), this.sum(1), count);
    const sum = this.sum(0);
    return Math.sqrt(Math.max(0, (this.sum(1) - (sum * sum) / count) / (count - 1)));
  }

  #change(count: number): number {
    if (count < 2) return Number.NaN;
    let back = this.spec.slices - 1;
    while (this.countOf(back) === 0) back--;
    const change = this.#changeSince(back);
    const { fn } = this.spec;
    if (fn !== 'rate' && fn !== 'share') return change;
    const ms = this.newest - this.lane(back, OLDEST);
    return ms === 0 ? Number.NaN : (change / ms) * (fn === 'rate' ? HOUR_MS : 100);
  }

  /** From the oldest reading, which is in the slice `back` slices before the newest, to the newest. */
  #changeSince(back: number): number {
    const { kind } = this.spec;
    const first = this.lane(back, FIRST);
    if (kind === 'angle') return turnOf(first, this.last);
    if (kind !== 'counter' && kind !== 'state') return this.last - first;
    let counted = this.lane(back, COUNTED);
    for (let before = back, at = back - 1; at >= 0; at--) {
      if (this.countOf(at) === 0) continue;
      counted += this.#step(before, at) + this.lane(at, COUNTED);
      before = at;
    }
    return counted;
  }

  /** From the newest reading of a slice to the oldest of a later one. */
  #step(before: number, at: number): number {
    const [from, to] = [this.lane(before, NEWEST), this.lane(at, OLDEST)];
    return stepOf(this.spec, [from, this.lane(before, LAST)], [to, this.lane(at, FIRST)]);
  }
}
