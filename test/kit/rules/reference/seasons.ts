import { type AnomalyCondition, DAY_MS, type ForecastCondition, HOUR_MS } from '../../../../domain/index.ts';
import { cut, mean, median, newestMs, type Reading } from './windows.ts';

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const clocks = new Map<string, Intl.DateTimeFormat>();

/** Hour of the local day, or of the local week from Monday. */
export function slotOf({ seasonMs }: AnomalyCondition, zone: string, ms: number): number {
  const options = { timeZone: zone, weekday: 'short', hour: '2-digit', hourCycle: 'h23' } as const;
  const clock = clocks.get(zone) ?? new Intl.DateTimeFormat('en-GB', options);
  clocks.set(zone, clock);
  const parts = clock.formatToParts(ms);
  const part = (type: string) => parts.find((one) => one.type === type)!.value;
  const hour = Number(part('hour'));
  return seasonMs === DAY_MS ? hour : DAYS.indexOf(part('weekday')) * 24 + hour;
}

/** A stored value of an anomaly. */
export interface SeasonSample {
  readonly ts: number;
  readonly slot: number;
  readonly value: number;
}

/** How many samples a slot stores, and how many of them can be of one hour. */
function keeps({ trainMs, seasonMs }: AnomalyCondition): { most: number; per: number } {
  const seasons = Math.ceil(trainMs / seasonMs);
  const per = Math.max(1, Math.floor(16 / seasons));
  return { most: seasons * per, per };
}

/** Adds a sample where the slot's newest is old enough, and removes the slot's oldest where the slot is full. */
export function addSample(clause: AnomalyCondition, memory: SeasonSample[], sample: SeasonSample): void {
  const { most, per } = keeps(clause);
  const slot = memory.filter(({ slot }) => slot === sample.slot);
  const newest = slot.at(-1);
  if (newest !== undefined && sample.ts - newest.ts < HOUR_MS / per) return;
  memory.push(sample);
  if (slot.length === most) memory.splice(memory.indexOf(slot[0]!), 1);
}

/** The range that is usual at a time: lowest and highest; null while learning. */
export function expected(
  clause: AnomalyCondition,
  memory: readonly SeasonSample[],
  at: Omit<SeasonSample, 'value'>,
): readonly [number, number] | null {
  const { trainMs, seasonMs, deviations, leastSpread } = clause;
  const hours = seasonMs / HOUR_MS;
  const trained = memory.filter(({ ts }) => ts >= at.ts - trainMs && ts <= at.ts - seasonMs / 2);
  const within = (most: number) =>
    trained.filter(({ slot }) => Math.min((slot - at.slot + hours) % hours, (at.slot - slot + hours) % hours) <= most);
  const seasonsOf = (samples: readonly SeasonSample[]) =>
    new Set(samples.map(({ ts }) => Math.round((at.ts - ts) / seasonMs))).size;
  const most = Math.floor(trainMs / seasonMs);
  const isEnough = (samples: readonly SeasonSample[], i: number) =>
    samples.length >= 12 && (i === 0 || 4 * seasonsOf(samples) >= 3 * most);
  const values = [1, 2, 3]
    .map(within)
    .find(isEnough)
    ?.map(({ value }) => value);
  if (values === undefined) return null;
  const middle = median(values);
  const spread = Math.max(1.4826 * median(values.map((value) => Math.abs(value - middle))), leastSpread);
  return [middle - deviations * spread, middle + deviations * spread];
}

/** The line `withinMs` after the newest reading, or the newest reading; null with too few readings. */
export function trend(clause: ForecastCondition, series: readonly Reading[]): number | null {
  const window = cut(series, clause.overMs);
  if (window === null || window.readings.length < 5) return null;
  const { readings, toMs } = window;
  if (toMs - readings[0]!.ts < clause.overMs / 4) return null;
  const x = mean(readings.map(({ ts }) => ts - toMs));
  const y = mean(readings.map(({ value }) => value));
  const xy = mean(readings.map(({ ts, value }) => (ts - toMs - x) * (value - y)));
  const xx = mean(readings.map(({ ts }) => (ts - toMs - x) ** 2));
  const ahead = y + (xy / xx) * (clause.withinMs - x);
  return extreme(clause, [readings.at(-1)!.value, ahead]);
}

const extreme = ({ op }: ForecastCondition, values: number[]): number =>
  op === 'above' ? Math.max(...values) : Math.min(...values);

const ALPHA = 0.2;
const BETA = 0.05;
const GAMMA = 0.3;

/** Level, slope per hour, and the seasonal part of each hour, the next hour first. */
interface Smoothed {
  level: number;
  slope: number;
  readonly season: number[];
}

/**
 * The initial model of two full seasons: mean of the second, slope from first to second, mean difference of each hour.
 */
function learn(hours: readonly number[], season: number): Smoothed {
  const [first, second] = [hours.slice(0, season), hours.slice(season)];
  const differences = first.map((value, i) => (value - mean(first) + second[i]! - mean(second)) / 2);
  return { level: mean(second), slope: (mean(second) - mean(first)) / season, season: differences };
}

function smooth(state: Smoothed, hour: number | null): void {
  const differs = state.season.shift()!;
  const value = hour ?? state.level + state.slope + differs;
  const level = ALPHA * (value - differs) + (1 - ALPHA) * (state.level + state.slope);
  state.slope = BETA * (level - state.level) + (1 - BETA) * state.slope;
  state.level = level;
  state.season.push(GAMMA * (value - level) + (1 - GAMMA) * differs);
}

/** Means of the closed hours since the last gap of more than a season, null for an hour without readings. */
function closedHours({ seasonMs }: ForecastCondition, series: readonly Reading[]): (number | null)[] {
  const sorted = series.toSorted((a, b) => a.ts - b.ts);
  const restart = sorted.findLastIndex(({ ts }, i) => i > 0 && ts - sorted[i - 1]!.ts > seasonMs);
  const counted = sorted.slice(Math.max(restart, 0));
  const hourOf = ({ ts }: Reading) => Math.floor(ts / HOUR_MS);
  const [first, open] = [hourOf(counted[0]!), hourOf(counted.at(-1)!)];
  const hours = Map.groupBy(counted, hourOf);
  return Array.from({ length: open - first }, (_, i) => {
    const hour = hours.get(first + i);
    return hour === undefined ? null : mean(hour.map(({ value }) => value));
  });
}

/**
 * The largest (smallest) of the newest reading and the forecasts; null while learning. `series` is without readings of
 * closed hours.
 */
export function holtWinters(clause: ForecastCondition, series: readonly Reading[]): number | null {
  if (series.length === 0) return null;
  const season = clause.seasonMs / HOUR_MS;
  const hours = closedHours(clause, series);
  if (hours.length < 2 * season) return null;
  const learnt: number[] = [];
  for (const hour of hours.slice(0, 2 * season)) learnt.push(hour ?? learnt.at(-1)!);
  const state = learn(learnt, season);
  for (const hour of hours.slice(2 * season)) smooth(state, hour);
  const at = newestMs(series);
  const newest = series.toSorted((a, b) => a.ts - b.ts).at(-1)!.value;
  const ahead = [newest];
  // The hour of the newest reading is the first after the closed ones, and has begun already.
  for (let hour = Math.floor(at / HOUR_MS) + 1, steps = 2; hour * HOUR_MS <= at + clause.withinMs; hour++, steps++)
    ahead.push(state.level + steps * state.slope + state.season[(steps - 1) % season]!);
  return extreme(clause, ahead);
}

/** Whether a reading of a Holt-Winters series counts: not where its hour is closed. */
export const hourIsOpen = (series: readonly Reading[], { ts }: Reading): boolean =>
  series.length === 0 || Math.floor(ts / HOUR_MS) >= Math.floor(newestMs(series) / HOUR_MS);
