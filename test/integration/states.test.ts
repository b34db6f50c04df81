import { appendFileSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LatestReading, Page, Series, Ticket } from '../../domain/index.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';

const HOUR = 3_600_000;
const city = join(mkdtempSync(join(tmpdir(), 'lamppost-states-')), 'city');
cpSync('city', city, { recursive: true });
const metrics = join(city, 'metrics.yaml');
const valve = (values: string) => `valve: { title: { en: Valve, zh: 阀门 }, kind: state, values: ${values} }\n`;
appendFileSync(metrics, valve('[open, closed, fault]'));
appendFileSync(metrics, 'firmware: { title: { en: Firmware, zh: 固件 }, kind: text }\n');
appendFileSync(
  join(city, 'profiles.yaml'),
  'valve:\n  title: { en: Valve, zh: 阀门 }\n  metrics: [valve, firmware]\n  interval: 1h\n  quality: true\n',
);
const RULE = `id: valve-odd
title: { en: "The valve is {{value}}", zh: "阀门状态：{{value}}" }
when: { metric: valve, is_not: closed }
severity: high
ticket: { service: flood }
`;
const service = /^([a-z0-9-]+):/m.exec(readFileSync(join(city, 'services.yaml'), 'utf8'))![1]!;
writeFileSync(join(city, 'rules', 'valve-odd.yaml'), RULE.replace('flood', service));

const server = new ServerProcess(undefined, { LAMPPOST_CITY: city });
/** The start of an hour that is over. */
const from = Math.floor(Date.now() / HOUR) * HOUR - 3 * HOUR;
let password = '';

beforeAll(async () => {
  await server.start();
  const registered = { id: 'valve-1', profile: 'valve', district: 'old-town' };
  ({ secret: password } = await server.post<{ secret: string }>('/api/v1/devices', registered));
  const readings = [
    ['open', 0],
    [1, 15],
    ['opne', 20],
    ['open', 30],
    ['fault', 90, 'suspect'],
  ].map(([value, minute, quality = 'good']) => ({
    ...{ ts: from + Number(minute) * 60_000, metrics: { valve: value }, quality },
  }));
  const at = { host: '127.0.0.1', port: server.mqttPort, username: 'valve-1', clientId: 'valve-1', password };
  const client = await mqtt.connectAsync(at);
  await client.publishAsync('devices/valve-1/readings', JSON.stringify(readings), { qos: 1 });
  await client.endAsync();
  await server.settledLedger();
});
afterAll(() => server.kill());

const query = (more: string) =>
  `/api/v1/readings?device=valve-1&metric=valve&from=${from}&to=${from + 2 * HOUR}${more}`;
const VALUES = ['open', 'closed', 'fault'].map((name, code) => ({ code, name }));

test('states - names and codes are stored, and what the state does not have is refused with what it has', async () => {
  const { series } = await server.get<{ series: Series[] }>(query(''));
  expect(series).toMatchObject([{ metric: 'valve', unit: '1', values: VALUES }]);
  expect(series[0]!.points.map(([ts, value]) => [(ts - from) / 60_000, value])).toEqual([
    [0, 0],
    [15, 1],
    [30, 0],
    [90, 2],
  ]);
  const { items } = await server.get<Page<{ reason: string; detail: string }>>('/api/v1/quarantine');
  expect(items).toMatchObject([{ reason: 'unknown-value', detail: expect.stringContaining('did you mean "open"?') }]);
  const latest = await server.get<Page<LatestReading>>('/api/v1/readings/latest?device=valve-1');
  expect(latest.items.map(({ metric, value, state }) => [metric, value, state]).sort()).toEqual([
    ['valve', 2, 'fault'],
    ['valve.quality', 1, 'suspect'],
  ]);
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const csv = await fetch(`http://127.0.0.1:${server.httpPort}${query('&format=csv')}`, { headers });
  expect(
    (await csv.text())
      .trim()
      .split('\r\n')
      .map((line) => line.split(',').at(-1)),
  ).toEqual([...['value', 'open', 'closed', 'open', 'fault']]);
});

test('quality - what a message says of a value is kept beside it, by name, and is a state as any other', async () => {
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const quality = query('').replace('metric=valve', 'metric=valve.quality');
  const { series } = await server.get<{ series: Series[] }>(quality);
  expect(series).toMatchObject([
    { metric: 'valve.quality', unit: '1', points: [[from + 90 * 60_000, 1]], values: [{ name: 'good' }, {}, {}] },
  ]);
  const csv = await fetch(`http://127.0.0.1:${server.httpPort}${quality}&format=csv`, { headers });
  expect((await csv.text()).trim()).toMatch(/,suspect$/);
  const share = await server.get<{ series: Series[] }>(`${quality}&every=1h&fn=share&state=suspect`);
  expect(share.series[0]!.points).toEqual([[from + HOUR, 100]]);
});

test('states - queries count changes and time, and refuse what makes no sense with what does', async () => {
  const pointsOf = async (more: string) => {
    const { series } = await server.get<{ series: Series[] }>(query(`&every=1h${more}`));
    return series[0]!.points.map(([, value]) => value);
  };
  expect(await pointsOf('&fn=changes')).toEqual([2, 1]);
  expect(await pointsOf('&fn=share&state=open')).toEqual([75, 50]);
  expect(await pointsOf('&fn=share&state=closed')).toEqual([25, 0]);
  await expect(pointsOf('&fn=mean')).rejects.toThrow(
    /mean makes no sense for valve, which is a state; use last, changes/,
  );
  await expect(pointsOf('&fn=share&state=opn')).rejects.toThrow(/unknown state of valve \\"opn\\": did you mean/);
});

test('states - a rule about them opens a ticket that has their names', async () => {
  const { items } = await server.get<Page<Ticket>>('/api/v1/tickets');
  expect(items).toMatchObject([
    {
      rule: 'valve-odd',
      title: 'The valve is open',
      titleZh: '阀门状态：open',
      evidence: { window: { op: 'is_not', states: ['closed'], state: 'open', threshold: null } },
    },
  ]);
});

test('states - a reload that gives a name another code is refused, and one that adds a value is not', async () => {
  const text = readFileSync(metrics, 'utf8');
  writeFileSync(metrics, text.replace('[open, closed, fault]', '[fault, open, closed]'));
  await expect(server.post('/api/v1/city/reload')).rejects.toThrow(/the code of open was 0 and would be 1/);
  writeFileSync(metrics, text.replace('[open, closed, fault]', '[open, closed, fault, half]'));
  expect(await server.post('/api/v1/city/reload')).toMatchObject({ changed: true });
});

test('states - so is a start over a folder that was changed while the server was down', async () => {
  await server.settledLedger();
  await server.kill();
  const text = readFileSync(metrics, 'utf8');
  writeFileSync(metrics, text.replace('[open, closed, fault, half]', '[fault, open, closed, half]'));
  await expect(server.start()).rejects.toThrow(/the code of open was 0 and would be 1/);
  writeFileSync(metrics, text);
  await server.start();
});

test('texts - are kept and shown as they came: points, CSV, the newest, live messages, imports, over a crash', async () => {
  const viewer = await server.post<{ id: string; secret: string }>('/api/v1/keys', { name: 'v', role: 'viewer' });
  const host = { host: '127.0.0.1', port: server.mqttPort };
  const watching = await mqtt.connectAsync({ ...host, username: viewer.id, password: viewer.secret });
  const live: string[] = [];
  watching.on('message', (_, payload) => live.push(String(payload)));
  await watching.subscribeAsync('live/#');
  const client = await mqtt.connectAsync({ ...host, username: 'valve-1', clientId: 'valve-1', password });
  const readings = ['v1.10', 'v1.9, "rc"', 1.9].map((firmware, i) => ({
    ts: from + i * 60_000,
    metrics: { firmware },
  }));
  await client.publishAsync('devices/valve-1/readings', JSON.stringify(readings), { qos: 1 });
  await client.endAsync();
  await server.settledLedger();
  await expect.poll(() => live.map((one) => JSON.parse(one).metrics.firmware)).toEqual(['v1.10', 'v1.9, "rc"']);
  await watching.endAsync();
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const file = `ts,device,firmware\n${from + 3 * 60_000},valve-1,v2.0\n`;
  const url = `http://127.0.0.1:${server.httpPort}`;
  const imported = await fetch(`${url}/api/v1/import?format=csv`, { method: 'POST', headers, body: file });
  expect(await imported.json()).toMatchObject({ stored: 1, refused: 0 });
  await server.kill();
  await server.start();

  const texts = query('').replace('metric=valve', 'metric=firmware');
  const { series } = await server.get<{ series: Series[] }>(texts);
  const nameOf = new Map(series[0]!.values!.map(({ code, name }) => [code, name]));
  expect(series[0]!.points.map(([, value]) => nameOf.get(value!))).toEqual(['v1.10', 'v1.9, "rc"', 'v2.0']);
  const csv = await fetch(`http://127.0.0.1:${server.httpPort}${texts}&format=csv`, { headers });
  expect((await csv.text()).split('\r\n').map((line) => line.split('Z,').at(-1))).toEqual([
    'device,metric,unit,ts,value',
    ...['v1.10', '"v1.9, ""rc"""', 'v2.0', ''],
  ]);
  const latest = await server.get<Page<LatestReading>>('/api/v1/readings/latest?device=valve-1&metric=firmware');
  expect(latest.items).toMatchObject([{ metric: 'firmware', state: 'v2.0' }]);
  const counted = await server.get<{ series: Series[] }>(`${texts}&every=1h&fn=count`);
  expect(counted.series[0]!.points).toEqual([[from, 3]]);
  for (const fn of ['mean', 'max', 'changes'])
    await expect(server.get(`${texts}&every=1h&fn=${fn}`), fn).rejects.toThrow(
      /makes no sense for firmware, which is a text; use last, first or count/,
    );
  const { items } = await server.get<Page<{ reason: string; detail: string }>>('/api/v1/quarantine');
  expect(items).toContainEqual(
    expect.objectContaining({ reason: 'wrong-shape', detail: '1.9 found; firmware is a text' }),
  );
});
