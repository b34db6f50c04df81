import type { Figure } from '../../domain/index.ts';
import { HOUR_MS } from '../../domain/index.ts';
import type { Reader, Writer } from './bytes.ts';
import { Ranks } from './ranks.ts';
import { type Keeps, Series, type SeriesSpec, seriesSpec } from './series.ts';

const KEEPS: Readonly<Record<Figure['fn'], Keeps>> = {
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

/** A kind of figure, shared by all series of a clause. */
export interface FigureSpec extends SeriesSpec {
  readonly fn: Figure['fn'];
}

const specs = new Map<string, FigureSpec>();

/** A kind of figure, one for all clauses that take it alike; `threshold` is where sums of a mean are taken from. */
export function figureSpec({ fn, windowMs }: Figure, threshold: number): FigureSpec {
  const keeps = KEEPS[fn];
  if (keeps === undefined) throw new Error(`there is no function "${fn}"`);
  const shift = fn === 'mean' ? threshold : 0;
  const key = `${fn} ${windowMs} ${shift}`;
  const spec = specs.get(key) ?? { ...seriesSpec(keeps, windowMs, shift), fn };
  specs.set(key, spec);
  return spec;
}

/** One figure over one series; what each function means is said in `domain/rule.ts`. */
export class FigureState extends Series<FigureSpec> {
  readonly #ranks: Ranks | null;

  constructor(spec: FigureSpec) {
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

  /** NaN where it cannot be taken yet. */
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

  /** The readings behind it, the newest ten. `last` has no window: those that led up to it are shown. */
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
