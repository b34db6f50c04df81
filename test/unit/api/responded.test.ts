import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ADMIN, openApi, type TestApi } from '../../kit/api/kit.ts';
import { until } from '../../kit/wait.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.stop());
beforeEach(() => {
  for (const one of [api.responded, api.queried]) one.length = 0;
});

const AUTHORIZED = { authorization: `Bearer ${ADMIN}` };
const ask = (path: string, init: RequestInit = {}) => fetch(api.base + path, { headers: AUTHORIZED, ...init });

/** What is counted of requests, once their responses have left. */
async function counted(...requests: readonly Promise<Response>[]) {
  for (const response of await Promise.all(requests)) await response.text();
  await until(() => api.responded.length >= requests.length, 'the responses');
  for (const { seconds } of api.responded) expect(seconds).toBeGreaterThan(0);
  return api.responded.map(({ route, method, status }) => `${method} ${route} ${status}`).toSorted();
}

test('responses - are counted by the template of their route, also those that are refused', async () => {
  const found = await counted(
    ask('/api/v1/devices/d1'),
    ask('/api/v1/devices/nobody'),
    ask('/api/v1/devices/d1', { headers: {} }),
    ask('/health', { headers: {} }),
  );
  expect(found).toEqual([
    'GET /api/v1/devices/:id 200',
    'GET /api/v1/devices/:id 401',
    'GET /api/v1/devices/:id 404',
    'GET /health 200',
  ]);
});

test('responses - what clients make up is no label: addresses without a route are one', async () => {
  const made = Array.from({ length: 5 }, (_, i) => ask(`/made/up/${i}`));
  expect(await counted(...made, ask('/health', { method: 'DELETE' }))).toEqual([
    ...Array.from({ length: 5 }, () => 'any none 404'),
    'any none 405',
  ]);
});

test('responses - event streams, which last as long as their readers, are not among them', async () => {
  const stream = new AbortController();
  const headers = { ...AUTHORIZED, accept: 'text/event-stream' };
  await ask('/api/v1/events', { headers, signal: stream.signal });
  stream.abort();
  expect(await counted(ask('/health'))).toEqual(['GET /health 200']);
});

test('queries - each is counted once', async () => {
  await (await ask('/api/v1/readings?device=d1')).text();
  await (await ask('/api/v1/readings?device=d1&format=csv')).text();
  expect(api.queried).toHaveLength(2);
  expect((await ask('/api/v1/readings?from=now')).status).toBe(400);
  expect(api.queried).toHaveLength(2);
});
