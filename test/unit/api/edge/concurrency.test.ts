import Fastify, { type FastifyRequest } from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { limitConcurrency, spreadLists } from '../../../../api/edge/concurrency.ts';
import { createRefusals } from '../../../../api/index.ts';
import { respondWithProblems } from '../../../../api/problem.ts';
import { Paged } from '../../../../api/schema.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A server with one expensive route, whose requests stay open until they are let go, and one that is cheap. */
async function open(perHolder: number, total: number) {
  const app = Fastify({ forceCloseConnections: true });
  respondWithProblems(app);
  app.decorateRequest('holder', '');
  app.addHook('onRequest', async (request: FastifyRequest) => {
    request.holder = String(request.headers['x-key']);
  });
  const limits = { perHolder, total };
  limitConcurrency(app, createRefusals(), { queries: limits, lists: limits });
  const running: (() => void)[] = [];
  app.get('/expensive', { config: { concurrency: 'queries' } }, async () => {
    await new Promise<void>((resolve) => running.push(resolve));
    return 'done';
  });
  app.get('/cheap', async () => 'done');
  const base = await app.listen({ port: 0, host: '127.0.0.1' });
  stops.push(async () => {
    for (const end of running.splice(0)) end();
    await app.close();
  });
  const ask = (path: string, key: string, signal?: AbortSignal) =>
    fetch(base + path, { headers: { 'x-key': key }, ...(signal === undefined ? {} : { signal }) });
  const until = async (count: number) => {
    while (running.length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  return { ask, until, running };
}

test('api - a key has only so many expensive requests open; another key and cheap requests are served meanwhile', async () => {
  const { ask, until, running } = await open(2, 10);
  const first = [ask('/expensive', 'a'), ask('/expensive', 'a')];
  await until(2);
  const third = await ask('/expensive', 'a');
  expect([third.status, third.headers.get('retry-after')]).toEqual([429, '1']);
  expect(await third.text()).toContain('2 requests for queries of yours are open');
  expect((await ask('/cheap', 'a')).status).toBe(200);
  const other = ask('/expensive', 'b');
  await until(3);
  for (const end of running.splice(0)) end();
  expect((await Promise.all([...first, other])).map(({ status }) => status)).toEqual([200, 200, 200]);
});

test('api - an expensive request gives its place back when its client disconnects', async () => {
  const { ask, until } = await open(1, 10);
  const gone = new AbortController();
  const first = ask('/expensive', 'a', gone.signal).catch(() => null);
  await until(1);
  gone.abort();
  await first;
  // The server may see the end of the connection a moment later.
  void (async () => {
    while ((await ask('/expensive', 'a')).status === 429);
  })();
  await until(2);
});

test('api - where all places are taken by others, an expensive request is refused as busy', async () => {
  const { ask, until } = await open(2, 2);
  void ask('/expensive', 'a').catch(() => {});
  void ask('/expensive', 'a').catch(() => {});
  await until(2);
  const refused = await ask('/expensive', 'b');
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2']);
});

test('api - one list begins in each turn of the event loop, keys in turns, and nothing else waits for them', async () => {
  const app = Fastify({ forceCloseConnections: true });
  app.decorateRequest('holder', '');
  app.addHook('onRequest', async (request: FastifyRequest) => {
    request.holder = String(request.headers['x-key']);
  });
  spreadLists(app, createRefusals());
  const begun: string[] = [];
  let turn = 0;
  const look = () => {
    turn++;
    timer = setImmediate(look);
  };
  let timer = setImmediate(look);
  stops.push(async () => clearImmediate(timer));
  const handler = async ({ holder }: FastifyRequest) => {
    begun.push(`${holder} ${turn}`);
    return [];
  };
  app.setValidatorCompiler(() => () => true);
  app.get('/list', { schema: { querystring: Paged } }, handler);
  app.get('/one', async () => 'one');
  await app.ready();
  stops.push(() => app.close());
  const ask = (url: string, key: string) => app.inject({ url, headers: { 'x-key': key } });
  const lists = ['a', 'a', 'a', 'a', 'b'].map((key) => ask('/list', key));
  await ask('/one', 'c');
  expect(begun.length).toBeLessThan(5);
  await Promise.all(lists);
  expect(begun.map((line) => line.split(' ')[0])).toEqual(['a', 'a', 'b', 'a', 'a']);
  expect(new Set(begun.map((line) => line.split(' ')[1])).size).toBe(5);
});

test('api - lists of a key that wait beyond its bound are refused, others are not', async () => {
  const app = Fastify({ forceCloseConnections: true });
  respondWithProblems(app);
  app.decorateRequest('holder', '');
  app.addHook('onRequest', async (request: FastifyRequest) => {
    request.holder = String(request.headers['x-key']);
  });
  const refusals = createRefusals();
  spreadLists(app, refusals, { atOnce: 1, perHolder: 2, total: 10 });
  app.setValidatorCompiler(() => () => true);
  app.get('/list', { schema: { querystring: Paged } }, async () => []);
  await app.ready();
  stops.push(() => app.close());
  const ask = (key: string) => app.inject({ url: '/list', headers: { 'x-key': key } });
  const all = await Promise.all(['a', 'a', 'a', 'a', 'a', 'b'].map(ask));
  expect(all.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 429, 429, 200]);
  expect(refusals.counts().concurrency).toBe(2);
});
