import {
  CITY_GROUP,
  type Device,
  FAULT_GROUP,
  type HistoryStore,
  isoOf,
  isQuality,
  type KnownDevice,
  LamppostError,
  LIMIT_GROUP,
  type ReadingColumns,
  type Rule,
  type ScannedReadings,
  type ScanQuery,
  type Transition,
} from '../../domain/index.ts';
import { takes } from '../engine/compiled.ts';
import { createRuleEngine, type RuleEngine } from '../engine/index.ts';
import { createMetricTable, metricsOf, reachOf, withQualities } from '../reach.ts';
import { Comparison } from './compare.ts';
import { Fleet, Qualities } from './fleet.ts';
import type { BacktestInput } from './input.ts';
import type {
  BacktestDifference,
  BacktestOptions,
  BacktestProgress,
  BacktestReport,
  BacktestTicket,
} from './report.ts';
import { type IncidentListener, Tally } from './tally.ts';

interface Deps extends Pick<HistoryStore, 'scan'> {
  /** Returns the ticket that a firing alert would open; null where it opens none. */
  readonly ticketOf: (transition: Transition, rule: Rule) => BacktestTicket | null;
  /** Monotonic time, ms. */
  readonly elapsed: () => number;
  /** How many incidents, and how many changes, the report lists. */
  readonly most?: number;
}

const MOST_LISTED = 10_000;
/** Readings between two checks of the signal: about 10 ms, even for slow rules. */
const ROWS_AT_ONCE = 4_096;
const PROGRESS_MS = 100;
/** Both rules run in one engine, under two ids. No rule's id contains a `~`. */
const IN_FORCE = '~in-force';

/**
 * Runs a rule over stored readings in an engine of its own. This is the live path (promise 4) with the time of the data
 * as its clock and a tally in place of its effects. Memory does not grow with the readings. Throws `invalid`,
 * `history`, and the signal's reason when it aborts.
 */
export async function runBacktest(
  input: BacktestInput,
  deps: Deps,
  { signal, onProgress }: BacktestOptions = {},
): Promise<BacktestReport> {
  if (!(input.fromMs < input.toMs)) {
    throw new LamppostError('invalid', 'backtest: from must be before to');
  }
  const startedMs = deps.elapsed();
  const run = new Run(input, deps);
  let reportedMs = startedMs;
  for await (const batch of prefetch(deps.scan(run.query, signal), signal)) {
    for (let row = 0; row < batch.ts.length; row += ROWS_AT_ONCE) {
      run.feed(batch, row, Math.min(batch.ts.length, row + ROWS_AT_ONCE));
      if (deps.elapsed() - reportedMs >= PROGRESS_MS) {
        reportedMs = deps.elapsed();
        onProgress?.(run.progress());
      }
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  }
  run.finish();
  onProgress?.(run.progress());
  return { ...run.report(), tookMs: Math.round(deps.elapsed() - startedMs) };
}

/** The state of one backtest: engine, tallies, and the position in the data. */
class Run {
  readonly query: ScanQuery;
  readonly #input: BacktestInput;
  readonly #beginMs: number;
  readonly #fleet: Fleet;
  /** Null where no rule asks for them. */
  readonly #qualities: Qualities | null;
  readonly #engine: RuleEngine;
  readonly #now: Tally;
  readonly #inForce: { readonly id: string; readonly tally: Tally; readonly comparison: Comparison } | null = null;
  #seq = 1;
  #readings = 0;
  #atMs: number;
  #counting = false;

  constructor(input: BacktestInput, { ticketOf, most = MOST_LISTED }: Deps) {
    const { rule, inForce, fromMs, toMs, calendars, zone } = input;
    const rules = inForce === null ? [rule] : [rule, inForce];
    const devices = input.devices.filter((device) => rules.some((one) => takes(one, device)));
    const metrics = withQualities(rules, metricNames(rules, devices, input.metrics));
    this.#input = input;
    this.#beginMs = fromMs - Math.max(...rules.map(reachOf));
    this.#atMs = this.#beginMs;
    this.query = { devices: devices.map(({ id }) => id), metrics, fromMs: this.#beginMs, toMs };
    this.#fleet = new Fleet(devices, this.#beginMs);
    this.#qualities = metrics.some(isQuality) ? new Qualities(metrics) : null;
    // The engine's number of a metric is its index in the query.
    this.#engine = createRuleEngine({ metrics: createMetricTable(metrics), gaps: false });
    const tallyOf = (one: Rule, listener: IncidentListener | null) => {
      const districtOf = (group: string) => districtIn(group, one, this.#fleet);
      return new Tally({ districtOf, ticketOf: (transition) => ticketOf(transition, one) }, most, listener);
    };
    const comparison = new Comparison(most);
    this.#now = tallyOf(rule, inForce && comparison.now);
    const id = `${rule.id}${IN_FORCE}`;
    if (inForce !== null) this.#inForce = { id, tally: tallyOf(inForce, comparison.inForce), comparison };
    const both = inForce === null ? [rule] : [rule, { ...inForce, id }];
    this.#apply(this.#engine.configure({ rules: both, calendars, zone }, { seq: this.#seq, atMs: this.#beginMs }));
    for (const device of this.#fleet.known()) this.#announce(device, this.#beginMs);
  }

  /** Reads the rows `[from, to)` of a batch. */
  feed(batch: ScannedReadings, from: number, to: number): void {
    const { fromMs } = this.#input;
    const until = this.#counting ? from : firstAt(batch.ts, fromMs, from, to);
    if (until > from) this.#replay(batch, from, until);
    if (until === to) return;
    if (!this.#counting) this.#startCounting();
    this.#replay(batch, until, to);
  }

  /** Runs what comes due between the last reading and the end. */
  finish(): void {
    const { toMs } = this.#input;
    if (!this.#counting) this.#startCounting();
    this.#register(toMs);
    this.#tick(toMs);
    this.#atMs = toMs;
    for (const tally of [this.#now, this.#inForce?.tally]) tally?.finish(toMs);
  }

  progress(): BacktestProgress {
    const done = (this.#atMs - this.#beginMs) / (this.#input.toMs - this.#beginMs);
    return { done, at: isoOf(this.#atMs), readings: this.#readings, incidents: this.#now.incidents };
  }

  report(): Omit<BacktestReport, 'tookMs'> {
    const { rule, fromMs, toMs } = this.#input;
    return {
      rule: rule.id,
      version: rule.version,
      from: isoOf(fromMs),
      to: isoOf(toMs),
      warmUpFrom: isoOf(this.#beginMs),
      devices: this.query.devices.length,
      readings: this.#readings,
      totals: this.#now.totals(),
      incidents: this.#now.listed(),
      difference: this.#difference(),
      fault: this.#fault(),
    };
  }

  #difference(): BacktestDifference | null {
    if (this.#inForce === null) return null;
    const { tally, comparison } = this.#inForce;
    const { version } = this.#input.inForce!;
    return { version, totals: tally.totals(), counts: comparison.counts(), changes: comparison.changes() };
  }

  #fault(): string | null {
    const other = this.#inForce?.tally.fault ?? null;
    return this.#now.fault ?? (other === null ? null : `the rule in force: ${other}`);
  }

  /** Ends the warm-up. */
  #startCounting(): void {
    const { fromMs } = this.#input;
    // What comes due exactly at `fromMs` counts.
    this.#register(fromMs - 1);
    this.#tick(fromMs - 1);
    for (const tally of [this.#now, this.#inForce?.tally]) tally?.startCounting(fromMs);
    this.#counting = true;
    this.#atMs = fromMs;
  }

  #replay(batch: ScannedReadings, from: number, to: number): void {
    for (let row = from; row < to; ) {
      const { end, device, ms } = this.#fleet.nextArrival(batch, row, to);
      if (end > row) this.#apply(this.#engine.replay(this.#columns(batch, row, end), ++this.#seq));
      if (device !== null) this.#announce(device, ms);
      row = end;
    }
    this.#atMs = Math.max(this.#atMs, batch.ts[to - 1]!);
  }

  #columns(batch: ScannedReadings, from: number, to: number): ReadingColumns {
    const all = this.#fleet.columns(batch, from, to);
    const columns = this.#qualities?.read(all) ?? all;
    this.#readings += columns.length;
    return columns;
  }

  #register(untilMs: number): void {
    for (const [device, ms] of this.#fleet.registeredUntil(untilMs)) this.#announce(device, ms);
  }

  #announce(device: KnownDevice, atMs: number): void {
    this.#apply(this.#engine.deviceChanged(device, { seq: ++this.#seq, atMs }));
  }

  #tick(atMs: number): void {
    this.#apply(this.#engine.tick({ seq: ++this.#seq, atMs }));
  }

  #apply(transitions: readonly Transition[]): void {
    for (const transition of transitions) {
      const tally = transition.rule === this.#inForce?.id ? this.#inForce.tally : this.#now;
      tally.add(transition);
    }
  }
}

/**
 * Yields batches and requests the next one while the caller works on one. A slow scan does not delay a cancellation.
 */
async function* prefetch(
  batches: AsyncIterable<ScannedReadings>,
  signal: AbortSignal | undefined,
): AsyncGenerator<ScannedReadings, void, undefined> {
  const iterator = batches[Symbol.asyncIterator]();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => {});
  const abort = () => reject(signal!.reason);
  signal?.addEventListener('abort', abort);
  try {
    signal?.throwIfAborted();
    let next = iterator.next();
    for (;;) {
      const { done, value } = await Promise.race([next, aborted]);
      if (done) return;
      next = iterator.next();
      // The race above reports a rejection on the next turn.
      next.catch(() => {});
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    void iterator.return?.().then(undefined, () => {});
  }
}

/**
 * Returns the first row of `[from, to)` whose time is at or after `ms`; `to` where there is none. Times must be sorted.
 */
function firstAt(ts: Float64Array, ms: number, from: number, to: number): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ts[middle]! < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns the metrics to read. For a rule about any metric these are all metrics of its devices' profiles. */
function metricNames(
  rules: readonly Rule[],
  devices: readonly Device[],
  metrics: BacktestInput['metrics'],
): readonly string[] {
  const wanted = rules.map(metricsOf);
  const known = wanted.includes(null)
    ? [...new Set(devices.map(({ profile }) => profile))].flatMap((profile) => metrics.get(profile) ?? [])
    : [];
  return [...new Set([...wanted.flatMap((names) => names ?? []), ...known])].sort();
}

function districtIn(group: string, { forEach }: Rule, fleet: Fleet): string {
  if (group === LIMIT_GROUP || group === FAULT_GROUP || group === CITY_GROUP) return '';
  return forEach === 'district' ? group : fleet.districtOf(group);
}
