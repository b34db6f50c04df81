import {
  type AnomalyCondition,
  type City,
  type Clause,
  createCalendarClock,
  DAY_MS,
  formatDuration,
  HOUR_MS,
  type Rule,
  type ThresholdCondition,
  type WindowAggregate,
} from '../../domain/index.ts';
import { FARTHEST_NEIGHBOUR, LEAST_SAMPLES, trainingOf } from '../engine/index.ts';
import { clausesOf } from './build.ts';
import type { Fault, Raw } from './raw.ts';
import { leavesOf } from './raw.ts';

/** Why a clause cannot decide on readings of an interval, and what would work. */
interface Doubt {
  readonly key: string;
  readonly says: string;
  readonly works: string;
}

const LONGEST_TRAINING_DAYS = 60;

/**
 * Yields what keeps a rule without mistakes from deciding on the readings that its profiles announce: windows that hold
 * too few of them, seasons that are never learned, silence that every pause is. Readings of many devices that share one
 * window are left out: how many there are is not known.
 */
export function* doubtsOf(rule: Rule, when: Raw, city: City): Generator<Fault> {
  yield* calendarDoubt(rule, city);
  yield* rangeDoubts(rule, when, city);
  const profiles = rule.profiles.map((id) => city.profiles.get(id)!);
  if (rule.suspect === 'ignore' && !profiles.some(({ quality }) => quality)) {
    yield [['suspect'], 'no profile of the rule has the quality of values; write "quality: true" in profiles.yaml'];
  }
  if (rule.forEach !== 'device' && rule.quorum === null) return;
  const [fastest] = profiles.toSorted((a, b) => a.intervalMs - b.intervalMs);
  if (fastest === undefined) return;
  const leaves = [...leavesOf(when)];
  for (const [i, clause] of clausesOf(rule.when).entries()) {
    for (const profile of profiles) {
      const doubt = doubtOf(clause, profile.intervalMs);
      if (doubt === null) continue;
      const whole = doubtOf(clause, fastest.intervalMs)?.key === doubt.key;
      // Where even the fastest profile cannot decide, that is said once.
      if (whole && profile !== fastest) continue;
      const every = `profile "${profile.id}" sends every ${formatDuration(profile.intervalMs)}`;
      yield [[...leaves[i]!.path, doubt.key], `${doubt.says}: ${every}; ${doubt.works}`];
    }
  }
  if (rule.onNoData !== 'keep' && rule.noDataAfterMs <= fastest.intervalMs) {
    const interval = formatDuration(fastest.intervalMs);
    const works = `write no_data_after: ${formatDuration(3 * fastest.intervalMs)}`;
    yield [['no_data_after'], `every pause is a silence: profile "${fastest.id}" sends every ${interval}; ${works}`];
  }
}

/** Outside its calendar nothing matches: what has to match for longer than it is on at once never fires. */
function* calendarDoubt({ active, forMs }: Rule, { calendars }: City): Generator<Fault> {
  const calendar = active === null || forMs === 0 ? undefined : calendars.get(active);
  if (calendar === undefined) return;
  const clock = createCalendarClock(calendar);
  let longestMs = 0;
  for (let at = A_YEAR.from; at < A_YEAR.to; ) {
    const next = clock.nextChange(at);
    if (clock.isActive(at)) longestMs = Math.max(longestMs, next - at);
    at = next;
  }
  if (longestMs > forMs) return;
  const most = formatDuration(longestMs);
  yield [['for'], `never fires: "${active}" is on for ${most} at most; write for: ${formatDuration(longestMs / 2)}`];
}

const A_YEAR = { from: Date.UTC(2026, 0, 1), to: Date.UTC(2027, 0, 1) };

/** Yields jumps and steps of severity that no plausible readings reach. */
function* rangeDoubts({ when: condition, steps }: Rule, when: Raw, { metrics }: City): Generator<Fault> {
  const leaves = [...leavesOf(when)];
  for (const [i, clause] of clausesOf(condition).entries()) {
    if (clause.kind !== 'jump') continue;
    const { min, max } = metrics.get(clause.metric) ?? ANYTHING;
    if (clause.by <= max - min) continue;
    const says = `can never match: ${clause.metric} lies between ${min} and ${max}`;
    yield [[...leaves[i]!.path, 'jump'], `${says}; write by: ${(max - min) / 4}`];
  }
  if (condition.kind !== 'threshold' || condition.compare !== null || !WITHIN.includes(condition.fn)) return;
  const { min, max } = metrics.get(condition.metric) ?? ANYTHING;
  for (const { at, severity } of steps) {
    if (condition.op === 'below' ? at > min : at < max) continue;
    const says = `never reaches ${severity}: ${condition.metric} lies between ${min} and ${max}`;
    yield [['severity', severity], `${says}; leave it out, or write a limit within`];
  }
}

const ANYTHING = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
/** Aggregates whose value lies where the readings do. */
const WITHIN: readonly string[] = ['last', 'mean', 'min', 'max', 'p10', 'p50', 'p90', 'p95'];

function doubtOf(clause: Clause, intervalMs: number): Doubt | null {
  const atLeast = (readings: number) => formatDuration(readings * intervalMs);
  switch (clause.kind) {
    case 'absent':
      if (clause.absentMs > intervalMs) return null;
      return { key: 'absent', says: 'matches between any two readings', works: `write absent: ${atLeast(3)}` };
    case 'flat':
      if (clause.windowMs > 2 * intervalMs) return null;
      return { key: 'flat', says: 'can never decide, flat needs three readings', works: `write for: ${atLeast(4)}` };
    case 'jump':
      if (clause.windowMs > intervalMs) return null;
      return {
        key: 'jump',
        says: 'can never decide, a jump needs two readings within its time',
        works: `write within: ${atLeast(2)}`,
      };
    case 'anomaly':
      return windowDoubt(clause, intervalMs) ?? trainingDoubt(clause, intervalMs);
    case 'forecast':
      return forecastDoubt(clause, intervalMs);
    default:
      return thresholdDoubt(clause, intervalMs);
  }
}

const DIFFERENCES: readonly string[] = ['stddev', 'rate', 'delta', 'changes', 'share'];

/** The window of an aggregate: (T − w, T] holds ⌈w / interval⌉ readings. */
function windowDoubt({ fn, windowMs }: WindowAggregate, intervalMs: number): Doubt | null {
  if (fn === 'last' || fn === 'count' || windowMs > intervalMs) return null;
  const longer = `write ${fn}: ${formatDuration(3 * intervalMs)}`;
  if (DIFFERENCES.includes(fn))
    return { key: fn, says: `can never decide, ${fn} needs two readings in its window`, works: longer };
  const says = `the window holds one reading, so ${fn} is the newest`;
  return { key: fn, says, works: fn === 'faults' ? longer : `${longer}, or last: true` };
}

function thresholdDoubt(clause: ThresholdCondition, intervalMs: number): Doubt | null {
  const { fn, op, threshold, windowMs, compare } = clause;
  const most = Math.ceil(windowMs / intervalMs);
  if (fn === 'count' && op === 'above' && typeof threshold === 'number' && threshold >= most) {
    const works = `write count: ${formatDuration((Math.floor(threshold) + 2) * intervalMs)}, or above: ${most - 1}`;
    return { key: 'count', says: `can never match, the window holds at most ${most} readings`, works };
  }
  if (compare?.with === 'peers' && compare.withinMs < intervalMs) {
    const works = `write within: ${formatDuration(2 * intervalMs)}`;
    return { key: 'compare', says: "most peers are left out, their readings are older than compare's within", works };
  }
  return windowDoubt(clause, intervalMs);
}

function forecastDoubt({ method, overMs, seasonMs }: Clause & { kind: 'forecast' }, intervalMs: number): Doubt | null {
  if (method === 'trend' && overMs <= 4 * intervalMs) {
    const works = `write over: ${formatDuration(8 * intervalMs)}`;
    return { key: 'forecast', says: 'can never decide, a trend needs five readings in its time', works };
  }
  if (method === 'holt_winters' && intervalMs > seasonMs)
    return {
      key: 'forecast',
      says: 'never learns, each pause is longer than the season',
      works: 'write method: trend',
    };
  return null;
}

function trainingDoubt(clause: AnomalyCondition, intervalMs: number): Doubt | null {
  if (learns(clause, intervalMs)) return null;
  const says = `never learns, it needs ${LEAST_SAMPLES} readings near its hour in ${formatDuration(clause.trainMs)}`;
  const season = clause.seasonMs === DAY_MS ? '1d' : '1w';
  // Training takes at least two seasons.
  const step = clause.seasonMs / DAY_MS;
  for (let days = 2 * step; days <= LONGEST_TRAINING_DAYS; days += step) {
    if (days * DAY_MS > clause.trainMs && learns({ ...clause, trainMs: days * DAY_MS }, intervalMs))
      return { key: 'anomaly', says, works: `write train: ${days}d` };
  }
  const daily = { ...clause, seasonMs: DAY_MS, trainMs: 14 * DAY_MS } as const;
  const other = season === '1w' && learns(daily, intervalMs) ? 'season: 1d' : 'jump, or above and below';
  return { key: 'anomaly', says, works: `write ${other}` };
}

/** Whether readings at an interval give enough samples around an hour, seen from the middle of the hour. */
function learns(clause: Pick<AnomalyCondition, 'trainMs' | 'seasonMs'>, intervalMs: number): boolean {
  const { trainMs, seasonMs } = clause;
  const { each, leastSeasons } = trainingOf(clause);
  const stepMs = intervalMs * Math.max(1, Math.ceil(HOUR_MS / each / intervalMs));
  const samples = new Array<number>(FARTHEST_NEIGHBOUR + 1).fill(0);
  const seasons = samples.map(() => new Set<number>());
  for (let agoMs = stepMs; agoMs <= trainMs; agoMs += stepMs) {
    if (agoMs < seasonMs / 2) continue;
    const season = Math.round(agoMs / seasonMs);
    const away = Math.max(1, Math.floor((Math.abs(agoMs - season * seasonMs) + HOUR_MS / 2) / HOUR_MS));
    for (let most = away; most <= FARTHEST_NEIGHBOUR; most++) {
      samples[most]!++;
      seasons[most]!.add(season);
    }
  }
  return samples.some(
    (count, away) => away > 0 && count >= LEAST_SAMPLES && (away === 1 || seasons[away]!.size >= leastSeasons),
  );
}
