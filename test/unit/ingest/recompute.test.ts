import { expect, test } from 'vitest';
import type { PointsSlice, ReadingsQuery } from '../../../domain/index.ts';
import type { ImportAsked } from '../../../ingest/imports.ts';
import { bodyOfPart, importParts, recompute } from '../../../ingest/index.ts';
import { cityControl, intakeBench } from '../../kit/ingest/intake.ts';

const DAY = 86_400_000;
const T0 = Date.UTC(2026, 0, 1);
const NOW = T0 + 30 * DAY;
const ACTION = { id: 'i', actor: { kind: 'key', id: 'k', role: 'admin', department: null } as const } as const;
const action = { ...ACTION, address: null, key: null, command: { do: 'readings.recompute' } };
const nothing = { rows: 0, stored: 0, refused: 0, repeated: 0, faults: [], more: 0 };

const slice = (metric: string, points: readonly (readonly [number, number])[]): PointsSlice => ({
  series: [{ device: 'd', metric, unit: 'u', from: 0 }],
  ts: Float64Array.from(points, ([ts]) => ts),
  value: Float64Array.from(points, ([, value]) => value),
});

/** A history with these counts of days, and these readings. */
function historyOf(
  counts: readonly number[],
  points: Readonly<Record<string, readonly (readonly [number, number])[]>>,
) {
  return {
    async *read({ metrics, everyMs, fromMs, toMs }: ReadingsQuery) {
      if (everyMs !== undefined) {
        yield slice(
          'a',
          counts.map((count, day): [number, number] => [T0 + day * DAY, count]).filter(([ts]) => ts + DAY > fromMs),
        );
        return;
      }
      for (const metric of metrics!)
        yield slice(
          metric,
          (points[metric] ?? []).filter(([ts]) => ts >= fromMs && ts < toMs),
        );
    },
  };
}

function importsOf() {
  const asked: ImportAsked[] = [];
  const run = async (one: ImportAsked) => {
    asked.push(one);
    return nothing;
  };
  return { asked, run };
}

const counts = { received: 5, decoded: 5, quarantined: 0, pending: 0 };
const readings = { received: 5, stored: 5, replaced: 0, duplicate: 0, quarantined: 0 };
/** Everything that was received is stored. */
const ledger = async () => ({ messages: counts, readings });
const SPAN = { device: 'd', metric: 'a', unit: 'u', fromMs: T0, toMs: T0 + 4 * DAY };

test('recompute - a request takes as many days as make some 100,000 readings, one at least, and says where to go on', async () => {
  const days = [0, 1, 2, 3].map((day): [number, number] => [T0 + day * DAY, day]);
  const history = historyOf([60_000, 60_000, 60_000, 200_000], { a: days });
  const imports = importsOf();
  let next: string | null = new Date(T0).toISOString();
  const ends: (string | null)[] = [];
  while (next !== null) {
    ({ next } = await recompute({ ledger, history, imports }, { ...SPAN, fromMs: Date.parse(next) }, null, {}));
    ends.push(next);
  }
  expect(ends).toEqual(['2026-01-03T00:00:00.000Z', '2026-01-04T00:00:00.000Z', null]);
  expect(imports.asked.map(({ stored }) => [stored!.fromMs, stored!.toMs])).toEqual([
    [T0, T0 + 2 * DAY],
    [T0 + 2 * DAY, T0 + 3 * DAY],
    [T0 + 3 * DAY, T0 + 4 * DAY],
  ]);
});

test('recompute - what was measured is taken where it is beside the value, and corrected by the calibrations of its place', async () => {
  const points = { a: [[T0, 15] as const, [T0 + 1, 20] as const], 'a.raw': [[T0, 10] as const] };
  const imports = importsOf();
  await recompute({ ledger, history: historyOf([2], points), imports }, SPAN, null, {});
  const [{ bytes, format, ...how }] = imports.asked as [ImportAsked];
  const bench = intakeBench();
  bench.city(cityControl(), NOW);
  const calibrated = (offset: number) => ({
    ...{ id: '5-0', metric: 'a', gain: 1, offset, points: null, from: new Date(T0).toISOString(), until: null },
    ...{ certificate: null, note: null, by: 'admin', at: new Date(T0).toISOString() },
  });
  const device = { id: 'd', profile: 'bin', district: 'east' };
  const recomputed = (offset: number) => {
    bench.devices([{ ...device, calibrations: [calibrated(offset)] }], [], NOW);
    const [part] = importParts(bytes, { ...how, format: format as 'csv' });
    return bench.import(bodyOfPart(part!, action), NOW);
  };
  const first = recomputed(1);
  expect(bench.replaced(first)).toEqual([
    ['d', 'a', T0, 11],
    ['d', 'a.raw', T0, 10],
    ['d', 'a', T0 + 1, 21],
    ['d', 'a.raw', T0 + 1, 20],
  ]);
  expect(first.imported).toMatchObject({ tallies: [], forRules: false, report: { stored: 2, refused: 0 } });
  expect(first.readings.length).toBe(0);
  // The same part again is no repetition: it is corrected by what holds now.
  bench.persist();
  const second = recomputed(85);
  expect(bench.replaced(second).map(([, metric, , value]) => [metric, value])).toEqual([
    ['a', 95],
    ['a.raw', 10],
  ]);
  expect(second.imported!.report.faults).toMatchObject([{ reason: 'out-of-range', count: 1 }]);
});

test('recompute - it begins once the history has what was received before, and waits for nothing that comes later', async () => {
  const seen: number[] = [];
  const behind = async () => {
    const pending = Math.max(0, 3 - seen.length);
    // Two more come at each look, and are behind too.
    const messages = { ...counts, received: 5 + 2 * seen.length, pending: pending + 2 * seen.length };
    seen.push(messages.received - messages.pending);
    return { messages, readings };
  };
  const imports = importsOf();
  const points = { a: [[T0, 15] as const] };
  await recompute({ ledger: behind, history: historyOf([1], points), imports }, SPAN, null, {});
  expect(seen).toEqual([2, 3, 4, 5]);
  expect(imports.asked).toHaveLength(1);
  const gone = AbortSignal.abort(new Error('gone'));
  const stuck = async () => ({ messages: { ...counts, pending: 1 }, readings });
  const asked = recompute({ ledger: stuck, history: historyOf([1], points), imports }, SPAN, null, { signal: gone });
  await expect(asked).rejects.toThrow('gone');
});

test('recompute - what was imported over a calibrated value is what was measured from then on', () => {
  const bench = intakeBench();
  bench.city(cityControl(), NOW);
  const calibration = {
    ...{ id: '5-0', metric: 'a', gain: 1, offset: 5, points: null, from: new Date(T0).toISOString(), until: null },
    ...{ certificate: null, note: null, by: 'admin', at: new Date(T0).toISOString() },
  };
  bench.devices([{ id: 'd', profile: 'bin', district: 'east', calibrations: [calibration] }], [], NOW);
  const how = { device: 'd', precision: 'ms', firstLine: 1, rules: false, file: '' } as const;
  const [part] = importParts(Buffer.from(`ts,a\n${T0},30\n`), { ...how, format: 'csv' });
  expect(bench.replaced(bench.import(bodyOfPart(part!, action), NOW))).toEqual([
    ['d', 'a', T0, 30],
    ['d', 'a.raw', T0, 30],
  ]);
});

test('recompute - other work runs while a long span is written', async () => {
  const points = Array.from({ length: 20_000 }, (_, i) => [T0 + i, i] as const);
  const imports = importsOf();
  let turns = 0;
  const count = () => {
    turns++;
    if (imports.asked.length === 0) setImmediate(count);
  };
  setImmediate(count);
  await recompute({ ledger, history: historyOf([1], { a: points }), imports }, SPAN, null, {});
  expect(turns).toBeGreaterThanOrEqual(10);
  expect(Buffer.from(imports.asked[0]!.bytes).toString().split('\n')).toHaveLength(20_002);
});
