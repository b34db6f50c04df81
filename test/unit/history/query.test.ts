import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HistoryStore, KnownDevice, ReadingsQuery, Series } from '../../../domain/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import { columnsOf, expectedSeries, FUNCTIONS, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { newest as newestOf, queried } from '../../kit/history/read.ts';
import { runs } from '../../kit/runs.ts';

const HOUR = 3_600_000;
const METRICS = ['a', 'b', "quote's", 'ü'];
const IDS = ['bin-1', 'bin-10', 'bin-2', "o'brien", 'Z', 'lost'];
const DISTRICTS = new Map(IDS.map((id, i) => [id, i % 2 === 0 ? 'east' : 'west']));
const DEVICES: KnownDevice[] = IDS.map((id, index) => ({ id, index, profile: 'p', district: DISTRICTS.get(id)! }));
// Around the epoch too: a floor that rounds towards zero shows there.
const ORIGINS = [-2 * HOUR, 0, 1_700_000_000_000];

/** 4,000 readings, no key twice, in no order. */
const [ROWS] = fc.sample(
  fc.uniqueArray(
    fc.record({
      device: fc.constantFrom(...DEVICES.slice(0, -1)),
      metric: fc.constantFrom(...METRICS),
      ts: fc.tuple(fc.constantFrom(...ORIGINS), fc.integer({ min: 0, max: 4 * HOUR })).map(([from, by]) => from + by),
      value: fc.oneof(fc.integer({ min: -50, max: 50 }), fc.double({ min: -1e6, max: 1e6, noNaN: true })),
    }),
    { minLength: 4_000, maxLength: 4_000, selector: ({ device, metric, ts }) => `${device.id} ${metric} ${ts}` },
  ),
  { numRuns: 1, seed: 11 },
) as [Row[]];

/** Batches of every length, those that fill chunks of 2,048 rows exactly among them. */
const BATCHES = [0, 1, 2_047, 1, 0, 500, 1_451].map((length, i, lengths) => {
  const from = lengths.slice(0, i).reduce((sum, one) => sum + one, 0);
  return ROWS.slice(from, from + length);
});
const ALL = { fromMs: -1e15, toMs: 1e15, fn: 'mean', maxPoints: 100_000 } as const;

const metrics = tableOf();
const path = join(mkdtempSync(join(tmpdir(), 'lamppost-history-')), 'history.duckdb');
let history: HistoryStore;

beforeAll(async () => {
  history = createDuckdbHistory({ path, metrics, unitOf: (metric) => `unit of ${metric}` });
  await history.start();
  const batches = BATCHES.map((rows) => columnsOf(rows, metrics));
  await history.append(batches, 7);
  expect(await history.count()).toBe(ROWS.length);
});
afterAll(() => history.stop());

const moments = fc.oneof(
  fc.constantFrom(...ROWS.slice(0, 40).map(({ ts }) => ts)),
  fc.tuple(fc.constantFrom(...ORIGINS), fc.integer({ min: -HOUR, max: 5 * HOUR })).map(([from, by]) => from + by),
);
const some = (all: readonly string[]) =>
  fc.option(fc.uniqueArray(fc.constantFrom(...all), { maxLength: 3 }), { nil: undefined });
const queries: fc.Arbitrary<ReadingsQuery> = fc
  .record({
    devices: some([...IDS, 'nobody']),
    metrics: some([...METRICS, 'zzz']),
    district: fc.option(fc.constantFrom('east', 'west', 'nowhere'), { nil: undefined }),
    fromMs: moments,
    toMs: moments,
    everyMs: fc.constantFrom(undefined, 1, 7, 1_000, 60_000, 3_600_000, 5_400_001, 86_400_000),
    fn: fc.constantFrom(...FUNCTIONS),
  })
  .map((query) => {
    const given = Object.entries({ ...query, maxPoints: 100_000 }).filter(([, value]) => value !== undefined);
    return Object.fromEntries(given) as unknown as ReadingsQuery;
  });

/** Sums taken in another order may differ in their last digits. */
function expectSame(found: readonly Series[], expected: readonly Series[], exact: boolean): void {
  if (exact) {
    // Of 0 and −0 neither is the smaller one.
    const plain = (all: readonly Series[]) =>
      all.map((one) => ({ ...one, points: one.points.map(([ts, value]) => [ts, value === 0 ? 0 : value]) }));
    expect(plain(found)).toEqual(plain(expected));
    return;
  }
  const shape = (all: readonly Series[]) => all.map((one) => ({ ...one, points: one.points.map(([ts]) => ts) }));
  expect(shape(found)).toEqual(shape(expected));
  for (const [i, { points }] of found.entries()) {
    for (const [j, [, value]] of points.entries()) {
      const wanted = expected[i]!.points[j]![1]!;
      expect(Math.abs(value! - wanted)).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(wanted)) * 1e3);
    }
  }
}

const pointsIn = (series: readonly Series[]) => series.reduce((sum, { points }) => sum + points.length, 0);

describe('history', () => {
  test('queries return what a plain search returns: every function, interval, boundary, device, metric and district', async () => {
    let points = 0;
    await fc.assert(
      fc.asyncProperty(queries, async (query) => {
        const found = await queried(history, query);
        points += pointsIn(found);
        const rounded = query.everyMs !== undefined && ['mean', 'sum', 'stddev', 'rate'].includes(query.fn);
        expectSame(found, expectedSeries(ROWS, query, DISTRICTS), !rounded);
      }),
      { numRuns: runs(400), endOnFailure: true },
    );
    // Half of the queries find something, most of those dozens of points: only a search that finds nothing fails here.
    expect(points).toBeGreaterThan(runs(1_000));
  });

  test('from is included, to is not, and fractions of a millisecond do not shift them', async () => {
    const { device, metric, ts, value } = ROWS[0]!;
    const at = async (fromMs: number, toMs: number) => {
      const found = await queried(history, { ...ALL, devices: [device.id], metrics: [metric], fromMs, toMs });
      return found.flatMap(({ points }) => points);
    };
    expect(await at(ts, ts + 1)).toEqual([[ts, value]]);
    expect(await at(ts, ts)).toEqual([]);
    expect(await at(ts + 0.5, ts + 1)).toEqual([]);
    expect(await at(ts - 0.5, ts + 0.5)).toEqual([[ts, value]]);
    expect(await at(ts + 1, ts)).toEqual([]);
  });

  test.each([
    ['the ends of exact numbers', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ['far beyond any time', -1e300, 1e300],
  ])('bounds at %s find everything', async (_what, fromMs, toMs) => {
    expect(pointsIn(await queried(history, { ...ALL, fromMs, toMs }))).toBe(ROWS.length);
    const daily = await queried(history, { ...ALL, fromMs, toMs, fn: 'count', everyMs: 86_400_000 });
    expect(daily.flatMap(({ points }) => points).reduce((sum, [, count]) => sum + count!, 0)).toBe(ROWS.length);
  });

  test('maxPoints points are returned; one more is refused with how to narrow the query', async () => {
    expect(pointsIn(await queried(history, { ...ALL, maxPoints: ROWS.length }))).toBe(ROWS.length);
    await expect(queried(history, { ...ALL, maxPoints: ROWS.length - 1 })).rejects.toMatchObject({
      code: 'invalid',
      retryable: false,
      message: expect.stringMatching(/3999 points.*fewer devices or metrics, a shorter time, or a longer every/),
    });
    // Points are counted, not the readings behind them.
    expect(pointsIn(await queried(history, { ...ALL, everyMs: 1e15, maxPoints: 40 }))).toBeLessThanOrEqual(40);
  });

  test('latest is the newest reading of each device and metric', async () => {
    const newest = new Map<string, Row>();
    for (const row of ROWS) {
      const key = `${row.device.id} ${row.metric}`;
      if (row.ts > (newest.get(key)?.ts ?? Number.NEGATIVE_INFINITY)) newest.set(key, row);
    }
    const expected = [...newest.values()].map(({ device, metric, ts, value }) => ({
      device: device.id,
      metric,
      unit: `unit of ${metric}`,
      at: new Date(ts).toISOString(),
      value,
    }));
    const sorted = (all: readonly { device: string; metric: string }[]) =>
      all.toSorted((a, b) => (`${a.device} ${a.metric}` < `${b.device} ${b.metric}` ? -1 : 1));
    expect(sorted(await newestOf(history, {}))).toEqual(sorted(expected));
    const found = await newestOf(history, { devices: ['bin-1', 'nobody', 'Z'], metrics: ['a', 'ü'], district: 'east' });
    const wanted = expected.filter((one) => ['bin-1', 'Z'].includes(one.device) && ['a', 'ü'].includes(one.metric));
    expect(sorted(found)).toEqual(sorted(wanted));
    expect(await newestOf(history, { devices: ['bin-1', 'bin-1'], metrics: ['a'] })).toHaveLength(1);
    expect(await newestOf(history, { devices: [] })).toEqual([]);
  });

  test('everything is there after a restart, under other numbers of devices and metrics', async () => {
    const before = { series: await queried(history, ALL), latest: await newestOf(history, {}) };
    await history.stop();
    const renumbered = tableOf(...METRICS.toReversed());
    history = createDuckdbHistory({ path, metrics: renumbered, unitOf: (metric) => `unit of ${metric}` });
    await history.start();
    expect([history.cursor(), await history.count()]).toEqual([7, ROWS.length]);
    expect(await queried(history, ALL)).toEqual(before.series);
    expect(new Set(await newestOf(history, {}))).toEqual(new Set(before.latest));
    const late: Row = { device: { ...DEVICES[0]!, index: 4 }, metric: 'ü', ts: 2e12, value: 5 };
    await history.append([columnsOf([late], renumbered)], 8);
    const found = await queried(history, { ...ALL, fromMs: 1.9e12, toMs: 2.1e12 });
    expect(found).toEqual([{ device: 'bin-1', metric: 'ü', unit: 'unit of ü', points: [[2e12, 5]] }]);
  });

  test('a device that moved is found in its new district only, with all its readings', async () => {
    const moved = { ...DEVICES[1]!, index: 90, district: 'north' };
    const row: Row = { device: moved, metric: 'a', ts: 3e12, value: 1 };
    const before = pointsIn(await queried(history, { ...ALL, devices: [moved.id] }));
    await history.append([columnsOf([row], tableOf(...METRICS.toReversed()))], 9);
    const inNorth = await queried(history, { ...ALL, district: 'north', toMs: 1e16 });
    expect(new Set(inNorth.map(({ device }) => device))).toEqual(new Set([moved.id]));
    expect(pointsIn(inNorth)).toBe(before + 1);
    expect(await queried(history, { ...ALL, devices: [moved.id], district: 'west' })).toEqual([]);
    const latest = async (district: string) => (await newestOf(history, { district })).map(({ device }) => device);
    expect(new Set(await latest('north'))).toEqual(new Set([moved.id]));
    expect(await latest('west')).not.toContain(moved.id);
  });
});
