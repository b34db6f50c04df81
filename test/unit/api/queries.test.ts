import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import Fastify from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { afterEach, expect, test } from 'vitest';
import type { ApiDeps } from '../../../api/deps.ts';
import { createQueries, type QueryLimits } from '../../../api/index.ts';
import { respondWithProblems, validate } from '../../../api/problem.ts';
import { readingRoutes } from '../../../api/routes/readings.ts';
import type { App } from '../../../api/routes/routes.ts';
import { type HistoryStore, LamppostError, type PointsSlice } from '../../../domain/index.ts';

type History = Pick<HistoryStore, 'read' | 'latest' | 'exportParquet'>;

const PLENTY = { perSecond: 1e9, burst: 1e9 };
const LIMITS: QueryLimits = { seconds: 30, points: PLENTY, work: PLENTY };
const SLICE = 8_192;
let app: App;
afterEach(() => app.close());

/** The routes over a history; the name of the key is the header `key`. */
async function serve(read: HistoryStore['read'], limits: QueryLimits = LIMITS, clock = { now: () => Date.now() }) {
  app = Fastify() as unknown as App;
  app.setValidatorCompiler(validate);
  app.setSerializerCompiler(serializerCompiler);
  respondWithProblems(app as unknown as Parameters<typeof respondWithProblems>[0]);
  app.decorateRequest('key', null);
  app.addHook('onRequest', async (request) => {
    const id = String(request.headers.key ?? 'k');
    request.key = { kind: 'key', id, name: 'k', role: 'viewer', department: null };
  });
  app.get('/health', async () => 'ok');
  const history = { read } as unknown as History;
  readingRoutes(app, {
    history,
    queries: createQueries(limits, clock),
    city: () => ({ metrics: new Map() }),
  } as unknown as ApiDeps);
  return app.listen({ host: '127.0.0.1', port: 0 });
}

function sliceOf(n: number, rows = SLICE): PointsSlice {
  return {
    series: [{ device: 'd', metric: 'm', unit: 'u', from: 0 }],
    ts: Float64Array.from({ length: rows }, (_, row) => n * rows + row),
    value: new Float64Array(rows).fill(1 / 3),
  };
}

/** A result of some slices, which counts those that were taken, and says how it ended. */
function result(slices: number) {
  const seen = { taken: 0, ended: false, aborted: false };
  const read: HistoryStore['read'] = async function* (_query, { signal } = {}) {
    signal?.addEventListener('abort', () => {
      seen.aborted = true;
    });
    try {
      for (let n = 0; n < slices; n++) {
        seen.taken++;
        yield sliceOf(n);
      }
    } finally {
      seen.ended = true;
    }
  };
  return { seen, read };
}

async function responseOf(url: string): Promise<IncomingMessage> {
  const [response] = await once(get(url), 'response');
  return response as IncomingMessage;
}

test.each(['json', 'csv'])('query - what a client does not take is not read from the history (%s)', async (format) => {
  const { seen, read } = result(10_000);
  const base = await serve(read);
  const response = await responseOf(`${base}/api/v1/readings?format=${format}`);
  response.pause();
  let before = -1;
  // Sockets hold some megabytes; then it stands still.
  await expect
    .poll(
      () => {
        const still = seen.taken === before;
        before = seen.taken;
        return still;
      },
      { interval: 200 },
    )
    .toBe(true);
  expect(seen.taken).toBeLessThan(500);
  expect(seen.ended).toBe(false);
  response.destroy();
  await expect.poll(() => seen.ended && seen.aborted).toBe(true);
});

test('query - other requests are served while a result of a million points is sent', async () => {
  const { read } = result(123);
  const base = await serve(read);
  let running = true;
  const text = fetch(`${base}/api/v1/readings`)
    .then((response) => response.text())
    .finally(() => {
      running = false;
    });
  let served = 0;
  while (running) {
    await (await fetch(`${base}/health`)).text();
    if (running) served++;
  }
  expect(served).toBeGreaterThan(20);
  const { series } = JSON.parse(await text) as { series: { points: unknown[] }[] };
  expect(series.map(({ points }) => points.length)).toEqual([123 * SLICE]);
});

test('query - an error before the first slice is a problem; after it, the connection is cut', async () => {
  let slices = 0;
  const base = await serve(async function* () {
    for (let n = 0; n < slices; n++) yield sliceOf(n);
    throw new LamppostError('history', 'the disk is gone');
  });
  const refused = await fetch(`${base}/api/v1/readings`);
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ code: 'history', detail: 'the disk is gone' });
  slices = 3;
  const cut = await fetch(`${base}/api/v1/readings`);
  expect(cut.status).toBe(200);
  await expect(cut.text()).rejects.toThrow();
});

test('query - points are charged to the key that read them: past its burst 429 says how long to wait', async () => {
  let now = 1_000_000;
  const limits = { ...LIMITS, points: { perSecond: 1_000, burst: SLICE } };
  const { read } = result(2);
  const base = await serve(read, limits, { now: () => now });
  const ask = async (key: string) => {
    const response = await fetch(`${base}/api/v1/readings`, { headers: { key } });
    await response.text().catch(() => {});
    return response;
  };
  expect((await ask('a')).status).toBe(200);
  const refused = await ask('a');
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '9']);
  expect((await ask('b')).status, 'another key').toBe(200);
  now += 8_192;
  expect((await ask('a')).status, 'at the bound').toBe(429);
  now += 1;
  expect((await ask('a')).status, 'past it').toBe(200);
});

test('query - time is charged to the key that took it', async () => {
  let now = 1_000_000;
  const limits = { ...LIMITS, work: { perSecond: 0.5, burst: 60 } };
  const base = await serve(
    async function* () {
      now += 70_000;
      yield sliceOf(0, 1);
    },
    limits,
    { now: () => now },
  );
  const ask = async () => {
    const response = await fetch(`${base}/api/v1/readings`);
    return [response.status, (await response.json()) as { detail?: string }] as const;
  };
  expect((await ask())[0]).toBe(200);
  expect(await ask()).toMatchObject([429, { code: 'limit', detail: expect.stringContaining('longer every') }]);
});

test('query - 1,000 names are taken, one more is refused', async () => {
  const base = await serve(result(0).read);
  const names = (count: number) => Array.from({ length: count }, () => 'd').join();
  expect((await fetch(`${base}/api/v1/readings?device=${names(1_000)}`)).status).toBe(200);
  const refused = await fetch(`${base}/api/v1/readings?metric=${names(1_001)}`);
  expect(refused.status).toBe(400);
  expect(((await refused.json()) as { detail: string }).detail).toContain('at most 1000 names');
});
