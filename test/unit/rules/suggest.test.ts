import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseCity } from '../../../city-model/index.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../domain/index.ts';
import {
  createSuggest,
  crossValidated,
  nabOf,
  precisionOf,
  recallOf,
  scoreOf,
  trySettings,
} from '../../../rules/suggest/index.ts';
import { sample } from '../../kit/city-model/kit.ts';

const sampleCity = parseCity(sample).city!;
const noise = { ...sampleCity.profiles.get('noise')!, intervalMs: 15 * MINUTE_MS };
const city = { ...sampleCity, profiles: new Map([...sampleCity.profiles, ['noise', noise]]) };
const START = Date.UTC(2026, 0, 5);
const incident = (fromHour: number, hours: number, device: string | null = null) => ({
  device,
  fromMs: START + fromHour * HOUR_MS,
  toMs: START + (fromHour + hours) * HOUR_MS,
});
const fired = (...hours: number[]) => hours.map((hour) => ({ device: 'a', atMs: START + hour * HOUR_MS }));

test('score - a find at the beginning is 100, silence 0, and an alert that nothing explains costs 0.11 of a find', () => {
  const marked = [incident(100, 10)];
  expect(nabOf(scoreOf(fired(100), marked))).toBeCloseTo(100, 9);
  expect(nabOf(scoreOf([], marked))).toBe(0);
  expect(nabOf(scoreOf(fired(50, 100), marked))).toBeCloseTo(100 - 11 / 2, 9);
  // At the end of its window a find is worth nothing, but it is no miss.
  expect(nabOf(scoreOf(fired(110), marked))).toBeCloseTo(50, 9);
  // Just after a window an alert costs next to nothing.
  expect(nabOf(scoreOf(fired(100, 110.01), marked))).toBeGreaterThan(99.9);
  expect(nabOf(scoreOf(fired(100, 500), marked))).toBeCloseTo(100 - 11 / 2, 9);
});

test('score - precision counts alerts, recall incidents, and an incident of another device is not found', () => {
  const score = scoreOf(fired(10, 11, 50), [incident(10, 5), incident(50, 5, 'b')]);
  expect(score).toMatchObject({ alerts: 3, right: 2, incidents: 2, found: 1 });
  expect([precisionOf(score), recallOf(score)]).toEqual([2 / 3, 1 / 2]);
  expect([precisionOf(scoreOf([], [])), recallOf(scoreOf([], []))]).toEqual([null, null]);
});

/** Six weeks with a loud day and a quiet night, and two hours of din on three nights, which no limit alone can see. */
function nights() {
  const [ts, value]: [number[], number[]] = [[], []];
  for (let at = START; at < START + 42 * DAY_MS; at += 15 * MINUTE_MS) {
    const hour = (at / HOUR_MS) % 24;
    const din = DIN.some(({ fromMs, toMs }) => at >= fromMs && at <= toMs);
    ts.push(at);
    value.push((hour >= 7 && hour < 19 ? 70 : 40) + ((at / MINUTE_MS / 15) % 5) + (din ? 22 : 0));
  }
  return { device: 'a', ts, value };
}
// In the zone of the sample city midnight is 16:00 UTC.
const DIN = [20, 27, 36].map((day) => incident(24 * day + 22, 2));

test('suggest - of a din at night an anomaly finds every one, on incidents that it was not chosen by', async () => {
  const tried = await trySettings({ metric: 'laeq', profile: 'noise', series: [nights()] }, city);
  expect(new Set(tried.map(({ kind }) => kind))).toEqual(new Set(['threshold', 'jump', 'anomaly']));
  const anomaly = crossValidated(tried, DIN, 'anomaly');
  expect(anomaly).toMatchObject({ incidents: 3, found: 3, alerts: 3, right: 3 });
  expect(nabOf(anomaly)!).toBeGreaterThan(90);
  expect(crossValidated(tried, DIN, 'threshold').found).toBe(0);
});

test('suggest - alerts in a week are of the time in which there were readings, not of all that was asked for', async () => {
  const { ts, value } = nights();
  async function* read() {
    yield {
      series: [{ device: 'a', metric: 'laeq', unit: 'dB', from: 0 }],
      ts: Float64Array.from(ts),
      value: Float64Array.from(value),
    };
  }
  const devicesOf = () => [{ id: 'a', profile: 'noise', district: 'harbour' }];
  const suggest = createSuggest({ city: () => city, history: { read }, devicesOf });
  const asked = { metric: 'laeq', profile: 'noise', incidents: DIN, toMs: START + 42 * DAY_MS };
  const near = await suggest({ ...asked, fromMs: START });
  const far = await suggest({ ...asked, fromMs: START - 400 * DAY_MS });
  expect(near.settings.find(({ score }) => score.alerts === 3)!.perWeek).toBeCloseTo(3 / 6, 2);
  expect(far.settings.map(({ perWeek }) => perWeek)).toEqual(near.settings.map(({ perWeek }) => perWeek));
});

test('suggest - of the road sensors that people labelled, the best jump was right about what it was not chosen by', async () => {
  const folder = 'simulators/samples/traffic';
  const utc = (text: string) => Date.parse(`${text.trim().replace(' ', 'T').slice(0, 19)}Z`);
  const rows = readFileSync(`${folder}/speed_t4013.csv`, 'utf8').trim().split(/\r?\n/).slice(1);
  const readings = rows.map((row) => row.split(',')).map(([at, speed]) => [utc(at!), Number(speed)] as const);
  const ordered = readings.toSorted((a, b) => a[0] - b[0]);
  const series = [{ device: 's', ts: ordered.map(([at]) => at), value: ordered.map(([, speed]) => speed) }];
  const labels = JSON.parse(readFileSync(`${folder}/anomaly-windows.json`, 'utf8'))['speed_t4013.csv'] as [
    string,
    string,
  ][];
  const marked = labels.map(([from, to]) => ({ device: null, fromMs: utc(from), toMs: utc(to) }));
  const traffic = { ...sampleCity.profiles.get('traffic')!, intervalMs: 5 * MINUTE_MS };
  const roads = { ...sampleCity, profiles: new Map([...sampleCity.profiles, ['traffic', traffic]]) };
  const tried = await trySettings({ metric: 'speed', profile: 'traffic', series }, roads);
  expect(crossValidated(tried, marked, 'jump')).toMatchObject({ incidents: 2, found: 2, alerts: 2, right: 2 });
});
