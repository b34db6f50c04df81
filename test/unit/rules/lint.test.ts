import { expect, test } from 'vitest';
import { parseCity } from '../../../city-model/index.ts';
import {
  type City,
  DAY_MS,
  formatDuration,
  HOUR_MS,
  MINUTE_MS,
  parseDuration,
  type Rule,
} from '../../../domain/index.ts';
import { createRuleEngine } from '../../../rules/engine/index.ts';
import { parseRule } from '../../../rules/index.ts';
import { sample } from '../../kit/city-model/kit.ts';
import { columns, device, metricTable } from '../../kit/rules/reference/kit.ts';

const sampleCity = parseCity(sample).city!;

/** The sample city whose noise sensors send at an interval. */
function cityAt(intervalMs: number): City {
  const noise = { ...sampleCity.profiles.get('noise')!, intervalMs };
  return { ...sampleCity, profiles: new Map([...sampleCity.profiles, ['noise', noise]]) };
}

function parse(when: string, city: City, more = '') {
  const text = `id: r\ntitle: T\nseverity: low\nwhere: { profile: noise }\nwhen: ${when}\n${more}`;
  const { rule, problems, warnings } = parseRule(text, city, { path: 'r', origin: 'api:me' });
  expect(problems).toEqual([]);
  return { rule: rule!, warnings: warnings.map(({ message }) => message), places: warnings };
}

/** Returns in how many of a hundred days of regular readings the condition was true or false, not unknown. */
function decisions(rule: Rule, intervalMs: number): number {
  const metrics = metricTable();
  const engine = createRuleEngine({ metrics, gaps: false });
  const sensor = device('n0', { profile: 'noise' });
  const startMs = Date.UTC(2026, 0, 5, 0, 1);
  engine.configure({ rules: [rule], calendars: new Map(), zone: 'UTC' }, { seq: 1, atMs: startMs });
  engine.deviceChanged(sensor, { seq: 1, atMs: startMs });
  let decided = 0;
  for (let at = startMs; at < startMs + 100 * DAY_MS; at += intervalMs) {
    engine.replay(columns([[sensor, metrics.indexOf('laeq'), at, 50 + ((at / intervalMs) % 7)]]), 2);
    if (engine.explain('r', 'n0')!.matches !== null) decided++;
  }
  return decided;
}

test('lint - a rule that ignores suspect values is about devices that may call them so', () => {
  const noise = sampleCity.profiles.get('noise')!;
  const withQuality = {
    ...sampleCity,
    profiles: new Map([...sampleCity.profiles, ['noise', { ...noise, quality: true }]]),
  };
  const [when, more] = ['{ metric: laeq, last: true, above: 50 }', 'suspect: ignore'];
  expect(parse(when, sampleCity, more).places).toMatchObject([
    { line: 6, message: expect.stringContaining('no profile of the rule has the quality of values') },
  ]);
  expect(parse(when, withQuality, more).warnings).toEqual([]);
  expect(parse(when, sampleCity, 'suspect: take').warnings).toEqual([]);
});

test.each<[string, string, string, string]>([
  ['1h', '{ metric: laeq, jump: { by: 5, within: 30m } }', 'a jump needs two readings', 'within: 2h'],
  ['1h', '{ metric: laeq, delta: 1h, above: 5 }', 'delta needs two readings', 'delta: 3h'],
  ['1h', '{ metric: laeq, stddev: 30m, above: 5 }', 'stddev needs two readings', 'stddev: 3h'],
  ['1h', '{ metric: laeq, flat: { for: 2h, within: 0 } }', 'flat needs three readings', 'for: 4h'],
  ['1h', '{ metric: laeq, forecast: { within: 1h, over: 4h }, above: 90 }', 'a trend needs five', 'over: 8h'],
  ['2h', '{ metric: laeq, anomaly: { season: 1w } }', 'never learns, it needs 12 readings', 'train: 35d'],
  ['6h', '{ metric: laeq, anomaly: { season: 1w } }', 'never learns', 'season: 1d'],
  ['3h', '{ metric: laeq, anomaly: { season: 1d, train: 2d } }', 'never learns', 'train: 5d'],
])('lint - at %s, %s never decides, and what it advises does', (every, when, says, works) => {
  const intervalMs = parseDuration(every)!;
  const city = cityAt(intervalMs);
  const { rule, warnings } = parse(when, city);
  expect(warnings).toEqual([expect.stringContaining(says)]);
  expect(warnings[0]).toContain(`profile "noise" sends every ${every}`);
  expect(warnings[0]).toContain(works);
  expect(decisions(rule, intervalMs)).toBe(0);
  const [, key, advice] = / write (?:.*?)(\w+): (\w+)$/.exec(warnings[0]!)!;
  const better = parse(rewritten(when, key!, advice!), city);
  expect(better.warnings).toEqual([]);
  expect(decisions(better.rule, intervalMs)).toBeGreaterThan(0);
});

/** Writes the advice into the innermost braces; another season has its own training. */
function rewritten(when: string, key: string, value: string): string {
  const known = new RegExp(`\\b${key}: \\w+`, 'g');
  if (known.test(when)) {
    const last = when.lastIndexOf(`${key}: `);
    return when.slice(0, last) + when.slice(last).replace(known, `${key}: ${value}`);
  }
  return when.replace(/ \} \}$/, `, ${key}: ${value} } }`);
}

test.each([
  ['anomaly: { season: 1w }', '1h'],
  ['anomaly: { season: 1w, train: 35d }', '2h'],
  ['anomaly: { season: 1d, train: 3d }', '1h'],
  ['anomaly: { season: 1w }', '1m'],
  ['anomaly: { season: 1d }', '12h'],
  ['mean: 15m, anomaly: { season: 1d }', '1m'],
  ['mean: 1h, above: 80', '5m'],
  ['count: 1h, above: 11', '5m'],
  ['absent: 1h', '5m'],
])('lint - %s at %s is no doubt, and it decides', (condition, every) => {
  const intervalMs = parseDuration(every)!;
  const { rule, warnings } = parse(`{ metric: laeq, ${condition} }`, cityAt(intervalMs));
  expect(warnings).toEqual([]);
  if (intervalMs >= HOUR_MS) expect(decisions(rule, intervalMs)).toBeGreaterThan(0);
});

test('lint - windows shorter than the interval, counts that are never reached, and silence between any two readings', () => {
  const city = cityAt(15 * MINUTE_MS);
  expect(parse('{ metric: laeq, mean: 5m, above: 80 }', city).warnings).toEqual([
    'the window holds one reading, so mean is the newest: profile "noise" sends every 15m; write mean: 45m, or last: true',
  ]);
  expect(parse('{ metric: laeq, count: 1h, above: 4 }', city).warnings).toEqual([
    'can never match, the window holds at most 4 readings: profile "noise" sends every 15m; write count: 1h30m, or above: 3',
  ]);
  expect(parse('{ absent: 15m }', city).warnings).toEqual([
    'matches between any two readings: profile "noise" sends every 15m; write absent: 45m',
  ]);
  expect(
    parse('{ metric: laeq, last: true, above: 80, compare: { with: peers, within: 10m } }', city).warnings,
  ).toEqual([expect.stringContaining('most peers are left out')]);
  const silent = parse('{ metric: laeq, above: 80 }', city, 'on_no_data: alert\nno_data_after: 10m\n');
  expect(silent.warnings).toEqual([expect.stringContaining('every pause is a silence')]);
});

test('lint - a `for` that is longer than its calendar is on, jumps and severities that no reading reaches', () => {
  const city = cityAt(MINUTE_MS);
  const { min, max } = city.metrics.get('laeq')!;
  const hours = (duration: string) =>
    parse('{ metric: laeq, last: true, above: 60 }', city, `active: working-hours\nfor: ${duration}\n`);
  const [warning] = hours('14h').places;
  expect(warning).toMatchObject({
    line: 7,
    message: expect.stringMatching(/^never fires: "working-hours" is on for \d+h/),
  });
  const [, advice] = /write for: (\w+)$/.exec(warning!.message)!;
  expect(hours(advice!).warnings).toEqual([]);
  expect(parse(`{ metric: laeq, jump: { by: ${max - min + 1}, within: 1h } }`, city).warnings).toEqual([
    `can never match: laeq lies between ${min} and ${max}; write by: ${(max - min) / 4}`,
  ]);
  expect(parse(`{ metric: laeq, jump: { by: ${max - min}, within: 1h } }`, city).warnings).toEqual([]);
  const steps = (at: number, fn = 'last: true') =>
    parseRule(
      `id: r\ntitle: T\nwhere: { profile: noise }\nwhen: { metric: laeq, ${fn}, above: 60 }\nseverity: { low: 60, high: ${at} }\n`,
      city,
      { path: 'r', origin: 'api:me' },
    ).warnings.map(({ message }) => message);
  expect(steps(max)).toEqual([expect.stringContaining(`never reaches high: laeq lies between ${min} and ${max}`)]);
  expect([...steps(max - 1), ...steps(max + 99, 'sum: 1h')]).toEqual([]);
});

test('lint - a warning has the place of its clause, and a profile that is fast enough is not named', () => {
  const { places } = parse(
    '\n  any:\n    - { metric: laeq, above: 90 }\n    - { metric: laeq, mean: 1m, above: 80 }',
    cityAt(60_000),
  );
  expect(places).toMatchObject([{ file: 'r', line: 8, message: expect.stringContaining('mean is the newest') }]);
});

test('durations - are written as they are read', () => {
  for (const text of ['0s', '1s', '90m', '1h30m', '25h', '1d1h1m1s', '14d'])
    expect(parseDuration(formatDuration(parseDuration(text)!))).toBe(parseDuration(text));
  expect(formatDuration(5_400_000)).toBe('1h30m');
});
