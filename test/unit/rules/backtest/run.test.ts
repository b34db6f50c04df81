import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BacktestReport } from '../../../../rules/index.ts';
import {
  backtest,
  type Case,
  DAY,
  HOUR,
  MINUTE,
  type Reading,
  ruleOf,
  START,
  series,
} from '../../../kit/rules/backtest.ts';
import { runs } from '../../../kit/runs.ts';

const PM = `
id: dust
title: "Dust at {{device.name}}: {{value}}"
for_each: device
where: { profile: air-quality }
when: { metric: pm25, last: true, above: 75, clear: 60 }
for: 10m
keep_firing_for: 5m
severity: high
ticket: { service: air-quality, deadline: 4h }
`;
const air = (id: string, more = {}) => ({ id, profile: 'air-quality', district: 'old-town', ...more });
const iso = (ms: number) => new Date(ms).toISOString();
const every = (from: number, to: number) => [START + from, START + to, MINUTE] as const;
/** A value over time: 90 for an hour after each of these times, otherwise 20. */
const dusty =
  (...begins: readonly number[]) =>
  (ts: number) =>
    begins.some((begin) => ts >= START + begin && ts < START + begin + HOUR) ? 90 : 20;
const spans = ({ incidents }: BacktestReport) =>
  incidents.map(({ group, firedAt, resolvedAt }) => [group, firedAt, resolvedAt]);

test('backtest - reports the tickets that a rule would have opened, with times, titles and deadlines', async () => {
  const report = await backtest({
    rule: ruleOf(PM),
    devices: [air('a', { name: 'Quay' }), air('b', { district: 'harbour' })],
    readings: [
      ...series('a', 'pm25', every(0, 6 * HOUR), dusty(HOUR)),
      ...series('b', 'pm25', every(0, 6 * HOUR), dusty(2 * HOUR, 5 * HOUR)),
      // Too short to fire.
      ...series('b', 'pm25', [START + 4 * HOUR + 1, START + 4 * HOUR + 5 * MINUTE, MINUTE], () => 80),
    ],
    fromMs: START,
    toMs: START + 5.5 * HOUR,
  });
  const fired = START + HOUR + 10 * MINUTE;
  expect(report.incidents).toEqual([
    {
      group: 'a',
      district: 'old-town',
      firedAt: iso(fired),
      resolvedAt: iso(START + 2 * HOUR + 5 * MINUTE),
      severity: 'high',
      before: false,
      value: 90,
      ticket: {
        service: 'air-quality',
        department: 'environment',
        dueAt: iso(fired + 4 * HOUR),
        title: 'Dust at Quay: 90',
        titleZh: 'Dust at Quay: 90',
      },
    },
    expect.objectContaining({ group: 'b', firedAt: iso(fired + HOUR), resolvedAt: iso(START + 3 * HOUR + 5 * MINUTE) }),
    expect.objectContaining({ group: 'b', firedAt: iso(fired + 4 * HOUR), resolvedAt: null }),
  ]);
  expect(report.totals).toMatchObject({ incidents: 3, tickets: 3, before: 0, firing: 1, pending: 0, groups: 2 });
  expect(report.totals.cancelled).toBeGreaterThan(0);
  expect(report.totals.districts).toEqual([
    { district: 'harbour', incidents: 2 },
    { district: 'old-town', incidents: 1 },
  ]);
  expect(report.totals.firingMs).toBe((55 + 55 + 20) * MINUTE);
  expect(report).toMatchObject({ rule: 'dust', devices: 2, difference: null, fault: null });
});

test.each<[string, string, string, string, (minute: number) => number, [number, number]]>([
  // It begins at 0 again in the middle: as a number it would have fallen.
  [
    'what a counter counted',
    ...(['weather-station', 'rain', '{ metric: rain, delta: 1h, above: 40 }'] as const),
    (minute) => (minute < 60 ? 500 : minute < 90 ? 440 + minute : minute < 120 ? minute - 90 : 30),
    [101, 104],
  ],
  [
    'the mean of directions',
    ...(['weather-station', 'wind_direction', '{ metric: wind_direction, mean: 10m, sector: [330, 30] }'] as const),
    (minute) => (minute < 60 || minute >= 120 ? 180 : minute % 2 === 0 ? 350 : 10),
    [60, 70],
  ],
  [
    'the mean power of levels',
    ...(['noise', 'laeq', '{ metric: laeq, mean: 15m, above: 65 }'] as const),
    (minute) => (minute === 60 ? 80 : 40),
    [60, 60],
  ],
])('backtest - %s is that of its kind', async (_, profile, metric, when, valueAt, [from, to]) => {
  const rule = ruleOf(`{ id: k, title: K, where: { profile: ${profile} }, when: ${when}, severity: low }`);
  const readings = series('a', metric, every(0, 3 * HOUR), (ts) => valueAt((ts - START) / MINUTE));
  const devices = [{ id: 'a', profile, district: 'old-town' }];
  const { incidents } = await backtest({ rule, devices, readings, fromMs: START, toMs: START + 3 * HOUR });
  expect(incidents).toHaveLength(1);
  const [firedMinute] = incidents.map(({ firedAt }) => (Date.parse(firedAt) - START) / MINUTE);
  expect(firedMinute).toBeGreaterThanOrEqual(from);
  expect(firedMinute).toBeLessThanOrEqual(to);
  expect(incidents[0]!.resolvedAt).not.toBeNull();
});

test('backtest - marks incidents that fire already at the start; the warm-up does not count', async () => {
  const readings = series('a', 'pm25', every(0, 3 * HOUR), dusty(10 * MINUTE, 2 * HOUR));
  const whole = { rule: ruleOf(PM), devices: [air('a')], readings, fromMs: START, toMs: START + 3 * HOUR };
  const report = await backtest({ ...whole, fromMs: START + HOUR });
  expect(report.warmUpFrom).toBe(iso(START));
  expect(report.incidents.map(({ before, firedAt }) => [before, firedAt])).toEqual([
    [true, iso(START + HOUR)],
    [false, iso(START + 2 * HOUR + 10 * MINUTE)],
  ]);
  expect(report.totals).toMatchObject({ incidents: 2, before: 1, tickets: 1, firing: 1 });
  expect(report.readings).toBe(180);
  const later = await backtest({ ...whole, fromMs: START + 1.5 * HOUR });
  expect(spans(later)).toEqual([['a', iso(START + 2 * HOUR + 10 * MINUTE), null]]);
});

test('backtest - silence is exact to the millisecond, also for a device without readings, and in the last hour', async () => {
  const rule = ruleOf(`
id: silent
title: "Silent {{device.id}}"
for_each: device
where: { profile: air-quality }
when: { absent: 30m }
for: 0s
severity: low
`);
  const report = await backtest({
    rule,
    devices: [
      air('a'),
      air('mute'),
      air('new', { registeredMs: START + 4 * HOUR }),
      air('early', { registeredMs: START + 9 * DAY }),
    ],
    readings: [
      ...series('a', 'pm25', every(-HOUR, HOUR), () => 1),
      { device: 'a', metric: 'no2', ts: START + 3 * HOUR + 7, value: 1 },
      // Imported, from before the registration.
      { device: 'early', metric: 'no2', ts: START + 5 * HOUR + 1, value: 1 },
    ],
    fromMs: START,
    toMs: START + 6 * HOUR,
  });
  expect(spans(report)).toEqual([
    // Already silent in the hour of warm-up.
    ['mute', iso(START), null],
    ['a', iso(START + 89 * MINUTE), iso(START + 3 * HOUR + 7)],
    ['a', iso(START + 3.5 * HOUR + 7), null],
    ['new', iso(START + 4.5 * HOUR), null],
    ['early', iso(START + 5.5 * HOUR + 1), null],
  ]);
});

test('backtest - compares with the rule in force: same, moved, regraded, added and gone incidents', async () => {
  const readings = [
    ...series('moved', 'pm25', every(0, DAY), dusty(HOUR)),
    ...series('same', 'pm25', every(0, DAY), (ts) => (ts >= START + 5 * HOUR ? 200 : 20)),
    ...series('gone', 'pm25', every(0, DAY), (ts) => (ts >= START + 5 * HOUR && ts < START + 6 * HOUR ? 79 : 20)),
    ...series('split', 'pm25', every(0, DAY), (ts) =>
      ts < START + HOUR || ts > START + 6 * HOUR ? 20 : Math.floor(ts / HOUR) % 2 === 0 ? 90 : 70,
    ),
  ];
  const changed = ruleOf(
    PM.replace('above: 75, clear: 60', 'above: 80, clear: 75').replace('keep_firing_for: 5m', 'keep_firing_for: 6m'),
  );
  const devices = ['gone', 'moved', 'same', 'split'].map((id) => air(id));
  const given = { inForce: ruleOf(PM), devices, readings, fromMs: START, toMs: START + DAY };
  const report = await backtest({ rule: changed, ...given });
  const { difference } = report;
  expect(difference!.counts).toEqual({ same: 1, moved: 2, gone: 1, added: 1, regraded: 0 });
  expect(difference!.changes.map(({ kind, group }) => [kind, group])).toEqual([
    ['moved', 'moved'],
    ['moved', 'split'],
    ['added', 'split'],
    ['gone', 'gone'],
  ]);
  expect(difference!.totals.incidents).toBe(4);
  expect(report.totals.incidents).toBe(4);
  expect(difference!.version).toBe(ruleOf(PM).version);
  const [moved] = difference!.changes;
  expect([moved!.now!.resolvedAt, moved!.inForce!.resolvedAt]).toEqual([
    iso(START + 2 * HOUR + 6 * MINUTE),
    iso(START + 2 * HOUR + 5 * MINUTE),
  ]);
  const regraded = await backtest({ rule: ruleOf(PM.replace('severity: high', 'severity: critical')), ...given });
  expect(regraded.difference!.counts).toEqual({ same: 0, moved: 0, gone: 0, added: 0, regraded: 4 });
  const none = await backtest({ rule: ruleOf(PM), ...given });
  expect(none.difference).toBeNull();
});

test('backtest - lists the first of many incidents and counts all', async () => {
  const rule = ruleOf(PM.replace('for: 10m', 'for: 0s').replace('keep_firing_for: 5m', 'keep_firing_for: 0s'));
  const stricter = ruleOf(rule.source.replace('above: 75', 'above: 85'));
  const readings = series('a', 'pm25', every(0, DAY), (ts) => ((ts / MINUTE) % 2 === 0 ? 80 : 20));
  const given = { devices: [air('a')], readings, fromMs: START, toMs: START + DAY, most: 7 };
  const report = await backtest({ rule, inForce: stricter, ...given });
  expect([report.incidents.length, report.totals.incidents]).toEqual([7, 720]);
  expect([report.difference!.changes.length, report.difference!.counts.added]).toEqual([7, 720]);
});

const RULES = [
  PM,
  PM.replace('for_each: device', 'for_each: district')
    .replace('{{device.name}}', '{{district}}')
    .replace('last: true', 'mean: 30m'),
  PM.replace('last: true', 'p95: 20m').replace(
    'severity: high',
    'on_no_data: resolve\nno_data_after: 25m\nseverity: high',
  ),
  PM.replace('when: { metric: pm25, last: true, above: 75, clear: 60 }', 'when: { metric: pm25, absent: 20m }'),
];
const readingsOf = fc.array(
  fc.record({
    device: fc.constantFrom('a', 'b', 'c'),
    metric: fc.constantFrom('pm25', 'no2'),
    ts: fc.integer({ min: START - HOUR, max: START + 6 * HOUR }),
    value: fc.integer({ min: 40, max: 110 }),
  }),
  { maxLength: 200 },
);
const unique = (readings: readonly Reading[]) => [
  ...new Map(readings.map((one) => [`${one.device} ${one.metric} ${one.ts}`, one])).values(),
];

test('backtest - the size of batches changes nothing; an equal rule has equal results', async () => {
  const devices = [air('a'), air('b', { district: 'harbour' }), air('c', { registeredMs: START + 2 * HOUR })];
  const sizes = fc.integer({ min: 1, max: 50 });
  await fc.assert(
    fc.asyncProperty(readingsOf, fc.constantFrom(...RULES), sizes, async (drawn, text, size) => {
      const given: Case = {
        rule: ruleOf(text),
        devices,
        readings: unique(drawn),
        fromMs: START,
        toMs: START + 6 * HOUR,
      };
      const strip = ({ tookMs: _, ...report }: BacktestReport) => report;
      const whole = strip(await backtest(given));
      expect(strip(await backtest({ ...given, size }))).toEqual(whole);
      const against = await backtest({ ...given, size, inForce: { ...ruleOf(text), version: 'other' } });
      expect(against.difference!.counts).toMatchObject({ same: whole.totals.incidents, added: 0, gone: 0, moved: 0 });
      expect(against.totals).toEqual(whole.totals);
    }),
    { numRuns: runs(60) },
  );
});

test('backtest - can be cancelled within a batch, before it starts, and while the history does not respond', async () => {
  const readings = series('a', 'pm25', [START, START + DAY, 100], dusty(HOUR));
  const given = { rule: ruleOf(PM), devices: [air('a')], readings, fromMs: START, toMs: START + DAY, size: 1_000_000 };
  const controller = new AbortController();
  let reports = 0;
  const cancelled = backtest(given, {
    signal: controller.signal,
    onProgress() {
      reports++;
      controller.abort(new Error('enough'));
    },
  });
  await expect(cancelled).rejects.toThrow('enough');
  expect(reports).toBe(1);
  await expect(backtest(given, { signal: AbortSignal.abort(new Error('never')) })).rejects.toThrow('never');
  const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
  const waiting = backtest({ ...given, scan: () => silent }, { signal: AbortSignal.timeout(20) });
  await expect(waiting).rejects.toMatchObject({ name: 'TimeoutError' });
});

test('backtest - progress increases to 1, and the thread does other work in between', async () => {
  const readings = series('a', 'pm25', [START, START + DAY, 500], dusty(HOUR));
  const done: number[] = [];
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await backtest(
    { rule: ruleOf(PM), devices: [air('a')], readings, fromMs: START, toMs: START + DAY, size: 1_000_000 },
    { onProgress: (progress) => void done.push(progress.done) },
  );
  clearInterval(timer);
  expect(done.at(-1)).toBe(1);
  expect(done).toEqual(done.toSorted((a, b) => a - b));
  expect(turns).toBeGreaterThan(3);
});

test('backtest - refuses an end before the start', async () => {
  const given = { rule: ruleOf(PM), devices: [], readings: [], fromMs: START, toMs: START };
  await expect(backtest(given)).rejects.toMatchObject({ code: 'invalid' });
});

test('backtest - without devices and readings the report is empty', async () => {
  const report = await backtest({ rule: ruleOf(PM), devices: [], readings: [], fromMs: START, toMs: START + DAY });
  expect(report.totals).toMatchObject({ incidents: 0, firing: 0, districts: [] });
});

test('backtest - values that are suspect are left out where the rule says so, however the scan is cut', async () => {
  const quality = (ts: number, code: number) => ({ device: 'a', metric: 'pm25.quality', ts, value: code });
  const at = (minute: number) => START + minute * MINUTE;
  const readings: Reading[] = [
    ...series('a', 'pm25', [at(0), at(30), MINUTE], () => 90),
    ...series('b', 'pm25', [at(0), at(60), MINUTE], () => 20),
    ...series('a', 'pm25', [at(30), at(60), MINUTE], () => 90),
  ];
  // Suspect until minute 20; then good again, and corrected.
  const qualities = [...Array(20).keys()].map((minute) => quality(at(minute), 1));
  const all = [...readings, ...qualities, quality(at(20), 0), quality(at(21), 2)];
  const made = { devices: [air('a'), air('b')], readings: all, fromMs: START, toMs: at(60) };
  const ignoring = ruleOf(PM.replace('severity: high', 'severity: high\nsuspect: ignore'));
  for (const size of [1, 2, 7, 1_000]) {
    const report = await backtest({ ...made, rule: ignoring, size });
    expect(spans(report)).toEqual([['a', iso(at(30)), null]]);
    expect(report.readings).toBe(120);
  }
  expect(spans(await backtest({ ...made, rule: ruleOf(PM) }))).toEqual([['a', iso(at(10)), null]]);
  const compared = await backtest({ ...made, rule: ignoring, inForce: ruleOf(PM) });
  expect(compared.difference!.counts).toMatchObject({ moved: 1 });
});
