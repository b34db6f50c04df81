import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
  api.incidents(3);
});
afterAll(() => api.stop());

const json = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const device = (more: object = {}) => ({ id: 'new', profile: 'bin', district: 'east', ...more });
const GET: RequestInit = {};
const POST: RequestInit = { method: 'POST' };
const DELETE: RequestInit = { method: 'DELETE' };

/** What, request, status, and what the detail must say to be of use. */
const CASES: readonly (readonly [string, RequestInit, number, RegExp])[] = [
  ['/api/v1/devices', json(device({ id: 'has space' })), 400, /body\/id: an id has letters, digits/],
  ['/api/v1/devices', json(device({ id: 'x'.repeat(65) })), 400, /at most 64/],
  ['/api/v1/devices', json(device({ profile: 5 })), 400, /body\/profile: .*string/],
  ['/api/v1/devices', json(device({ nmae: 'x' })), 400, /unknown field "nmae": did you mean "name"/],
  ['/api/v1/devices', json(device({ location: { lat: 91, lon: 0 } })), 400, /body\/location\/lat: .*90/],
  ['/api/v1/devices', json([device(), device({ id: 'b', district: undefined })]), 400, /body\/1\/district: is missing/],
  ['/api/v1/devices', json([device(), device({ id: 'b b' })]), 400, /body\/1\/id: an id has/],
  ['/api/v1/devices', json([]), 400, /must have at least 1 items/],
  ['/api/v1/devices', json([device(), device()]), 409, /new/],
  ['/api/v1/devices', json([device(), device({ id: 'd1' })]), 409, /already registered: d1/],
  ['/api/v1/devices', json('null'), 400, /body\/: .*object/],
  ['/api/v1/devices', json('{"id"'), 400, /not valid JSON/],
  ['/api/v1/devices', json(''), 400, /empty/],
  ['/api/v1/devices', { ...json('x'), headers: { 'content-type': 'text/plain' } }, 415, /as application\/json/],
  ['/api/v1/devices', json(`"${'x'.repeat(9_000_000)}"`), 413, /too large/],
  ['/api/v1/devices?limit=0', GET, 400, /querystring\/limit: must be at least 1/],
  ['/api/v1/devices?limit=1001', GET, 400, /querystring\/limit: must be at most 1000/],
  ['/api/v1/devices?limit=many', GET, 400, /querystring\/limit: .*number/],
  ['/api/v1/devices/nobody', GET, 404, /no device "nobody"/],
  ['/api/v1/devices/nobody', DELETE, 404, /no device "nobody"/],
  ['/api/v1/devices/nobody/calibrations', json({ metric: 'a', offset: 1 }), 404, /no device "nobody"/],
  ['/api/v1/devices/d1/calibrations', json({ metric: 'aa', offset: 1 }), 400, /device d1: .*metric "aa".*"a"/],
  ['/api/v1/devices/d1/calibrations', json({ metric: 'a' }), 400, /write offset, gain or points/],
  ['/api/v1/devices/d1/calibrations', json({ metric: 'a', gain: 0 }), 400, /body\/gain: .*gain of 0/],
  [
    '/api/v1/devices/d1/calibrations',
    json({ metric: 'a', offset: 1, from: 'now' }),
    400,
    /body\/from: "now" is not a moment.*such as 2026/,
  ],
  ['/api/v1/devices/d1/calibrations', json({ metric: 'a', points: [[1, 1]] }), 400, /body\/points: .*at least 2/],
  [
    '/api/v1/devices/d1/calibrations',
    json({
      metric: 'a',
      points: [
        [2, 1],
        [1, 2],
      ],
    }),
    400,
    /growing order/,
  ],
  [
    '/api/v1/devices/d1/calibrations',
    json({
      metric: 'a',
      offset: 1,
      points: [
        [1, 1],
        [2, 2],
      ],
    }),
    400,
    /either/,
  ],
  ['/api/v1/devices/d1/calibrations/1-0', DELETE, 404, /no calibration "1-0"/],
  ['/api/v1/devices/nobody/rotate', POST, 404, /no device "nobody"/],
  ['/api/v1/readings?from=253402300800000', GET, 400, /querystring\/from: "253402300800000" is neither ISO 8601/],
  ['/api/v1/readings?from=yesterday', GET, 400, /querystring\/from: "yesterday" is neither ISO 8601/],
  ['/api/v1/readings?from=room 1', GET, 400, /querystring\/from: "room 1" is neither/],
  ['/api/v1/readings?from=2026-02-30T00:00:00Z', GET, 400, /querystring\/from: "2026-02-30T00:00:00Z" is neither/],
  ['/api/v1/readings?to=2026-01-31T12:00:00', GET, 400, /querystring\/to: "2026-01-31T12:00:00" is neither/],
  ['/api/v1/readings?from=10&to=5', GET, 400, /from \(1970-01-01T00:00:00.010Z\) is after to/],
  ['/api/v1/readings?from=1&from=2', GET, 400, /querystring\/from/],
  ['/api/v1/readings?every=5', GET, 400, /"5" is not an interval; write 30s/],
  ['/api/v1/readings?every=0s', GET, 400, /"0s" is not an interval/],
  ['/api/v1/readings?every=99999999999d', GET, 400, /is not an interval/],
  ['/api/v1/readings?fn=median', GET, 400, /"median" is not possible here.*mean/],
  ['/api/v1/readings?from=0&maxPoints=3', GET, 400, /more than 3 points; name fewer devices/],
  ['/api/v1/quarantine?after=abc', GET, 400, /after: "abc" is not the next of a page/],
  ['/api/v1/quarantine?reason=bad', GET, 400, /querystring\/reason: "bad" is not possible here; known: malformed/],
  ['/api/v1/quarantine/abc', GET, 404, /"abc" in quarantine/],
  ['/api/v1/quarantine/9999-0', GET, 404, /"9999-0" in quarantine/],
  ['/api/v1/quarantine/replay', json({ ids: [] }), 400, /body\/ids: .*at least 1 items/],
  ['/api/v1/quarantine/replay', json({ reason: 'x' }), 400, /body\/reason: .*malformed/],
  ['/api/v1/quarantine/replay', json({ idz: ['1-0'] }), 400, /idz/],
  ['/api/v1/quarantine/discard', json({ ids: ['1-0'] }), 400, /body\/note/],
  ['/api/v1/quarantine/replays/x', GET, 404, /no replay "x"/],
  ['/api/v1/rules/nope', GET, 404, /no rule "nope"/],
  ['/api/v1/rules/nope/history', GET, 404, /no rule "nope"/],
  ['/api/v1/rules/nope', DELETE, 404, /no rule "nope"/],
  ['/api/v1/rules', json({ text: 5 }), 400, /text/],
  ['/api/v1/rules', json('[]'), 400, /body/],
  ['/api/v1/rules?limit=0', GET, 400, /limit/],
  ['/api/v1/alerts/nope/d1', GET, 404, /no alert of rule "nope" for "d1"/],
  ['/api/v1/devices/nobody/explain', GET, 404, /no device "nobody"/],
  ['/api/v1/rules/try', json({ rule: 'r1' }), 400, /device/],
  ['/api/v1/rules/backtest', json({ rule: 'r1', from: 'x' }), 400, /from.*neither ISO 8601/],
  ['/api/v1/alerts?state=loud', GET, 400, /querystring\/state: .*pending, firing/],
  ['/api/v1/alerts?severity=loud', GET, 400, /querystring\/severity: .*critical/],
  ['/api/v1/alerts?after=abc', GET, 400, /after: "abc" is not the next of a page/],
  ['/api/v1/tickets?after=abc', GET, 400, /after: "abc" is not the next of a page/],
  [
    '/api/v1/tickets?status=lost',
    GET,
    400,
    /querystring\/status\/0: "lost" is not possible here; known: open, acknowledged/,
  ],
  ['/api/v1/tickets/nope', GET, 404, /no ticket "nope"/],
  ['/api/v1/tickets/%00', GET, 404, /no ticket/],
  ['/api/v1/tickets/%ff', GET, 400, /%ff/],
  ['/api/v1/events?after=abc', GET, 400, /after: .*"abc"/],
  ['/api/v1/events?after=-5', GET, 400, /after: .*"-5"/],
  ['/api/v1/events?after=1.5', GET, 400, /after: .*"1.5"/],
  ['/api/v1/events?type=x', GET, 400, /querystring\/type\/0: .*city.lamppost.alert.firing/],
  ['/api/v1/ledger?device=nobody', GET, 404, /device "nobody"/],
  ['/api/v1/ledger?device=a&device=b', GET, 400, /querystring\/device/],
  ['/api/v1/keys', json({ name: '', role: 'viewer' }), 400, /body\/name/],
  ['/api/v1/keys', json({ name: 'x', role: 'boss' }), 400, /body\/role: .*operator/],
  ['/api/v1/keys', json({ name: 'x', role: 'viewer', secret: 'mine' }), 400, /secret/],
  ['/api/v1/keys/nope', DELETE, 404, /no key "nope"/],
  ['/api/v1/city/reload', POST, 400, /metrics\.yaml:1:1/],
  ['/schemas/nope.json', GET, 404, /no schema "nope"; there are city.lamppost.alert.firing/],
  ['/api/v1/nothing', GET, 404, /there is no GET \/api\/v1\/nothing/],
  ['/api/v1/device', GET, 404, /there is no GET \/api\/v1\/device: did you mean "\/api\/v1\/devices"\?/],
  ['/docs/', GET, 404, /did you mean "\/docs"\?/],
  ['/api/v1/tickets?statsu=open', GET, 400, /unknown parameter "statsu": did you mean "status"\?/],
  ['/api/v1/devices/d1?limit=1', GET, 400, /unknown parameter "limit": this takes none/],
  ['/api/v1/devices', { method: 'PUT' }, 405, /does not take PUT; it takes GET, HEAD, POST/],
  ['/ingest/d1', json('{}'), 401, /secret of device "d1"/],
  ['/ingest/http/nope', json('{}'), 401, /secret of/],
  ['/ingest/d1', json('x'.repeat(5_000)), 401, /secret of device "d1"/],
];

async function expectProblem(response: Response, status: number, path: string): Promise<{ detail: string }> {
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  const body = (await response.json()) as { detail: string; title: string };
  expect(body).toMatchObject({ type: 'about:blank', status, instance: path, title: expect.stringMatching(/^[A-Z]/) });
  return body;
}

describe('problem details (RFC 9457)', () => {
  test.each(CASES.map((one) => [one[1].method ?? 'GET', ...one] as const))(
    '%s %s',
    async (_method, path, request, status, useful) => {
      const sent = new URL(path, api.base);
      const { detail } = await expectProblem(await api.fetch(path, request), status, sent.pathname + sent.search);
      expect(detail).toMatch(useful);
    },
  );

  test('bad input changes nothing', async () => {
    const { items } = (await (await api.fetch('/api/v1/devices')).json()) as { items: { id: string }[] };
    expect(items.map(({ id }) => id)).toEqual(['d1', 'd2']);
  });

  test('what is not HTTP gets a response and is disconnected, and the server continues', async () => {
    const socket = connect(api.port, '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.end('\u0016\u0003\u0001 this is TLS\r\n\r\n');
    await closed;
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 400 /);
    expect((await api.fetch('/health')).status).toBe(200);
  });
});

interface OpenApi {
  readonly paths: Record<string, Record<string, unknown>>;
}

/** Routes that need no key of the API. */
const OPEN = [
  'GET /health',
  'GET /ready',
  'GET /public/oversight.json',
  'GET /public/city.json',
  'GET /public/history',
  'GET /public/readings.csv',
  'GET /public/readings.geojson',
  'GET /public/tickets.geojson',
  // The link is the proof.
  'GET /public/requests/{token}',
  'POST /public/requests/{token}/comment',
  'POST /public/requests/{token}/not-fixed',
  'POST /public/requests/{token}/rate',
  'POST /public/requests/{token}/follow',
  'GET /public/follow/{secret}',
  'POST /public/follow/{secret}/confirm',
  'POST /public/follow/{secret}/end',
  'GET /schemas/{name}.json',
  'POST /ingest/http/{format}',
  'POST /ingest/sensor-community',
  'POST /ingest/{device}',
  // By a claim code.
  'POST /claim',
  // By the reporter's token.
  'POST /api/v1/tickets/{id}/rate',
  // GeoReport v2 has responses of its own: test/unit/api/open311.
  'GET /open311/discovery.{format}',
  'GET /open311/v2/discovery.{format}',
  'GET /open311/v2/services.{format}',
  'GET /open311/v2/services/{code}.{format}',
  'GET /open311/v2/requests.{format}',
  'POST /open311/v2/requests.{format}',
  'GET /open311/v2/requests/{id}.{format}',
  'GET /open311/v2/tokens/{token}.{format}',
  'GET /open311/media/{name}',
  'GET /open311/v2/servicerequestupdates.{format}',
  // The key is in the form.
  'POST /open311/v2/servicerequestupdates.{format}',
  // They let people in.
  'GET /auth/methods',
  'POST /auth/login',
  'POST /auth/link',
  'GET /auth/oidc/start',
  'GET /auth/oidc/callback',
];
async function routes(): Promise<(readonly [method: string, path: string])[]> {
  const { paths } = (await (await api.fetch('/openapi.json', { key: null })).json()) as OpenApi;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path] as const),
  );
}

describe('keys and roles (promise 7)', () => {
  test('without a valid key, every route but the open ones returns 401 and says how to send one', async () => {
    const all = await routes();
    for (const [method, path] of all) {
      if (OPEN.includes(`${method} ${path}`)) continue;
      const url = path.replace(/\{\w+\}/g, 'x');
      for (const key of [null, 'nonsense', '', '%00', 'x'.repeat(5_000)]) {
        const response = await api.fetch(url, { method, key });
        expect(response.headers.get('www-authenticate'), `${method} ${path}`).toContain('Bearer');
        expect((await expectProblem(response, 401, url)).detail).toContain('Authorization: Bearer <key>');
      }
    }
    for (const route of OPEN) expect(all.map((one) => one.join(' '))).toContain(route);
  });
});

test('problems - every operation of the API, and all open data, refuses a parameter that it does not have', async () => {
  const document = (await (await api.fetch('/openapi.json', { key: null })).json()) as {
    paths: Record<string, object>;
  };
  const paths = Object.entries(document.paths);
  const open = paths.filter(([path]) => /^\/public\/(history|\w+\.\w+)$/.test(path));
  expect(open.map(([path]) => path).sort()).toEqual([
    '/public/city.json',
    '/public/history',
    '/public/oversight.json',
    '/public/readings.csv',
    '/public/readings.geojson',
    '/public/tickets.geojson',
  ]);
  const ours = [...paths.filter(([path]) => path.startsWith('/api/v1/')), ...open];
  expect(ours.length).toBeGreaterThan(40);
  for (const [path, methods] of ours) {
    for (const method of Object.keys(methods)) {
      const url = `${path.replace(/\{\w+\}/g, 'x')}?no-such-parameter=1`;
      const response = await api.fetch(url, { method: method.toUpperCase() });
      const { detail } = (await response.json()) as { detail: string };
      expect(`${response.status} ${detail}`, `${method} ${path}`).toMatch(/^400 unknown parameter "no-such-parameter"/);
    }
  }
});

test('problems - a method that an address does not take is 405, and Allow has those that it takes', async () => {
  for (const [path, allow] of [
    ['/api/v1/tickets/t1', 'GET, HEAD'],
    ['/api/v1/devices/d1', 'GET, HEAD, PATCH, DELETE'],
    ['/health', 'GET, HEAD'],
  ] as const) {
    const response = await api.fetch(path, { method: 'PUT' });
    const found = (response.headers.get('allow') ?? '').split(', ');
    expect([response.status, found.sort().join(', ')], path).toEqual([405, allow.split(', ').sort().join(', ')]);
  }
});

test('problems - so is it at every address of the document, those of Open311 among them', async () => {
  const { paths } = (await (await api.fetch('/openapi.json', { key: null })).json()) as {
    paths: Record<string, object>;
  };
  const of = (url: string) =>
    Object.entries(paths).flatMap(([path, methods]) =>
      new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`).test(url) ? Object.keys(methods) : [],
    );
  for (const [path, methods] of Object.entries(paths)) {
    const url = path.replace('{format}', 'json').replace(/\{\w+\}/g, 'x');
    const unknown = ['PUT', 'PATCH', 'DELETE'].find((one) => !of(url).includes(one.toLowerCase()))!;
    const response = await api.fetch(url, { method: unknown });
    const allowed = (response.headers.get('allow') ?? '').split(', ');
    expect(response.status, `${unknown} ${url}`).toBe(405);
    for (const method of Object.keys(methods)) expect(allowed, url).toContain(method.toUpperCase());
  }
});
