import {
  type Calendar,
  CITY_GROUP,
  type Device,
  FAULT_GROUP,
  type HistoryStore,
  isoOf,
  type KnownDevice,
  LamppostError,
  LIMIT_GROUP,
  type MetricTable,
  type Rule,
  type ScannedReadings,
  type ScanQuery,
  type Transition,
} from '../../domain/index.ts';
import { takes } from '../engine/compiled.ts';
import { createRuleEngine, type RuleEngine } from '../engine/index.ts';

import { metricsOf, reachOf } from '../trial/reach.ts';
import { Comparison } from './compare.ts';
import { Fleet } from './fleet.ts';
import { type Listener, Tally } from './tally.ts';
import type { BacktestDifference, BacktestOptions, BacktestProgress, BacktestReport, BacktestTicket } from './types.ts';

/** A device as a backtest is given it; one that was registered in the middle is silent from then on only. */
export interface BacktestDevice extends Device {
  /** Epoch ms; from the beginning where absent. */
  readonly registeredMs?: number;
}

/** All that a backtest is a function of, besides the readings. Plain data. */
export interface BacktestInput {
  readonly rule: Rule;
  /** The rule in force under the same id; null where there is none, or it says the same. */
  readonly inForce: Rule | null;
  readonly devices: readonly BacktestDevice[];
  readonly calendars: ReadonlyMap<string, Calendar>;
  /** IANA zone of the city. */
  readonly zone: string;
  /** Metrics of each profile: for rules that hear any. */
  readonly metrics: ReadonlyMap<string, readonly string[]>;
  readonly fromMs: number;
  readonly toMs: number;
}

interface Deps {
  readonly scan: HistoryStore['scan'];
  /** The ticket that a firing alert would open; null where none. */
  readonly ticketOf: (transition: Transition, rule: Rule) => BacktestTicket | null;
  /** Milliseconds that only go forward. */
  readonly elapsed: () => number;
  /** How many incidents, and how many changes, are listed. */
  readonly most?: number;
}

const MOST_LISTED = 10_000;
/** Readings between two looks at the signal: some 10 ms, also for rules that are slow. */
const ROWS_AT_ONCE = 4_096;
const PROGRESS_MS = 100;
/** Both rules are in one engine, under two ids. No rule's id has a `~`. */
const IN_FORCE = '~in-force';

/**
 * Runs a rule over stored readings, in an engine of its own: the live path (promise 4), with the data's time for a clock
 * and a tally for an effect. Memory does not grow with the readings. Throws `invalid`, `history`; the signal's reason when
 * it aborts.
 */
export async function runBacktest(
  input: BacktestInput,
  deps: Deps,
  { signal, onProgress }: BacktestOptions = {},
): Promise<BacktestReport> {
  if (!(input.fromMs < input.toMs)) {
    throw new LamppostError('invalid', 'a backtest begins before it ends: from must be before to');
  }
  const startedMs = deps.elapsed();
  const run = new Run(input, deps);
  let toldMs = startedMs;
  for await (const batch of ahead(deps.scan(run.query, signal), signal)) {
    for (let row = 0; row < batch.ts.length; row += ROWS_AT_ONCE) {
      run.feed(batch, row, Math.min(batch.ts.length, row + ROWS_AT_ONCE));
      if (deps.elapsed() - toldMs >= PROGRESS_MS) {
        toldMs = deps.elapsed();
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

/** One backtest on its way: engine, tallies, and where in the data it stands. */
class Run {
  readonly query: ScanQuery;
  readonly #input: BacktestInput;
  readonly #beginMs: number;
  readonly #fleet: Fleet;
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
    const taken = input.devices.filter((device) => rules.some((one) => takes(one, device)));
    const metrics = namesOf(rules, taken, input.metrics);
    this.#input = input;
    this.#beginMs = fromMs - Math.max(...rules.map(reachOf));
    this.#atMs = this.#beginMs;
    this.query = { devices: taken.map(({ id }) => id), metrics, fromMs: this.#beginMs, toMs };
    this.#fleet = new Fleet(taken, this.#beginMs);
    this.#engine = createRuleEngine({ metrics: tableOf(metrics), gaps: false });
    const tallyOf = (one: Rule, listener: Listener | null) => {
      const districtOf = (group: string) => districtIn(group, one, this.#fleet);
      return new Tally({ districtOf, ticketOf: (transition) => ticketOf(transition, one) }, most, listener);
    };
    const comparison = new Comparison(most);
    this.#now = tallyOf(rule, inForce && comparison.now);
    const id = `${rule.id}${IN_FORCE}`;
    if (inForce !== null) this.#inForce = { id, tally: tallyOf(inForce, comparison.inForce), comparison };
    const both = inForce === null ? [rule] : [rule, { ...inForce, id }];
    this.#apply(this.#engine.configure({ rules: both, calendars, zone }, { seq: this.#seq, atMs: this.#beginMs }));
    for (const device of this.#fleet.present()) this.#announce(device, this.#beginMs);
  }

  /** Rows `[from, to)` of a batch. */
  feed(batch: ScannedReadings, from: number, to: number): void {
    const { fromMs } = this.#input;
    const until = this.#counting ? from : firstAt(batch.ts, fromMs, from, to);
    if (until > from) this.#replay(batch, from, until);
    if (until === to) return;
    if (!this.#counting) this.#count();
    this.#replay(batch, until, to);
  }

  /** What comes due until the end, without readings. */
  finish(): void {
    const { toMs } = this.#input;
    if (!this.#counting) this.#count();
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

  /** The time asked for begins. */
  #count(): void {
    const { fromMs } = this.#input;
    // What comes due at its first moment belongs to it.
    this.#register(fromMs - 1);
    this.#tick(fromMs - 1);
    for (const tally of [this.#now, this.#inForce?.tally]) tally?.count(fromMs);
    this.#counting = true;
    this.#atMs = fromMs;
  }

  #replay(batch: ScannedReadings, from: number, to: number): void {
    for (let row = from; row < to; ) {
      const { end, device, ms } = this.#fleet.nextToCome(batch, row, to);
      if (end > row) this.#apply(this.#engine.replay(this.#fleet.columns(batch, row, end), ++this.#seq));
      if (device !== null) this.#announce(device, ms);
      row = end;
    }
    this.#readings += to - from;
    this.#atMs = Math.max(this.#atMs, batch.ts[to - 1]!);
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
      tally.take(transition);
    }
  }
}

/** The next batch is on its way while one is worked on. A scan that is silent does not delay a cancellation. */
async function* ahead(
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
      // Told by the race above, in its turn.
      next.catch(() => {});
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    void iterator.return?.().then(undefined, () => {});
  }
}

/** The first row from `from` on whose time is at or after `ms`; `to` where there is none. */
function firstAt(ts: Float64Array, ms: number, from: number, to: number): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ts[middle]! < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Metrics that are read. A rule that hears any reads all of its devices' profiles. */
function namesOf(
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

/** The places of the query are the engine's numbers. */
function tableOf(names: readonly string[]): MetricTable {
  const ids = [...names];
  return {
    indexOf(id) {
      const at = ids.indexOf(id);
      return at >= 0 ? at : ids.push(id) - 1;
    },
    idOf: (index) => ids[index]!,
  };
}

function districtIn(group: string, { forEach }: Rule, fleet: Fleet): string {
  if (group === LIMIT_GROUP || group === FAULT_GROUP || group === CITY_GROUP) return '';
  return forEach === 'district' ? group : fleet.districtOf(group);
}
