import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HistoryStore, KnownDevice, ReadingsQuery, Series } from '../../../domain/index.ts';
import { systemClock as clock } from '../../../domain/index.ts';
import { createDuckdbHistory, createInfluxHistory } from '../../../history/index.ts';
import { DatabaseProcess, has } from '../../kit/databases.ts';
import { columnsOf, FUNCTIONS, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { newest, queried } from '../../kit/history/read.ts';

const HOUR = 3_600_000;
// `time`, `device` and `district` are taken in InfluxDB.
const METRICS = ['fill', 'pm2-5', 'time', 'device', 'district'];
const IDS = ['bin-1', 'bin-10', 'Bin.2', 'a:b', '7', 'lost'];
const ORIGINS = [-2 * HOUR, 0, 1_700_000_000_000];
/** Readings of each batch; between batches, devices move and change their profile. */
const LENGTHS = [700, 1, 0, 1_100, 700];

/** Each second device moves to the other district halfway; `Bin.2` becomes another kind of device. */
function deviceIn(batch: number, id: string): KnownDevice {
  const index = IDS.indexOf(id);
  const moved = batch >= 3 && index % 2 === 1;
  const district = index % 4 < 2 === moved ? 'west' : 'east';
  return { id, index, district, profile: batch >= 3 && id === 'Bin.2' ? 'other-bin' : 'bin' };
}

/** Line protocol has no -0. */
const positiveZero = (value: number) => (value === 0 ? 0 : value);

const keys = fc.record({
  id: fc.constantFrom(...IDS.slice(0, -1)),
  metric: fc.constantFrom(...METRICS),
  ts: fc.tuple(fc.constantFrom(...ORIGINS), fc.integer({ min: 0, max: 4 * HOUR })).map(([from, by]) => from + by),
  value: fc.oneof(fc.integer({ min: -50, max: 50 }), fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(positiveZero)),
});
const total = LENGTHS.reduce((sum, one) => sum + one, 0);
const [DRAWN] = fc.sample(
  fc.uniqueArray(keys, {
    minLength: total,
    maxLength: total,
    selector: ({ id, metric, ts }) => `${id} ${metric} ${ts}`,
  }),
  { numRuns: 1, seed: 7 },
);

const READINGS = DRAWN!.toSorted((a, b) => a.ts - b.ts);

const BATCHES: Row[][] = LENGTHS.map((length, batch) => {
  const from = LENGTHS.slice(0, batch).reduce((sum, one) => sum + one, 0);
  // In the order of time: where a device is now, its newest reading says after a restart.
  return READINGS.slice(from, from + length).map(({ id, ...row }) => ({ ...row, device: deviceIn(batch, id) }));
});
/** Other values for a few readings of the same batch, and of the one before; the last of each wins. */
const REPLACED: Row[][] = BATCHES.map((rows) =>
  rows.slice(0, 40).flatMap((row) => [
    { ...row, value: row.value + 1 },
    { ...row, value: row.value + 2 },
  ]),
);

const needed = has('influxd');
const metrics = tableOf();
const unitOf = (metric: string) => `unit of ${metric}`;
let influxd: DatabaseProcess;
let duckdb: HistoryStore;
let influx: HistoryStore;

const newInflux = () =>
  createInfluxHistory({ metrics, unitOf, clock }, { url: influxd.url, token: '', org: '', bucket: 'city', api: 'v1' });

beforeAll(async () => {
  if (!needed) return;
  influxd = await DatabaseProcess.influx();
  await influxd.start();
  await fetch(`${influxd.url}/query?q=create+database+city`, { method: 'POST' });
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-parity-')), 'history.duckdb');
  duckdb = createDuckdbHistory({ path, metrics, unitOf });
  influx = newInflux();
  for (const store of [duckdb, influx]) {
    await store.start();
    for (const [n, rows] of BATCHES.entries()) {
      const refused = await store.append([columnsOf(rows, metrics)], n + 1, [columnsOf(REPLACED[n]!, metrics)]);
      expect(refused).toEqual([]);
    }
  }
});
afterAll(async () => {
  if (!needed) return;
  await duckdb.stop();
  await influx.stop();
  await influxd.end('SIGKILL');
});

const moments = fc.oneof(
  fc.constantFrom(...DRAWN!.slice(0, 40).map(({ ts }) => ts)),
  fc.tuple(fc.constantFrom(...ORIGINS), fc.integer({ min: -HOUR, max: 5 * HOUR })).map(([from, by]) => from + by),
);
const some = (all: readonly string[]) =>
  fc.option(fc.uniqueArray(fc.constantFrom(...all), { maxLength: 3 }), { nil: undefined });
const queries = fc
  .record({
    devices: some([...IDS, 'nobody']),
    metrics: some([...METRICS, 'zzz']),
    district: fc.option(fc.constantFrom('east', 'west', 'nowhere'), { nil: undefined }),
    fromMs: moments,
    toMs: moments,
    everyMs: fc.constantFrom(undefined, 1_000, 60_000, 1_800_007, HOUR, 24 * HOUR),
    fn: fc.constantFrom(...FUNCTIONS),
    fill: fc.constantFrom('none', 'null'),
    maxPoints: fc.constantFrom(50, 5_000, 1_000_000),
  })
  .map(({ fromMs, toMs, ...query }) => {
    const ordered = { ...query, fromMs: Math.min(fromMs, toMs), toMs: Math.max(fromMs, toMs) };
    const given = Object.entries(ordered).filter(([, value]) => value !== undefined);
    return Object.fromEntries(given) as unknown as ReadingsQuery;
  })
  // Nobody queries gaps of seconds over half a century.
  .filter(({ fill, everyMs, fromMs, toMs }) => fill === 'none' || (toMs - fromMs) / (everyMs ?? 1) < 10_000);

const resultOf = (store: HistoryStore, query: ReadingsQuery) =>
  queried(store, query).catch((error: { code: string; message: string }) => `${error.code}: ${error.message}`);

/** Sums taken in another order may differ in their last digits. */
function expectSame(found: Series[] | string, expected: Series[] | string): void {
  if (typeof found === 'string' || typeof expected === 'string') {
    expect(found).toEqual(expected);
    return;
  }
  const shape = (all: readonly Series[]) => all.map((one) => ({ ...one, points: one.points.map(([ts]) => ts) }));
  expect(shape(found)).toEqual(shape(expected));
  for (const [i, { points }] of found.entries()) {
    for (const [j, [, value]] of points.entries()) {
      const other = expected[i]!.points[j]![1];
      if (value === null || other === null) expect(value).toBe(other);
      else expect(Math.abs(value - other)).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(other)));
    }
  }
}

describe.skipIf(!needed)('the embedded history and InfluxDB', () => {
  test('hold the same readings, replaced ones among them', async () => {
    expect(await influx.count()).toBe(total);
    expect(await duckdb.count()).toBe(total);
    const all = { fromMs: -1e15, toMs: 1e15, fn: 'mean', maxPoints: 100_000 } as const;
    const found = await queried(influx, all);
    expect(found).toEqual(await queried(duckdb, all));
    expect(found.flatMap(({ points }) => points)).toHaveLength(total);
  });

  test('return the same: functions, intervals, gaps, bounds, devices, metrics, districts, also of devices that moved', async () => {
    let points = 0;
    const same = async (query: ReadingsQuery) => {
      const [found, expected] = await Promise.all([resultOf(influx, query), resultOf(duckdb, query)]);
      expectSame(found, expected);
      if (typeof found !== 'string') points += found.flatMap((one) => one.points).length;
    };
    await fc.assert(fc.asyncProperty(queries, same), { numRuns: 250, seed: 3 });
    expect(points).toBeGreaterThan(10_000);
  });

  test.each([1, 9, 10, 11, 19, 20, 21, 30, 100])('p95 of %i values is the same one', async (n) => {
    const device = { id: `p95-${n}`, index: 100 + n, profile: 'bin', district: 'east' };
    const rows = Array.from({ length: n }, (_, i) => ({ device, metric: 'fill', ts: 1_000 + i, value: (i * 37) % n }));
    for (const store of [duckdb, influx]) await store.append([columnsOf(rows, metrics)], 100 + n);
    const query = { devices: [device.id], fromMs: 0, toMs: HOUR, everyMs: HOUR, fn: 'p95', maxPoints: 1 } as const;
    const found = await queried(influx, query);
    expect(found).toEqual(await queried(duckdb, query));
    expect(found[0]!.points).toEqual([[0, Math.floor(0.95 * n + 0.5) - 1]]);
  });

  test('return the same newest readings, also in a process that has just started', async () => {
    const again = newInflux();
    for (const filter of [{}, { district: 'east' }, { devices: ['bin-1', 'lost'] }, { metrics: ['time'] }]) {
      const byName = (one: { device: string; metric: string }) => `${one.device} ${one.metric}`;
      const sorted = async (store: HistoryStore) =>
        (await newest(store, filter)).toSorted((a, b) => (byName(a) < byName(b) ? -1 : 1));
      const expected = await sorted(duckdb);
      expect(expected.length).toBeGreaterThan(0);
      expect(await sorted(influx)).toEqual(expected);
      expect(await sorted(again)).toEqual(expected);
    }
    await again.stop();
  });
});
