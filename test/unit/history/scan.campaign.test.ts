import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HistoryStore, KnownDevice, ScannedReadings, ScanQuery } from '../../../domain/index.ts';
import { createDuckdbHistory, openDuckdbScan } from '../../../history/index.ts';
import { nextSlice, SLICE } from '../../../history/scan.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { queried } from '../../kit/history/read.ts';

const START = 1_700_000_000_000;
const metrics = tableOf();
const DEVICES: KnownDevice[] = ['c', 'a', 'b'].map((id, index) => ({ id, index, profile: 'p', district: 'east' }));
/** Out of order, with gaps of days, and one millisecond with more readings than a batch. */
const ROWS: Row[] = [
  ...Array.from({ length: 60_000 }, (_, n) => ({
    device: DEVICES[n % 3]!,
    metric: n % 2 === 0 ? 'pm25' : 'no2',
    ts: START + ((n * 7_919) % 60_000) * 1_000 + (n > 30_000 ? 40 * 86_400_000 : 0),
    value: n / 4,
  })),
  ...['no2', 'pm25'].flatMap((metric) => DEVICES.map((device) => ({ device, metric, ts: START + 5, value: 1 }))),
];
const path = join(mkdtempSync(join(tmpdir(), 'lamppost-scan-')), 'history.duckdb');
let history: HistoryStore;

beforeAll(async () => {
  history = createDuckdbHistory({ path, metrics, unitOf: () => '' });
  await history.start();
  await history.append([columnsOf(ROWS, metrics)], 1);
});
afterAll(() => history.stop());

const ALL: ScanQuery = { devices: ['a', 'b', 'c'], metrics: ['no2', 'pm25'], fromMs: 0, toMs: START * 2 };
type Line = [ts: number, device: string, metric: string, value: number];

function linesOf({ device, metric, ts, value }: ScannedReadings, { devices, metrics: names }: ScanQuery): Line[] {
  return Array.from(ts, (at, row) => [at, devices[device[row]!]!, names[metric[row]!]!, value[row]!]);
}

async function scan(store: Pick<HistoryStore, 'scan'>, query: ScanQuery): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const batch of store.scan(query)) {
    expect(batch.ts.length).toBeGreaterThan(0);
    expect(batch.ts.length).toBeLessThanOrEqual(SLICE.batch);
    lines.push(...linesOf(batch, query));
  }
  return lines;
}

function expected({ devices, metrics: names, fromMs, toMs }: ScanQuery): Line[] {
  return ROWS.filter(({ ts, device, metric }) => {
    return ts >= fromMs && ts < toMs && devices.includes(device.id) && names.includes(metric);
  })
    .map(({ ts, device, metric, value }): Line => [ts, device.id, metric, value])
    .sort(
      (a, b) =>
        a[0] - b[0] || devices.indexOf(a[1]) - devices.indexOf(b[1]) || names.indexOf(a[2]) - names.indexOf(b[2]),
    );
}

describe('scan of the embedded history', () => {
  test.each<[string, Partial<ScanQuery>]>([
    ['all of it', {}],
    ['in the order of the lists, not of the names', { devices: ['b', 'c', 'a'], metrics: ['pm25', 'no2'] }],
    ['some devices and a metric', { devices: ['c'], metrics: ['pm25'] }],
    ['a span of time, its end not included', { fromMs: START + 5, toMs: START + 9_000 }],
    ['what there is none of', { devices: ['z'], metrics: ['pm25'] }],
    ['no device', { devices: [] }],
    ['no time', { fromMs: START, toMs: START }],
  ])('scan - gives %s once each, by time, device and metric', async (_what, only) => {
    const query = { ...ALL, ...only };
    expect(await scan(history, query)).toEqual(expected(query));
  });

  test('scan - two at a time, beside appends and queries, do not disturb each other', async () => {
    const other = { ...ALL, devices: ['a'] };
    const [one, two] = await Promise.all([
      scan(history, ALL),
      scan(history, other),
      queried(history, { fromMs: 0, toMs: START * 2, fn: 'count', everyMs: 3_600_000, maxPoints: 1_000_000 }),
    ]);
    expect(one).toEqual(expected(ALL));
    expect(two).toEqual(expected(other));
  });

  test('scan - one that is returned early or aborted ends; the store goes on', async () => {
    for await (const batch of history.scan(ALL)) {
      expect(batch.ts.length).toBe(SLICE.batch < ROWS.length ? batch.ts.length : 0);
      break;
    }
    const controller = new AbortController();
    let batches = 0;
    for await (const _ of history.scan(ALL, controller.signal)) {
      batches++;
      controller.abort();
    }
    expect(batches).toBe(1);
    const before = new AbortController();
    before.abort();
    for await (const _ of history.scan(ALL, before.signal)) throw new Error('it was aborted before it began');
    expect(await history.count()).toBe(ROWS.length);
  });

  test('scan - a file that no server has open is read without changing it; one that is open says so', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'lamppost-scan-')), 'history.duckdb');
    const writer = createDuckdbHistory({ path: file, metrics, unitOf: () => '' });
    await writer.start();
    await writer.append([columnsOf(ROWS.slice(0, 100), metrics)], 1);
    await writer.stop();
    const reader = await openDuckdbScan(file);
    expect(await scan(reader, ALL)).toHaveLength(100);
    reader.close();
    await expect(openDuckdbScan(`${file}.none`)).rejects.toMatchObject({ code: 'history' });
  });
});

describe('slices', () => {
  test('slices - a slice with too many readings is followed by a shorter one, a sparse one by a longer one', () => {
    expect(nextSlice(60_000, 1_000_000)).toBe(7_500);
    expect(nextSlice(60_000, 0)).toBe(480_000);
    expect(nextSlice(60_000, SLICE.rows / 2)).toBe(60_000);
    expect(nextSlice(1, 10_000_000)).toBe(1);
    expect(nextSlice(SLICE.longestMs, 1)).toBe(SLICE.longestMs);
  });
});
