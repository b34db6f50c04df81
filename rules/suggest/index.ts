import { z } from 'zod';
import {
  type City,
  type Device,
  type HistoryStore,
  isoOf,
  type KnownDevice,
  LamppostError,
  type ReadOptions,
  type Rule,
  type ShapeOf,
  WEEK_MS,
} from '../../domain/index.ts';
import { createRuleEngine } from '../engine/index.ts';
import { parseRule } from '../language/index.ts';
import { createMetricTable } from '../reach.ts';
import { readStored } from '../trial/engine.ts';
import { type Candidate, candidatesOf, type DeviceSeries, KINDS, type Kind } from './candidates.ts';
import {
  added,
  type Fired,
  f1Of,
  type Incident,
  NO_SCORE,
  nabOf,
  precisionOf,
  recallOf,
  type Score,
  scoreOf,
} from './score.ts';

export type { DeviceSeries } from './candidates.ts';
export { added, type Incident, NO_SCORE, nabOf, precisionOf, recallOf, type Score, scoreOf } from './score.ts';

const Share = z.number().min(0).max(1).nullable();
const ScoreSchema = z.object({
  alerts: z.int(),
  right: z.int().describe('Alerts that began within an incident'),
  incidents: z.int(),
  found: z.int().describe('Incidents in which an alert began'),
  precision: Share.describe('Null: no alerts'),
  recall: Share.describe('Null: no incidents'),
  nab: z.number().nullable().describe('Score of the Numenta benchmark: 100 is best, 0 is silence; null: no incidents'),
});
const SettingSchema = z.object({
  kind: z.enum(KINDS),
  recipe: z.string().describe('How it follows from the readings'),
  when: z.string().describe('The condition, in YAML'),
  perWeek: z.number().describe('Alerts of one device in a week, of the time between its first reading and its last'),
  score: ScoreSchema,
});

/** What settings of a metric would have done. Nothing of it was stored. */
export const SuggestionsSchema = z
  .object({
    metric: z.string(),
    profile: z.string(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    devices: z.int(),
    readings: z.int(),
    cut: z.boolean().describe('Whether there were more readings than it reads, so that `from` is later'),
    incidents: z.int(),
    settings: z.array(SettingSchema).readonly().describe('From quiet to noisy'),
    heldOut: z
      .array(z.object({ kind: z.enum([...KINDS, 'any']), score: ScoreSchema }))
      .readonly()
      .describe('What the best setting is worth on incidents that it was not chosen by; empty with fewer than two'),
  })
  .meta({ id: 'Suggestions', description: 'Settings of conditions for a metric, and what each would have done' });
export type Suggestions = ShapeOf<typeof SuggestionsSchema>;

/** A setting, and when it would have fired. */
export interface Tried extends Candidate {
  readonly fired: readonly Fired[];
}

/** Rows between two turns of the event loop: each goes through all settings. */
const ROWS_AT_ONCE = 100;
const MOST_FOLDS = 10;
const DEVICES = 50;

interface Wanted {
  readonly metric: string;
  readonly profile: string;
  readonly series: readonly DeviceSeries[];
}

/**
 * Runs the settings to try for a metric over series, through the engine that runs live. Other work of the thread runs
 * in between. Settings that the language refuses for the metric are left out.
 */
export async function trySettings(
  { metric, profile, series }: Wanted,
  city: City,
  signal?: AbortSignal,
): Promise<Tried[]> {
  const { intervalMs } = city.profiles.get(profile)!;
  const known = candidatesOf({ metric, intervalMs, series }).flatMap((candidate, i) => {
    const rule = ruleOf(candidate, profile, `c${i}`, city);
    return rule === null ? [] : [{ candidate, rule, fired: [] as Fired[] }];
  });
  const metrics = createMetricTable([metric]);
  const engine = createRuleEngine({ metrics, gaps: false });
  const firstMs = Math.min(...series.flatMap(({ ts }) => ts[0] ?? []));
  const moment = { seq: 1, atMs: Number.isFinite(firstMs) ? firstMs : 0 };
  const rules = known.map(({ rule }) => rule);
  engine.configure({ rules, calendars: city.calendars, zone: city.timezone }, moment);
  const [district] = city.districts.keys();
  const devices = series.map(
    ({ device: id }, index): KnownDevice => ({ id, index, profile, district: district ?? '' }),
  );
  for (const device of devices) engine.deviceChanged(device, moment);
  const byId = new Map(known.map((one) => [one.rule.id, one.fired]));
  const rows = series
    .flatMap(({ ts, value }, at) => ts.map((ms, i) => ({ device: devices[at]!, ms, value: value[i]! })))
    .sort((a, b) => a.ms - b.ms);
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    const some = rows.slice(from, from + ROWS_AT_ONCE);
    const columns = {
      length: some.length,
      device: some.map(({ device }) => device),
      metric: some.map(() => 0),
      ts: some.map(({ ms }) => ms),
      value: some.map(({ value }) => value),
    };
    for (const { rule, group, to, from: before, atMs } of engine.replay(columns, 2))
      if (to === 'firing' && before !== 'firing') byId.get(rule)!.push({ device: group, atMs });
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
  return known.map(({ candidate, fired }) => ({ ...candidate, fired }));
}

function ruleOf({ when }: Candidate, profile: string, id: string, city: City): Rule | null {
  const head = `id: ${id}\ntitle: T\nseverity: low\nlimit: 100000\nkeep_firing_for: 1h\n`;
  const text = `${head}where: { profile: ${profile} }\nwhen: ${when}\n`;
  return parseRule(text, city, { path: id, origin: 'api:suggest' }).rule;
}

/** Returns the setting with the best F1; of equal ones the quietest. */
export function bestOf<T extends { readonly score: Score }>(settings: readonly T[]): T | null {
  const better = (a: T, b: T) => f1Of(b.score) - f1Of(a.score) || a.score.alerts - b.score.alerts;
  return settings.toSorted(better)[0] ?? null;
}

/**
 * Leaves out one incident (or, of many, one part of the time) after the other, chooses the best setting of a kind by
 * the others, and adds up what it does on what was left out.
 */
export function crossValidated(tried: readonly Tried[], incidents: readonly Incident[], kind: Kind | 'any'): Score {
  const own = tried.filter((one) => kind === 'any' || one.kind === kind);
  const cuts = cutsOf(incidents);
  // Each part is scored once: what the others are worth is their sum.
  const parts = own.map(({ fired }) => cuts.slice(1).map((toMs, i) => scoreOf(fired, incidents, cuts[i]!, toMs)));
  return cuts.slice(1).reduce((sum, _, out) => {
    const scored = parts.map((scores) => ({ scores, score: scores.toSpliced(out, 1).reduce(added, NO_SCORE) }));
    const best = bestOf(scored);
    return best === null ? sum : added(sum, best.scores[out]!);
  }, NO_SCORE);
}

/** Returns where the time is cut: in the middle between incidents. */
function cutsOf(incidents: readonly Incident[]): number[] {
  const sorted = incidents.toSorted((a, b) => a.fromMs - b.fromMs);
  const each = Math.ceil(sorted.length / MOST_FOLDS);
  const cuts = sorted.flatMap(({ fromMs }, i) =>
    i === 0 || i % each !== 0 ? [] : [(Math.min(fromMs, sorted[i - 1]!.toMs) + fromMs) / 2],
  );
  return [Number.NEGATIVE_INFINITY, ...cuts, Number.POSITIVE_INFINITY];
}

interface Deps {
  readonly city: () => City;
  readonly history: Pick<HistoryStore, 'read'>;
  /** Returns the first registered devices of a profile. */
  readonly devicesOf: (profile: string, limit: number) => readonly Device[];
}

/** What somebody wants settings for. */
export interface SuggestRequest {
  readonly metric: string;
  readonly profile: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly incidents: readonly Incident[];
}

/**
 * Returns a function that suggests settings for a metric from the stored readings of the first 50 devices of a profile,
 * at most 200,000 of them. One request at a time: throws `busy`, retryable, while another runs. No side effects.
 */
export function createSuggest({ city, history, devicesOf }: Deps) {
  let isBusy = false;

  async function run(wanted: SuggestRequest, options: ReadOptions): Promise<Suggestions> {
    const { metric, profile, fromMs, toMs, incidents } = wanted;
    const some = devicesOf(profile, DEVICES);
    if (some.length === 0) throw new LamppostError('invalid', `profile: no device has profile "${profile}"`);
    const query = { devices: some, metrics: [metric], fromMs, toMs };
    const { series, cut, fromMs: readFromMs } = await readStored(history, query, options);
    const known = incidents.filter((one) => one.toMs >= readFromMs && one.fromMs < toMs);
    const tried = await trySettings({ metric, profile, series }, city(), options.signal);
    const weeks = weeksOf(series, city().profiles.get(profile)!.intervalMs);
    const settings: Suggestions['settings'][number][] = [];
    for (const { fired, ...setting } of tried) {
      const score = scoreOf(fired, known);
      settings.push({ ...setting, perWeek: Number((score.alerts / weeks).toPrecision(3)), score: shownScore(score) });
      await turn(options.signal);
    }
    return {
      metric,
      profile,
      from: isoOf(readFromMs),
      to: isoOf(toMs),
      devices: series.length,
      readings: series.reduce((sum, { ts }) => sum + ts.length, 0),
      cut,
      incidents: known.length,
      settings: settings.toSorted((a, b) => a.score.alerts - b.score.alerts),
      heldOut: known.length < 2 ? [] : await heldOut(tried, known, options.signal),
    };
  }

  return async (wanted: SuggestRequest, options: ReadOptions = {}): Promise<Suggestions> => {
    if (isBusy) throw new LamppostError('busy', 'settings are being suggested already: try again', { retryable: true });
    isBusy = true;
    try {
      return await run(wanted, options);
    } finally {
      isBusy = false;
    }
  };
}

/** Returns the weeks in which devices sent something, added up: a device that is new dilutes nothing. */
function weeksOf(series: readonly DeviceSeries[], intervalMs: number): number {
  const ms = series.reduce((sum, { ts }) => sum + Math.max(intervalMs, ts.at(-1)! - ts[0]!), 0);
  return Math.max(intervalMs, ms) / WEEK_MS;
}

async function heldOut(tried: readonly Tried[], incidents: readonly Incident[], signal?: AbortSignal) {
  const scores: Suggestions['heldOut'][number][] = [];
  for (const kind of [...KINDS, 'any'] as const) {
    scores.push({ kind, score: shownScore(crossValidated(tried, incidents, kind)) });
    await turn(signal);
  }
  return scores;
}

/** Lets other work of the thread run. Throws the signal's reason where that aborts. */
async function turn(signal?: AbortSignal): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  signal?.throwIfAborted();
}

function shownScore(score: Score): Suggestions['settings'][number]['score'] {
  const { nabSum: _, ...counts } = score;
  return { ...counts, precision: precisionOf(score), recall: recallOf(score), nab: nabOf(score) };
}
