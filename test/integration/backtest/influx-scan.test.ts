import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock as clock, type HistoryStore, type KnownDevice, type ScanQuery } from '../../../domain/index.ts';
import { createDuckdbHistory, createInfluxHistory } from '../../../history/index.ts';
import { DatabaseProcess, has } from '../../kit/databases.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';

const START = 1_700_000_000_000;
const DAY = 86_400_000;
const METRICS = ['fill', 'device', 'time'];
const needed = has('influxd');
const metrics = tableOf();
const IDS = Array.from({ length: 300 }, (_, n) => `bin-${n}`);
/** Half of the devices change their profile, so that their readings are in two measurements. */
const deviceAt = (n: number, half: number): KnownDevice => ({
  id: IDS[n]!,
  index: n,
  profile: half === 1 && n % 2 === 0 ? 'other' : 'bin',
  district: 'east',
});
/** Dense readings (a slice that is too long must be cut), then none for two months, then sparse ones. */
const ROWS: Row[] = [
  ...Array.from({ length: 90_000 }, (_, n) => ({
    device: deviceAt(n % 300, n < 45_000 ? 0 : 1),
    metric: METRICS[n % 3]!,
    ts: START + Math.floor(n / 900) * 1_000 + (n % 7),
    value: n / 4,
  })),
  ...IDS.map((_, n) => ({ device: deviceAt(n, 1), metric: 'fill', ts: START + 60 * DAY + n * 3_600_000, value: n })),
];

let influxd: DatabaseProcess;
let influx: HistoryStore;
let duckdb: HistoryStore;

beforeAll(async () => {
  if (!needed) return;
  influxd = await DatabaseProcess.influx();
  await influxd.start();
  await fetch(`${influxd.url}/query?q=create+database+city`, { method: 'POST' });
  const settings = { url: influxd.url, token: '', org: '', bucket: 'city', api: 'v1' } as const;
  influx = createInfluxHistory({ metrics, unitOf: () => '', clock }, settings);
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-scan-')), 'history.duckdb');
  duckdb = createDuckdbHistory({ path, metrics, unitOf: () => '' });
  for (const store of [influx, duckdb]) {
    await store.start();
    await store.append([columnsOf(ROWS, metrics)], 1);
  }
});
afterAll(async () => {
  if (!needed) return;
  await influx.stop();
  await duckdb.stop();
  await influxd.end('SIGKILL');
});

async function scan(store: HistoryStore, query: ScanQuery): Promise<number[][]> {
  const rows: number[][] = [];
  for await (const { device, metric, ts, value } of store.scan(query)) {
    for (const [row, at] of ts.entries()) rows.push([at, device[row]!, metric[row]!, value[row]!]);
  }
  return rows;
}

const ALL: ScanQuery = { devices: IDS, metrics: METRICS, fromMs: START - DAY, toMs: START + 200 * DAY };

describe.skipIf(!needed)('a scan of InfluxDB', () => {
  test.each<[string, Partial<ScanQuery>]>([
    ['of all, more devices than are named one by one', {}],
    [
      'of a few devices and metrics, in the order of the query',
      { devices: ['bin-9', 'bin-2'], metrics: ['time', 'fill'] },
    ],
    ['of a span of time', { fromMs: START + 1_003, toMs: START + 9_000 }],
    ['of nothing', { devices: [] }],
    ['of devices that it does not have', { devices: ['nobody'] }],
  ])('scan - %s: the same readings as of the embedded history, in the same order', async (_what, only) => {
    const query = { ...ALL, ...only };
    const found = await scan(influx, query);
    expect(found).toEqual(await scan(duckdb, query));
    if (_what.startsWith('of all')) expect(found).toHaveLength(ROWS.length);
  });

  test('scan - an aborted or abandoned scan ends; the history continues', async () => {
    const controller = new AbortController();
    let batches = 0;
    for await (const _ of influx.scan(ALL, controller.signal)) {
      batches++;
      controller.abort();
    }
    expect(batches).toBeLessThan(3);
    for await (const _ of influx.scan(ALL)) break;
    expect(await influx.count()).toBe(ROWS.length);
  });

  test('scan - reports that the database cannot be reached', async () => {
    const settings = { url: 'http://127.0.0.1:1', token: '', org: '', bucket: 'city', api: 'v1' } as const;
    const gone = createInfluxHistory({ metrics, unitOf: () => '', clock }, settings);
    await expect(scan(gone, ALL)).rejects.toMatchObject({ code: 'history', retryable: true });
    await gone.stop();
  });
});
