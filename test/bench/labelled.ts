/**
 * How well `anomaly` and `jump` find what people marked as unusual in real readings of road sensors: `npm run bench --
 * --labelled`.
 */
import { readFileSync } from 'node:fs';
import { parseCity, readCityFolder } from '../../city-model/index.ts';
import { type City, createZone, MINUTE_MS, type Rule } from '../../domain/index.ts';
import { createRuleEngine } from '../../rules/engine/index.ts';
import { parseRule } from '../../rules/index.ts';
import {
  added,
  bestOf,
  crossValidated,
  NO_SCORE,
  nabOf,
  precisionOf,
  type Score,
  scoreOf,
  trySettings,
} from '../../rules/suggest/index.ts';
import { columns, device, metricTable } from '../kit/rules/reference/kit.ts';

const FOLDER = 'simulators/samples/traffic';
const ZONE = createZone('America/Chicago');

/** The result of one rule for one series. */
export interface Found {
  readonly series: string;
  readonly condition: string;
  readonly labels: number;
  /** Labelled windows in which it fired. */
  readonly foundLabels: number;
  readonly alerts: number;
  /** Alerts that fired in a labelled window. */
  readonly rightAlerts: number;
}

const SERIES = [
  { file: 'speed_t4013.csv', metric: 'speed', by: [15, 25, 35] },
  { file: 'occupancy_t4013.csv', metric: 'occupancy', by: [10, 15, 25] },
  { file: 'TravelTime_387.csv', metric: 'travel_time', by: [200, 400, 800] },
] as const;

const ANOMALIES = [
  'last: true, anomaly: { deviations: 4 }',
  'mean: 30m, anomaly: { deviations: 4 }',
  'mean: 1h, anomaly: { deviations: 4 }',
  'mean: 1h, anomaly: { deviations: 6 }',
  'mean: 1h, anomaly: { deviations: 4, season: 1w }',
];

/** Runs every condition over every series. */
export async function labelled(): Promise<Found[]> {
  const city = await sampleCity();
  const windows = windowsOf();
  return SERIES.flatMap(({ file, metric, by }) => {
    const readings = readingsOf(file);
    const labels = windows[file]!.map(([from, to]) => [utc(from), utc(to)] as const);
    const conditions = [...ANOMALIES, ...by.map((by) => `jump: { by: ${by}, within: 30m }`)];
    return conditions.map((condition) => {
      const alerts = alertsOf(ruleOf(`{ metric: ${metric}, ${condition} }`, city), metric, readings);
      const within = (at: number) => labels.some(([from, to]) => at >= from && at <= to);
      const found = labels.filter(([from, to]) => alerts.some((at) => at >= from && at <= to));
      const rightAlerts = alerts.filter(within).length;
      const series = file.replace('.csv', '');
      return {
        series,
        condition,
        labels: labels.length,
        foundLabels: found.length,
        alerts: alerts.length,
        rightAlerts,
      };
    });
  });
}

async function sampleCity(): Promise<City> {
  const { city } = parseCity(await readCityFolder('city'));
  if (city === null) throw new Error('the sample city has mistakes');
  return city;
}

function windowsOf() {
  const text = readFileSync(`${FOLDER}/anomaly-windows.json`, 'utf8');
  return JSON.parse(text) as Record<string, [string, string][]>;
}

/** Formats the results as a Markdown table. */
export function labelledTable(found: readonly Found[]): string {
  const percent = (part: number, of: number) => (of === 0 ? '–' : `${Math.round((100 * part) / of)} %`);
  return [
    '| series | condition | alerts | precision | labelled windows found |',
    '| --- | --- | ---: | ---: | ---: |',
    ...found.map(
      (one) =>
        `| ${one.series} | \`${one.condition}\` | ${one.alerts} | ${percent(one.rightAlerts, one.alerts)} (${one.rightAlerts}) | ${one.foundLabels} of ${one.labels} |`,
    ),
  ].join('\n');
}

/** What a choice of settings is worth on series, or incidents, that it was not made by. */
export interface HeldOut {
  readonly series: string;
  readonly kind: string;
  readonly chosen: string;
  readonly score: Score;
}

/** The city whose traffic sensors send as often as those of a file. */
const EVERY_MS = 5 * MINUTE_MS;

/**
 * Chooses settings as `rules suggest` does. First by all marked windows of a series but one, and looks at the one that
 * was left out; then by all series but one, and looks at that one: there the recipe is chosen, not the numbers.
 */
export async function heldOut(): Promise<HeldOut[]> {
  const city = await sampleCity();
  const profile = { ...city.profiles.get('traffic')!, intervalMs: EVERY_MS };
  const withInterval = {
    ...city,
    timezone: 'America/Chicago',
    profiles: new Map([...city.profiles, ['traffic', profile]]),
  };
  const windows = windowsOf();
  const all = await Promise.all(
    SERIES.map(async ({ file, metric }) => {
      const readings = readingsOf(file);
      const series = [{ device: 's0', ts: readings.map(([ts]) => ts), value: readings.map(([, value]) => value) }];
      const incidents = windows[file]!.map(([from, to]) => ({ device: null, fromMs: utc(from), toMs: utc(to) }));
      const tried = await trySettings({ metric, profile: 'traffic', series }, withInterval);
      return { file: file.replace('.csv', ''), incidents, tried };
    }),
  );
  const kinds = ['threshold', 'jump', 'anomaly', 'any'] as const;
  const within = all.flatMap(({ file, incidents, tried }) =>
    kinds.map((kind) => ({ series: file, kind, chosen: '', score: crossValidated(tried, incidents, kind) })),
  );
  const across = all.flatMap((out) =>
    kinds.flatMap((kind) => {
      const others = all.filter((one) => one !== out);
      const recipes = out.tried.filter((one) => kind === 'any' || one.kind === kind);
      const scored = recipes.map(({ recipe, fired }) => ({
        recipe,
        fired,
        score: others
          .map(({ tried, incidents }) => scoreOf(tried.find((one) => one.recipe === recipe)?.fired ?? [], incidents))
          .reduce(added, NO_SCORE),
      }));
      const best = bestOf(scored);
      if (best === null) return [];
      return [{ series: out.file, kind, chosen: best.recipe, score: scoreOf(best.fired, out.incidents) }];
    }),
  );
  return [...within, ...across];
}

/** Formats what was held out as a Markdown table. */
export function heldOutTable(found: readonly HeldOut[]): string {
  return [
    '| series left out | chosen | precision | windows found | NAB |',
    '| --- | --- | ---: | ---: | ---: |',
    ...found.map(({ series, kind, chosen, score }) => {
      const precision = precisionOf(score);
      const right = precision === null ? '–' : `${Math.round(100 * precision)} % (${score.right} of ${score.alerts})`;
      const setting = chosen === '' ? `the best ${kind} by the other windows` : `${kind}: ${chosen}`;
      return `| ${series} | ${setting} | ${right} | ${score.found} of ${score.incidents} | ${nabOf(score)?.toFixed(0)} |`;
    }),
  ].join('\n');
}

function ruleOf(when: string, city: City): Rule {
  const text = `id: labelled\ntitle: T\nseverity: low\nwhere: { profile: traffic }\nwhen: ${when}\nkeep_firing_for: 1h\n`;
  const { rule, problems } = parseRule(text, city, { path: 'labelled', origin: 'file:labelled' });
  if (rule === null) throw new Error(problems.map(({ message }) => message).join('; '));
  return rule;
}

function alertsOf(rule: Rule, metric: string, readings: readonly (readonly [number, number])[]): number[] {
  const metrics = metricTable();
  const engine = createRuleEngine({ metrics, gaps: false });
  const sensor = device('s0', { profile: 'traffic' });
  const moment = { seq: 1, atMs: readings[0]![0] };
  engine.configure({ rules: [rule], calendars: new Map(), zone: 'America/Chicago' }, moment);
  engine.deviceChanged(sensor, moment);
  const rows = readings.map(([ts, value]) => [sensor, metrics.indexOf(metric), ts, value] as const);
  return engine.replay(columns(rows), 2).flatMap(({ to, atMs }) => (to === 'firing' ? [atMs] : []));
}

function readingsOf(file: string): [number, number][] {
  const lines = readFileSync(`${FOLDER}/${file}`, 'utf8').trim().split(/\r?\n/).slice(1);
  return lines
    .map((line) => line.split(','))
    .map(([at, value]): [number, number] => [utc(at!), Number(value)])
    .sort((a, b) => a[0] - b[0]);
}

/** The files' times are local, without a zone. */
function utc(text: string): number {
  return ZONE.toUtc(Date.parse(`${text.trim().replace(' ', 'T').slice(0, 19)}Z`));
}
