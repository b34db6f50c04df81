import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pageCsp } from '../../../../api/edge/index.ts';
import { ADMIN, openApi, type TestApi } from '../../../kit/api/kit.ts';
import { rawClient } from '../../../kit/api/raw.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
  api.incidents(1);
});
afterAll(() => api.stop());

/** What every response has, in lower case. */
const EVERYWHERE = [
  /^content-security-policy: default-src 'none'.*frame-ancestors 'none'/m,
  /^cross-origin-opener-policy: same-origin/m,
  /^cross-origin-resource-policy: /m,
  /^permissions-policy: .*geolocation=\(\)/m,
  /^referrer-policy: no-referrer/m,
  /^x-content-type-options: nosniff/m,
  /^x-frame-options: deny/m,
];

/** Sends a request as it is written and returns the head of the response. */
async function headOf(lines: readonly string[]): Promise<string> {
  const client = rawClient(api.port, [...lines, '']);
  await client.until(/\r\n\r\n/);
  client.socket.destroy();
  return client.text().split('\r\n\r\n')[0]!.toLowerCase();
}

const get = (path: string, ...more: string[]) => [`GET ${path} HTTP/1.1`, 'host: evil.example', ...more];
const KEYED = `authorization: Bearer ${ADMIN}`;

test.each([
  ['a page of JSON', get('/api/v1/tickets', KEYED), 200],
  ['a request without a key', get('/api/v1/tickets'), 401],
  ['a wrong key', get('/api/v1/tickets', 'authorization: Bearer wrong'), 401],
  ['an address that is not there', get('/nothing'), 404],
  ['an address that cannot be read', get('/api/v1/tickets/%ff', KEYED), 400],
  ['a parameter that is too long', get(`/api/v1/tickets/${'x'.repeat(300)}`, KEYED), 400],
  ['a mistake in the query', get('/api/v1/tickets?limit=0', KEYED), 400],
  ['a stream of events', get('/api/v1/events', KEYED, 'accept: text/event-stream'), 200],
  ['a page of the console', get('/'), 200],
  ['a script of the documentation', get('/docs.js'), 200],
  ['Open311', get('/open311/discovery.json'), 200],
  ['an error of Open311', get('/open311/v2/requests/nope.xml'), 404],
  ['open data', get('/public/oversight.json'), 200],
  ['headers that are too large', get('/health', `x-large: ${'x'.repeat(20_000)}`), 431],
  ['what is not HTTP', ['\u0016\u0003\u0001 this is TLS'], 400],
  ['an upgrade to another protocol', get('/health', 'connection: upgrade', 'upgrade: h2c'), 200],
  ['a WebSocket elsewhere', get('/elsewhere', 'connection: upgrade', 'upgrade: websocket'), 404],
])('headers - %s has those of every response', async (_what, lines, status) => {
  const head = await headOf(lines);
  expect(head.split('\r\n')[0]).toContain(` ${status} `);
  for (const pattern of EVERYWHERE) expect(head).toMatch(pattern);
  expect(head).not.toContain('strict-transport-security');
  expect(head).not.toMatch(/^(server|x-powered-by):/m);
});

test('headers - a page of the console may run its own scripts and nothing else', async () => {
  const head = await headOf(get('/'));
  expect(head).toMatch(/script-src 'self'; style-src 'self' 'nonce-[\w+/=]{20,}'; connect-src 'self'/);
  expect(head).not.toContain('unsafe');
});

test('headers - browsers keep to https where people come by it', async () => {
  const secure = await openApi({ edge: { https: true } });
  const response = await secure.fetch('/health', { key: null });
  expect(response.headers.get('strict-transport-security')).toMatch(/^max-age=\d{8}/);
  await secure.stop();
});

describe('the Host of a request', () => {
  test.each([
    '/open311/discovery.json',
    '/open311/v2/requests.json',
    '/openapi.json',
    '/asyncapi.json',
    '/nothing',
    '/api/v1/tickets',
    '/public/tickets.geojson',
  ])('%s does not repeat it', async (path) => {
    const lines = get(path, 'x-forwarded-host: evil.example', 'x-forwarded-proto: javascript', 'connection: close');
    const text = await rawClient(api.port, [...lines, '']).closed;
    expect(text).toMatch(/^HTTP\/1.1 \d/);
    expect(text).not.toContain('evil.example');
    expect(text).not.toContain('javascript:');
  });
});

test('a page may ask no other host; where the city names tiles for its maps, that host and no other', () => {
  expect(pageCsp('n', null)).not.toMatch(/https?:/);
  const policy = pageCsp('n', 'https://tiles.example:8443/{z}/{x}/{y}.png');
  expect(policy).toContain("connect-src 'self' https://tiles.example:8443;");
  expect(policy).toContain("img-src 'self' data: blob: https://tiles.example:8443;");
  expect(policy.match(/https?:/g)).toHaveLength(2);
});
