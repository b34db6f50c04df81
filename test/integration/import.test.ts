import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { run } from '../../cli/index.ts';
import type { Ledger, Series, Ticket } from '../../domain/index.ts';
import type { ImportReport } from '../../ingest/index.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const DEVICES = 10;
const TIMES = 16_000;
const ROWS = DEVICES * TIMES;
const FROM = Date.UTC(2024, 0, 1);
const MINUTE = 60_000;

const server = new ServerProcess();
const printed = { out: '', progress: 0 };
beforeAll(async () => {
  vi.spyOn(console, 'log').mockImplementation((text: string) => {
    printed.out += `${text}\n`;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation(() => {
    printed.progress++;
    return true;
  });
  await server.start();
  const ids = Array.from({ length: DEVICES }, (_, i) => `old-${i}`);
  await server.post(
    '/api/v1/devices',
    ids.map((id) => ({ id, profile: 'air-quality', district: 'old-town' })),
  );
});
afterAll(async () => {
  vi.restoreAllMocks();
  await server.kill();
});

/** Runs `lamppost import readings`; returns its exit code and what it printed. */
async function importFile(name: string, ...flags: string[]): Promise<[code: number, text: string]> {
  printed.out = '';
  const url = `http://127.0.0.1:${server.httpPort}`;
  const code = await run(['import', 'readings', name, '--url', url, '--key', ADMIN_KEY, '--progress', ...flags], {});
  return [code, printed.out];
}

const post = async (query: string, body: string | Buffer<ArrayBuffer>) => {
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const url = `http://127.0.0.1:${server.httpPort}/api/v1/import?${query}`;
  const response = await fetch(url, { method: 'POST', headers, body });
  return { status: response.status, report: (await response.json()) as ImportReport & { detail?: string } };
};

const readingsOf = async (device: string, fromMs: number, toMs: number, every = '') => {
  const query = `device=${device}&metric=pm25&from=${fromMs}&to=${toMs}&maxPoints=100000${every}`;
  const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?${query}`);
  return series[0]?.points ?? [];
};

const countOf = async (device: string) =>
  (await readingsOf(device, FROM, FROM + TIMES * MINUTE, '&every=1d&fn=count')).reduce((sum, [, n]) => sum + n!, 0);

/** Every value is far above the limits of the city's rules. */
function bigFile(): string {
  const lines = ['device,ts,metric,value'];
  for (let i = 0; i < ROWS; i++) {
    const at = new Date(FROM + Math.floor(i / DEVICES) * MINUTE).toISOString();
    lines.push(`old-${i % DEVICES},${at},pm25,${(200 + (i % 97) / 8).toFixed(3)}`);
  }
  const file = join(server.data, 'history.csv');
  writeFileSync(file, lines.join('\n'));
  return file;
}

test('import - kill -9 in the middle, and the same command goes on: every row is stored once, no rule fires', async () => {
  const file = bigFile();
  const running = importFile(file);
  await until(async () => printed.progress > 0, 'the first piece', 5);
  await server.kill();
  await server.start();
  const [code, text] = await running;
  expect([code, text]).toEqual([
    0,
    `${ROWS} rows: ${text.match(/(\d+) stored/)![1]} stored, 0 refused, ${text.match(/(\d+) imported/)![1]} imported before\n`,
  ]);
  const ledger = await server.settledLedger();
  expect(ledger.imported).toEqual({ received: ROWS, stored: ROWS, refused: 0 });
  expect(ledger.messages.received).toBe(0);
  expect(await countOf('old-3')).toBe(TIMES);
  expect(await importFile(file)).toEqual([0, `${ROWS} rows: 0 stored, 0 refused, ${ROWS} imported before\n`]);
  expect(await server.settledLedger()).toEqual(ledger);
  expect(await countOf('old-3')).toBe(TIMES);
  expect((await server.get<{ items: object[] }>('/api/v1/alerts')).items).toEqual([]);
  const of = await server.get<Ledger>('/api/v1/ledger?device=old-3');
  expect(of.imported).toEqual({ received: TIMES, stored: TIMES, refused: 0 });
});

test('import - another value for the same time replaces the first; what is wrong is said with its line', async () => {
  const at = new Date(FROM).toISOString();
  const text = `device,ts,metric,value\nold-1,${at},pm25,7\nold-1,${at},pm25,8\nold-1,${at},noise,8\nnobody,${at},pm25,8\n`;
  const { status, report } = await post('format=csv&file=small.csv', text);
  expect(status).toBe(200);
  expect(report).toMatchObject({ rows: 4, stored: 2, refused: 2, repeated: 0 });
  expect(report.faults.map(({ reason, lines }) => [reason, lines])).toEqual([
    ['unknown-metric', [4]],
    ['unknown-device', [5]],
  ]);
  expect(await readingsOf('old-1', FROM, FROM + MINUTE)).toEqual([[FROM, 8]]);
  const entries = await server.get<{ items: { target: string; actor: string }[] }>(
    '/api/v1/audit?action=readings.import',
  );
  expect(entries.items[0]).toMatchObject({ target: '4 readings of small.csv', actor: 'admin' });
});

test('import - its own Parquet export, and line protocol, are read; what is neither is refused with why', async () => {
  const query = `device=old-2&from=${FROM}&to=${FROM + 100 * MINUTE}&format=parquet`;
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/readings?${query}`, { headers });
  const parquet = Buffer.from(await response.arrayBuffer());
  expect((await post('format=parquet', parquet)).report).toMatchObject({ rows: 100, stored: 100, refused: 0 });
  const file = join(server.data, 'export.parquet');
  writeFileSync(file, parquet);
  expect(await importFile(file)).toEqual([0, '100 rows: 0 stored, 0 refused, 100 imported before\n']);
  const line = `air-quality,device=old-2 pm25=5.5,no2=3i ${FROM}000000`;
  expect((await post('format=lines', line)).report).toMatchObject({ rows: 2, stored: 2 });
  expect((await readingsOf('old-2', FROM, FROM + 2 * MINUTE)).map(([ts]) => ts)).toEqual([FROM, FROM + MINUTE]);
  expect((await readingsOf('old-2', FROM, FROM + MINUTE))[0]![1]).toBe(5.5);
  const refused = await post('format=parquet', 'no parquet');
  expect(refused).toMatchObject({
    status: 400,
    report: { detail: expect.stringMatching(/cannot be read as Parquet/) },
  });
  expect((await post('', Buffer.from('x'))).report.detail).toMatch(/say what it is: \?format=csv\|lines\|parquet/);
});

test('recompute - stored readings are corrected anew, as often as one likes; no rule fires, and the ledger stays', async () => {
  const [before, ledger] = [await readingsOf('old-3', FROM, FROM + 100 * MINUTE), await server.settledLedger()];
  const until = new Date(FROM + 50 * MINUTE).toISOString();
  const calibration = { metric: 'pm25', gain: 2, from: new Date(FROM).toISOString(), until, certificate: 'C-1' };
  const device = await server.post<{ calibrations: { id: string }[] }>(
    '/api/v1/devices/old-3/calibrations',
    calibration,
  );
  const recompute = () => {
    printed.out = '';
    const url = `http://127.0.0.1:${server.httpPort}`;
    const span = ['--from', new Date(FROM).toISOString(), '--to', new Date(FROM + 100 * MINUTE).toISOString()];
    return run(['device', 'recompute', 'old-3', '--metric', 'pm25', ...span, '--url', url, '--key', ADMIN_KEY], {});
  };
  const corrected = before.map(([ts, value]) => [ts, ts < FROM + 50 * MINUTE ? value! * 2 : value]);
  for (const _ of ['once', 'again']) {
    expect(await recompute()).toBe(0);
    expect(printed.out).toBe('100 readings: 100 computed anew, 0 refused and left as they are\n');
    expect(await readingsOf('old-3', FROM, FROM + 100 * MINUTE)).toEqual(corrected);
  }
  const raw = `device=old-3&metric=pm25.raw&from=${FROM}&to=${FROM + DEVICES * TIMES * MINUTE}`;
  const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?${raw}`);
  expect(series[0]!.points).toEqual(before.slice(0, 50));
  const path = `/api/v1/devices/old-3/calibrations/${device.calibrations[0]!.id}`;
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  await fetch(`http://127.0.0.1:${server.httpPort}${path}`, { method: 'DELETE', headers });
  expect(await recompute()).toBe(0);
  expect(await readingsOf('old-3', FROM, FROM + 100 * MINUTE)).toEqual(before);
  expect(await server.settledLedger()).toEqual(ledger);
  expect((await server.get<{ items: object[] }>('/api/v1/alerts')).items).toEqual([]);
  const entries = await server.get<{ items: { target: string }[] }>('/api/v1/audit?action=readings.recompute');
  expect(entries.items.map(({ target }) => target)).toEqual(Array(3).fill('100 readings of pm25 of old-3'));
});

test('recompute - of what a device replaced, before a calibration and after it, the newest value is corrected', async () => {
  const [{ secret }] = (await server.post<{ secret: string }[]>('/api/v1/devices', [
    { id: 'live-1', profile: 'air-quality', district: 'old-town' },
  ])) as [{ secret: string }];
  const at = Date.now() - 10 * MINUTE;
  const send = async (minute: number, pm25: number) => {
    const url = `http://127.0.0.1:${server.httpPort}/ingest/live-1`;
    const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ ts: at + minute * MINUTE, metrics: { pm25 } });
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(200);
  };
  const calibrate = (gain: number) =>
    server.post('/api/v1/devices/live-1/calibrations', { metric: 'pm25', gain, from: new Date(at).toISOString() });
  const recompute = () =>
    server.post<{ stored: number }>('/api/v1/devices/live-1/recompute', {
      metric: 'pm25',
      from: new Date(at).toISOString(),
    });
  const values = async (metric: string) => {
    await server.settledLedger('live-1');
    const query = `device=live-1&metric=${metric}&from=${at}&to=${Date.now()}`;
    const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?${query}`);
    return series[0]?.points.map(([, value]) => value);
  };
  for (const minute of [0, 1]) for (const value of [10, 12]) await send(minute, value);
  await server.settledLedger('live-1');
  await calibrate(2);
  await send(1, 15);
  expect([await values('pm25'), await values('pm25.raw')]).toEqual([[12, 30], [15]]);
  const ledger = await server.settledLedger('live-1');
  expect(await recompute()).toMatchObject({ stored: 2, refused: 0 });
  expect([await values('pm25'), await values('pm25.raw')]).toEqual([
    [24, 30],
    [12, 15],
  ]);
  await calibrate(3);
  await send(0, 13);
  expect(await recompute()).toMatchObject({ stored: 2, refused: 0 });
  expect([await values('pm25'), await values('pm25.raw')]).toEqual([
    [39, 45],
    [13, 15],
  ]);
  const { readings } = await server.settledLedger('live-1');
  expect(readings).toMatchObject({ received: ledger.readings.received + 1, duplicate: 0 });
});

test('import - rules take it where somebody asks for that: its readings open a ticket, and without it they do not', async () => {
  const bins = ['bin-asked', 'bin-quiet'].map((id) => ({ id, profile: 'waste-bin', district: 'old-town' }));
  await server.post('/api/v1/devices', bins);
  const rowOf = (id: string) =>
    `device,ts,metric,value\n${id},${new Date(Date.now() - MINUTE).toISOString()},fill,97\n`;
  expect((await post('format=csv', rowOf('bin-quiet'))).report).toMatchObject({ stored: 1 });
  const file = join(server.data, 'asked.csv');
  writeFileSync(file, rowOf('bin-asked'));
  expect((await importFile(file, '--rules'))[0]).toBe(0);
  const groups = async () => (await server.all<Ticket>('/api/v1/tickets')).map(({ rule, group }) => `${rule} ${group}`);
  await until(async () => (await groups()).length > 0, 'a ticket');
  await server.settledLedger();
  expect(await groups()).toEqual(['bin-full bin-asked']);
});
