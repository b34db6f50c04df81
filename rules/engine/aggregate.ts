import { HOUR_MS, type WindowAggregate } from '../../domain/index.ts';
import type { Reader, Writer } from './bytes.ts';
import { Ranks } from './ranks.ts';
import { Series } from './series.ts';
import { type Keeps, type SeriesSpec, seriesSpec } from './series-layout.ts';

const KEEPS: Readonly<Record<WindowAggregate['fn'], Keeps>> = {
  last: 'last',
  mean: 'sum',
  sum: 'sum',
  count: 'count',
  min: 'min',
  max: 'max',
  p50: 'count',
  p95: 'count',
  stddev: 'moments',
  rate: 'ends',
  delta: 'ends',
};

/** An aggregate and the layout of its series, shared by all series of a clause. */
export interface AggregateSpec extends SeriesSpec {
  readonly fn: WindowAggregate['fn'];
}

const specs = new Map<string, AggregateSpec>();

/** Returns the same object for equal arguments; `threshold` is subtracted from each value before a mean is summed. */
export function aggregateSpec({ fn, windowMs }: WindowAggregate, threshold: number): AggregateSpec {
  const keeps = KEEPS[fn];
  if (keeps === undefined) throw new Error(`there is no function "${fn}"`);
  const shift = fn === 'mean' ? threshold : 0;
  const key = `${fn} ${windowMs} ${shift}`;
  const spec = specs.get(key) ?? { ...seriesSpec(keeps, windowMs, shift), fn };
  specs.set(key, spec);
  return spec;
}

/** One aggregate over one series; `domain/rule.ts` defines each function. */
export class AggregateState extends Series<AggregateSpec> {
  readonly #ranks: Ranks | null;

  constructor(spec: AggregateSpec) {
    super(spec);
    this.#ranks = spec.fn === 'p50' || spec.fn === 'p95' ? new Ranks() : null;
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
    switch (this.spec.fn) {
      case 'last':
        return this.last;
      case 'mean':
        return this.spec.shift + this.total / count;
      case 'count':
        return count;
      case 'p50':
        return this.#ranks!.percentile(0.5, count);
      case 'p95':
        return this.#ranks!.percentile(0.95, count);
      case 'stddev':
        return this.#stddev(count);
      case 'rate':
      case 'delta':
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

  #stddev(count: number): number {
    if (count < 2) return Number.NaN;
    const sum = this.sum(0);
    return Math.sqrt(Math.max(0, (this.sum(1) - (sum * sum) / count) / (count - 1)));
  }

  #change(count: number): number {
    if (count < 2) return Number.NaN;
    let back = this.spec.slices - 1;
    while (this.countOf(back) === 0) back--;
    const change = this.last - this.lane(back, 1);
    if (this.spec.fn === 'delta') return change;
    const ms = this.newest - this.lane(back, 0);
    return ms === 0 ? Number.NaN : (change / ms) * HOUR_MS;
  }
}
