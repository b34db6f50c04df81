import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { acceptedEncoding, compressResponses } from '../../../../api/edge/compression.ts';
import { ADMIN, openApi, type TestApi } from '../../../kit/api/kit.ts';

test.each([
  ['br', 'br'],
  ['gzip, deflate', 'gzip'],
  ['gzip, deflate, br, zstd', 'br'],
  ['GZIP;q=1, BR;q=0.5', 'gzip'],
  ['br;q=0, gzip', 'gzip'],
  ['gzip;q=0, *', 'br'],
  ['*', 'br'],
  ['x-gzip', 'gzip'],
  ['gzip;q=0, br;q=0', null],
  ['*;q=0', null],
  ['identity, deflate', null],
  ['br;q=much', null],
  ['', null],
])('accept-encoding - "%s" prefers %s of what there is', (header, encoding) => {
  expect(acceptedEncoding(header)).toBe(encoding);
});

describe('the server', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await openApi();
    api.incidents(25);
    for (let i = 0; i < 20; i++) api.register(`p${i}`);
  });
  afterAll(() => api.stop());

  const get = (path: string, accepted: string, init: RequestInit & { key?: null } = {}) =>
    api.fetch(path, { ...init, headers: { 'accept-encoding': accepted, ...init.headers } });
  const lengthOf = ({ headers }: Response) => Number(headers.get('content-length'));

  test.each(['/api/v1/tickets', '/api/v1/devices?format=csv', '/public/oversight.json', '/openapi.json'])(
    'compresses %s for who accepts it, and it is the same text',
    async (path) => {
      const plain = await get(path, 'identity');
      expect([plain.headers.get('content-encoding'), plain.headers.get('vary')]).toEqual([
        null,
        expect.stringContaining('accept-encoding'),
      ]);
      const text = await plain.text();
      for (const encoding of ['br', 'gzip', 'br']) {
        const response = await get(path, encoding);
        expect(response.headers.get('content-encoding')).toBe(encoding);
        expect(response.headers.get('vary')).toBe(plain.headers.get('vary'));
        expect(lengthOf(response)).toBeLessThan(lengthOf(plain) / 2);
        expect(await response.text()).toBe(text);
      }
    },
  );

  test('sends a file of the console as it was packed, to be kept for a year; another name is a 404', async () => {
    const [path] = /\/assets\/[\w.-]+\.js/.exec(await (await get('/', 'identity', { key: null })).text())!;
    const plain = await get(path, 'identity', { key: null });
    const packed = await get(path, 'gzip', { key: null });
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect(packed.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(await packed.text()).toBe(await plain.text());
    for (const name of ['index.js', path.slice(8).toUpperCase(), `${path.slice(8)}.gz`, '..%2fstyle.css'])
      expect([name, (await get(`/assets/${name}`, 'identity', { key: null })).status]).toEqual([name, 404]);
  });

  test('leaves the version of a ticket as it is: it satisfies If-Match', async () => {
    const [ticket] = ((await (await get('/api/v1/tickets', 'br')).json()) as { items: { id: string }[] }).items;
    const path = `/api/v1/tickets/${ticket!.id}`;
    const said = { method: 'POST', headers: { 'content-type': 'application/json' } };
    await get(`${path}/comment`, 'br', { ...said, body: JSON.stringify({ note: 'n'.repeat(1_500) }) });
    const seen = await get(path, 'br, gzip');
    expect(lengthOf(seen)).toBeGreaterThan(1_500);
    const etag = seen.headers.get('etag')!;
    expect([seen.headers.get('content-encoding'), etag]).toEqual([null, expect.stringMatching(/^"\d+"$/)]);
    const headers = { ...said.headers, 'if-match': etag };
    const acted = await get(`${path}/acknowledge`, 'br', { ...said, headers, body: '{}' });
    expect([acted.status, acted.headers.get('etag')]).toEqual([200, `"${Number(etag.slice(1, -1)) + 1}"`]);
    expect((await get(`${path}/start`, 'br', { ...said, headers, body: '{}' })).status).toBe(412);
  });

  test('has one weak entity tag of a public document for all encodings; one that is known is not sent again', async () => {
    const path = '/public/oversight.json';
    const tags = await Promise.all(['identity', 'br', 'gzip'].map(async (one) => (await get(path, one)).headers));
    const etag = tags[0]!.get('etag')!;
    expect(tags.map((headers) => headers.get('etag'))).toEqual([etag, etag, etag]);
    expect(etag).toMatch(/^W\//);
    const known = await get(path, 'br', { key: null, headers: { 'if-none-match': etag } });
    expect([known.status, known.headers.get('vary'), await known.text()]).toEqual([304, 'accept-encoding', '']);
  });

  test('never compresses what a request that changes something returns, such as secrets', async () => {
    const devices = Array.from({ length: 20 }, (_, i) => ({ id: `secret-${i}`, profile: 'bin', district: 'east' }));
    const headers = { 'content-type': 'application/json' };
    const made = await get('/api/v1/devices', 'br, gzip', { method: 'POST', headers, body: JSON.stringify(devices) });
    expect([made.status, made.headers.get('content-encoding')]).toEqual([201, null]);
    expect(lengthOf(made)).toBeGreaterThan(1_024);
  });

  test('lets streams pass', async () => {
    const gone = new AbortController();
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${ADMIN}`, 'accept-encoding': 'br, gzip' };
    const events = await fetch(`${api.base}/api/v1/events`, { headers, signal: gone.signal });
    expect([events.status, events.headers.get('content-encoding')]).toEqual([200, null]);
    gone.abort();
    const readings = await get('/api/v1/readings?from=2023-11-14T00:00:00Z&to=2023-11-15T00:00:00Z', 'br, gzip');
    expect([readings.status, readings.headers.get('content-encoding')]).toEqual([200, null]);
  });
});

describe('the hook', () => {
  const MIB = 1024 * 1024;
  const LARGE = 'of the same '.repeat(200);

  /** A server of one route, which sends what it is given. */
  function serverOf(path: string, send: () => unknown, headers: Record<string, string> = {}, status = 200) {
    const app = Fastify();
    compressResponses(app);
    app.get(path, async (_request, reply) =>
      reply
        .code(status)
        .headers({ 'content-type': 'text/plain; charset=utf-8', ...headers })
        .send(send()),
    );
    return (method: 'GET' | 'HEAD' = 'GET', url = path) =>
      app.inject({ method, url, headers: { 'accept-encoding': 'br' } });
  }

  test.each([
    ['of 1 KiB', 'x'.repeat(1_024), {}],
    ['over 4 MiB', 'x'.repeat(4 * MIB + 1), {}],
    ['with an encoding already', LARGE, { 'content-encoding': 'gzip' }],
    ['with a strong entity tag', LARGE, { etag: '"1"' }],
    ['that is no text', LARGE, { 'content-type': 'image/png' }],
  ])('a response %s leaves as it is', async (_what, body, headers) => {
    const { rawPayload } = await serverOf('/a', () => body, headers)();
    expect(rawPayload.equals(Buffer.from(body))).toBe(true);
  });

  test.each([
    ['over 1 KiB', 'x'.repeat(1_025), {}],
    ['of 4 MiB', 'x'.repeat(4 * MIB), {}],
    ['of XML', LARGE, { 'content-type': 'text/xml; charset=utf-8' }],
    ['with a weak entity tag', LARGE, { etag: 'W/"1"' }],
    ['of characters with several bytes', '汉'.repeat(400), { 'content-type': 'application/geo+json' }],
  ])('a response %s is compressed', async (_what, body, headers) => {
    const { rawPayload } = await serverOf('/a', () => body, headers)();
    expect(brotliDecompressSync(rawPayload).toString()).toBe(body);
  });

  test.each([
    ['/auth/me', '/auth/me'],
    ['/public/requests/:token', '/public/requests/the-secret'],
    ['/public/follow/:secret', '/public/follow/the-secret'],
  ])('%s by %s is not compressed: its size says nothing of a secret', async (path, url) => {
    const { payload, headers } = await serverOf(path, () => LARGE)('GET', url);
    expect([payload, headers.vary]).toEqual([LARGE, undefined]);
  });

  test('an error is not compressed', async () => {
    expect((await serverOf('/a', () => LARGE, {}, 404)()).payload).toBe(LARGE);
  });

  test('HEAD has the headers of GET', async () => {
    const inject = serverOf('/a', () => LARGE);
    const [get, head] = [await inject(), await inject('HEAD')];
    expect(head.payload).toBe('');
    for (const name of ['content-encoding', 'content-length', 'vary']) {
      expect(get.headers[name], name).toBeDefined();
      expect(head.headers[name], name).toBe(get.headers[name]);
    }
  });

  test('what varies already varies by this, too', async () => {
    const { headers } = await serverOf('/a', () => LARGE, { vary: 'accept-language' })();
    expect(headers.vary).toBe('accept-language, accept-encoding');
  });

  test('of many at once, two are compressed and the others leave as they are, at once', async () => {
    const app = Fastify();
    compressResponses(app);
    const { promise: all, resolve } = Promise.withResolvers<void>();
    let arrived = 0;
    app.get('/a', async (_request, reply) => {
      if (++arrived === 10) resolve();
      await all;
      return reply.type('text/plain').send(LARGE);
    });
    const ask = () => app.inject({ url: '/a', headers: { 'accept-encoding': 'gzip' } });
    const responses = await Promise.all(Array.from({ length: 10 }, ask));
    const packed = responses.filter(({ headers }) => headers['content-encoding'] === 'gzip');
    expect(packed).toHaveLength(2);
    for (const { rawPayload } of packed) expect(gunzipSync(rawPayload).toString()).toBe(LARGE);
    expect(responses.filter(({ payload }) => payload === LARGE)).toHaveLength(8);
    expect((await ask()).headers['content-encoding']).toBe('gzip');
  });

  test('a document that is sent to many is compressed once', async () => {
    const document = Buffer.from(LARGE);
    const app = Fastify();
    compressResponses(app);
    const sent: unknown[] = [];
    app.addHook('onSend', async (_request, _reply, payload) => void sent.push(payload));
    app.get('/a', async (_request, reply) => reply.type('text/plain').send(document));
    for (let i = 0; i < 3; i++) await app.inject({ url: '/a', headers: { 'accept-encoding': 'br' } });
    expect(sent).toHaveLength(3);
    expect(new Set(sent).size).toBe(1);
    expect(sent[0]).not.toBe(document);
  });
});
