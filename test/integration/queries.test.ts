import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDuckdbHistory } from '../../history/index.ts';
import { columnsOf, tableOf } from '../kit/history/query-reference.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';

const DAY = 86_400_000;
const FROM = Math.floor((Date.now() - 20 * DAY) / DAY) * DAY;
const SECONDS = 500_000;
/** One point a second, most of them gaps: as much as a viewer may ask for. */
const MAXIMAL = `/api/v1/readings?device=old&every=1s&fill=null&maxPoints=${SECONDS}&from=${FROM}&to=${FROM + SECONDS * 1_000}`;
const ROWS = 100_000;

const data = mkdtempSync(join(tmpdir(), 'lamppost-queries-'));
const server = new ServerProcess(data);
let viewer: string;
let secret: string;

beforeAll(async () => {
  const metrics = tableOf();
  const history = createDuckdbHistory({ path: join(data, 'history.duckdb'), metrics, unitOf: () => 'u' });
  await history.start();
  const device = { id: 'old', index: 0, profile: 'waste-bin', district: 'harbour' };
  const rows = Array.from({ length: ROWS }, (_, n) => ({ device, metric: 'fill', ts: FROM + n * 5_000, value: n / 3 }));
  await history.append([columnsOf(rows, metrics)], 0);
  await history.stop();
  await server.start();
  viewer = (await server.post<{ secret: string }>('/api/v1/keys', { name: 'v', role: 'viewer' })).secret;
  const bin = { id: 'bin-1', profile: 'waste-bin', district: 'harbour' };
  secret = (await server.post<{ secret: string }>('/api/v1/devices', bin)).secret;
});
afterAll(async () => {
  expect([await server.stop(), server.output.slice(-3_000)]).toEqual([0, expect.anything()]);
});

const ask = (path: string, key = viewer, init: RequestInit = {}) =>
  fetch(`http://127.0.0.1:${server.httpPort}${path}`, { ...init, headers: { authorization: `Bearer ${key}` } });

test('queries - while a viewer asks for the most it may, six times at once, everybody else is served', async () => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
    ...{ clientId: 'bin-1', username: 'bin-1', password: secret },
  });
  let running = true;
  const queries = Promise.all(
    Array.from({ length: 6 }, async () => {
      const response = await ask(MAXIMAL);
      return { status: response.status, wait: response.headers.get('retry-after'), text: await response.text() };
    }),
  ).finally(() => {
    running = false;
  });
  const served = { health: 0, ready: 0, metrics: 0, tickets: 0, query: 0, acknowledged: 0 };
  const count = async (name: keyof typeof served, work: () => Promise<unknown>) => {
    while (running) {
      await work();
      if (running) served[name]++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const ok = async (path: string, key?: string) => expect((await ask(path, key)).status, path).toBe(200);
  const small = `/api/v1/readings?device=old&from=${FROM}&to=${FROM + 60_000}`;
  await Promise.all([
    count('health', () => ok('/health')),
    count('ready', () => ok('/ready')),
    count('metrics', () => ok('/metrics', ADMIN_KEY)),
    count('tickets', () => ok('/api/v1/tickets', ADMIN_KEY)),
    count('query', () => ok(small, ADMIN_KEY)),
    count('acknowledged', () =>
      client.publishAsync('devices/bin-1/readings', JSON.stringify({ metrics: { fill: 10, battery: 90 } }), { qos: 1 }),
    ),
  ]);
  await client.endAsync();
  const found = await queries;
  for (const [name, times] of Object.entries(served)) expect(times, name).toBeGreaterThan(3);
  expect(found.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 429, 429]);
  for (const { status, wait, text } of found) {
    if (status === 429) expect(Number(wait)).toBeGreaterThan(0);
    else {
      const { series } = JSON.parse(text) as { series: { points: [number, number | null][] }[] };
      expect(series.map(({ points }) => points.length)).toEqual([SECONDS]);
      expect(series[0]!.points.filter(([, value]) => value !== null)).toHaveLength(ROWS);
    }
  }
});

test('queries - of clients that go away, the server forgets: as many again are served at once', async () => {
  for (let n = 0; n < 9; n++) {
    const request = get(`http://127.0.0.1:${server.httpPort}${MAXIMAL}`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const [response] = await once(request, 'response');
    expect((response as { statusCode: number }).statusCode).toBe(200);
    await once(response as NodeJS.EventEmitter, 'data');
    request.destroy();
  }
  expect((await ask(`/api/v1/readings?device=old&from=${FROM}&to=${FROM + 60_000}`, ADMIN_KEY)).status).toBe(200);
});
