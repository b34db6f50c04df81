import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { asUtf8, charsetOf } from '../../../../api/edge/index.ts';
import { createShares } from '../../../../api/edge/memory.ts';
import { EDGE } from '../../../../api/index.ts';
import { ADMIN, openApi, type TestApi } from '../../../kit/api/kit.ts';
import { posting, rawClient } from '../../../kit/api/raw.ts';
import { until } from '../../../kit/wait.ts';

const TIMEOUTS = { ...EDGE.timeouts, checkMs: 20 };
let api: TestApi;
beforeEach(async () => {
  api = await openApi({ edge: { timeouts: { ...TIMEOUTS, drainMs: 100 } } });
});
afterEach(() => api.stop());

/** Opens another API with other times. */
async function reopen(timeouts: Partial<typeof TIMEOUTS>, more = {}) {
  await api.stop();
  api = await openApi({ edge: { timeouts: { ...TIMEOUTS, ...timeouts } }, ...more });
}

const ENDLESS = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
const json = (body: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body,
});
const CHUNK = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`;

describe('a body that nobody asked for', () => {
  test.each([
    ['/api/v1/devices', { authorization: 'Bearer wrong' }, 401],
    ['/api/v1/devices', {}, 401],
    ['/ingest/d1', { authorization: 'Bearer wrong' }, 401],
    ['/ingest/sensor-community', { 'x-sensor': 'd1' }, 401],
    ['/nothing', {}, 404],
    ['/api/v1/devices', { authorization: `Bearer ${ADMIN}`, 'content-encoding': 'br' }, 415],
  ])(
    'api - POST %s with %j gets its %i before the body has ended, and the connection is closed in time',
    async (path, headers, status) => {
      const client = rawClient(api.port, posting(path, { ...ENDLESS, ...headers }));
      await client.until(new RegExp(`^HTTP/1.1 ${status} `));
      await client.closed;
      expect(api.deps.refusals.counts()['body-not-ended']).toBe(1);
    },
  );

  test('api - is read up to a bound of bytes, then the connection is closed', async () => {
    await reopen({ drainMs: 600_000 });
    const client = rawClient(api.port, posting('/api/v1/devices', ENDLESS));
    await client.until(/^HTTP\/1.1 401 /);
    let sent = 0;
    const pump = () => {
      while (!client.socket.destroyed && client.socket.write(CHUNK)) sent++;
      sent++;
    };
    client.socket.on('drain', pump);
    pump();
    await client.closed;
    expect(api.deps.refusals.counts()['body-not-ended']).toBe(1);
    expect(sent).toBeGreaterThan(16);
  });

  test('api - of 11 MB from a client that sends all of it does not hide the refusal', async () => {
    await reopen({ drainMs: 600_000 });
    const response = await api.fetch('/api/v1/devices', { ...json(`"${'x'.repeat(11_000_000)}"`), key: 'wrong' });
    expect(response.status).toBe(401);
  });

  test('api - that is short leaves the connection open for the next request', async () => {
    const short = { 'content-type': 'application/json', 'content-length': '2' };
    const client = rawClient(api.port, posting('/api/v1/devices', short));
    client.socket.write('{}');
    await client.until(/401 Unauthorized/);
    client.socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
    await client.until(/"status":"ok"/);
    client.socket.destroy();
  });
});

describe('a client that sends slowly', () => {
  const keyed = { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json', 'content-length': '1000' };

  test('api - a body that stalls ends with 408', async () => {
    await reopen({ stallMs: 60 });
    const client = rawClient(api.port, posting('/api/v1/devices', keyed));
    client.socket.write('{');
    const text = await client.closed;
    expect(text).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n/);
    expect(text).toContain('no byte of the body arrived');
    expect(api.deps.refusals.counts().timeout).toBe(1);
  });

  test('api - a body that drips ends with 408', async () => {
    await reopen({ requestMs: 300 });
    const client = rawClient(api.port, posting('/api/v1/devices', keyed));
    const drip = setInterval(() => client.socket.write(' '), 10);
    const text = await client.closed;
    clearInterval(drip);
    expect(text).toMatch(/^HTTP\/1.1 408 /);
    expect(text).toContain('application/problem+json');
  });

  test.each([[['GET /health HTTP/1.1', 'x-slow: 1']], [[]]])(
    'api - a header that does not end is closed (%j)',
    async (lines) => {
      await reopen({ headersMs: 100 });
      const client = rawClient(api.port, lines);
      expect(await client.closed).toMatch(/^HTTP\/1.1 408 /);
    },
  );

  test('api - a stream of events outlives all of these times', async () => {
    await reopen({ headersMs: 500, requestMs: 500, stallMs: 500, keepAliveMs: 500 }, { heartbeatMs: 200 });
    const lines = [
      'GET /api/v1/events HTTP/1.1',
      'host: x',
      'accept: text/event-stream',
      `authorization: Bearer ${ADMIN}`,
    ];
    const client = rawClient(api.port, [...lines, '']);
    await client.until(/(: still here[\s\S]*){10}/);
    api.incidents(1);
    await client.until(/city.lamppost.ticket.opened/);
    client.socket.destroy();
  });

  test('api - a handler that takes longer than a body may stall is not ended', async () => {
    await reopen({ stallMs: 30 });
    api.deps.rules.resolve('r1', 'admin');
    const body = JSON.stringify({ rule: 'r1' });
    const lines = posting('/api/v1/rules/backtest', { ...keyed, 'content-length': String(body.length) });
    const client = rawClient(api.port, lines);
    client.socket.write(body);
    await client.until(/no backtests here/);
    client.socket.destroy();
  });
});

describe('memory', () => {
  const keyed = { 'content-type': 'application/json', 'content-length': '60000' };
  const post = (key: string) =>
    rawClient(api.port, posting('/api/v1/silences', { ...keyed, authorization: `Bearer ${key}` }));

  test('api - bodies that one key sends at once are bounded before they are read, and those of others are read', async () => {
    await api.stop();
    api = await openApi({ edge: { memory: { bodies: 240_000 } } });
    const [one, other] = [api.key('operator'), api.key('operator')];
    const slow = [post(one), post(one)];
    for (const { socket } of slow) socket.write('{');
    const third = post(one);
    expect(await third.until(/429 Too Many/)).toMatch(/retry-after: 1/i);
    const fine = post(other);
    fine.socket.write(`{${' '.repeat(59_999)}`);
    await fine.until(/not valid JSON/);
    for (const { socket } of [...slow, third, fine]) socket.destroy();
    expect(api.deps.refusals.counts().memory).toBe(1);
  });

  test('api - a key whose responses are not taken gets no more, and others do', async () => {
    await api.stop();
    api = await openApi({ edge: { memory: { responses: 4_000_000 } } });
    api.incidents(1_000);
    expect((await api.fetch('/health')).status).toBe(200);
    const key = api.key('viewer');
    const lines = ['GET /api/v1/tickets?limit=1000 HTTP/1.1', 'host: x', `authorization: Bearer ${key}`, ''];
    // More than the system's buffers take.
    const deaf = rawClient(api.port, Array.from({ length: 10 }, () => lines).flat());
    deaf.socket.pause();
    expect((await api.fetch('/api/v1/tickets?limit=1000')).status).toBe(200);
    await until(() => (api.deps.refusals.counts().memory ?? 0) > 0, 'the refusal');
    deaf.socket.resume();
    const text = await deaf.until(/HTTP\/1.1 429 [\s\S]*read them first/);
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    deaf.socket.destroy();
    expect((await api.fetch('/api/v1/tickets?limit=1000', { key })).status).toBe(200);
  });

  test('api - a holder has at most what is then left for all others', () => {
    const shares = createShares(100);
    expect(shares.fits('a', 50)).toBe(true);
    const give = shares.add('a', 50);
    expect([shares.fits('a', 1), shares.fits('b', 25), shares.fits('b', 26)]).toEqual([false, true, false]);
    shares.add('b', 25);
    expect([shares.fits('c', 12), shares.fits('c', 13)]).toEqual([true, false]);
    give();
    expect([shares.of('a'), shares.fits('a', 37), shares.fits('a', 38)]).toEqual([0, true, false]);
  });

  test('api - a client that waits for 100 Continue is refused before it sends its body, or asked for it', async () => {
    const wrong = rawClient(api.port, posting('/api/v1/silences', { ...keyed, expect: '100-continue' }));
    expect(await wrong.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 401 /);
    const headers = { ...keyed, expect: '100-continue', authorization: `Bearer ${ADMIN}` };
    const right = rawClient(api.port, posting('/api/v1/silences', headers));
    expect(await right.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 100 Continue/);
    right.socket.write(`{${' '.repeat(59_999)}`);
    await right.until(/not valid JSON/);
    for (const { socket } of [wrong, right]) socket.destroy();
  });
});

describe('bounds of a body', () => {
  test('api - 64 KiB are taken, a byte more is 413, unless a route takes more', async () => {
    const note = (size: number) => {
      const head = '{"name":"x","role":"viewer","department":null';
      return `${head}${' '.repeat(size - head.length - 1)}}`;
    };
    expect((await api.fetch('/api/v1/keys', json(note(65_536)))).status).toBe(201);
    const refused = await api.fetch('/api/v1/keys', json(note(65_537)));
    expect(refused.status).toBe(413);
    expect(api.deps.refusals.counts()['body-too-large']).toBe(1);
  });

  test('api - JSON of 64 levels is read, deeper is 400 everywhere, and nothing recurses into it', async () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const reading = (depth: number) => `{"rule":"r1","device":"d1","readings":[{"metrics":${nested(depth)}}]}`;
    expect((await api.fetch('/api/v1/rules/try', json(reading(61)))).status).toBe(200);
    for (const [path, body] of [
      ['/api/v1/rules/try', reading(62)],
      ['/api/v1/rules/try', reading(20_000)],
      ['/api/v1/rules', `{"id":${nested(20_000)}}`],
      ['/api/v1/devices', `{"tags":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`],
      ['/api/v1/silences', nested(30_000)],
      ['/api/v1/webhooks', '['.repeat(60_000)],
    ] as const) {
      const response = await api.fetch(path, json(body));
      expect(response.status, path).toBe(400);
      expect(await response.text()).toContain('nested more deeply than 64');
    }
    expect(api.deps.refusals.counts().nesting).toBe(6);
  });

  test('api - brackets inside of text are no levels', async () => {
    const body = JSON.stringify({ name: `${'['.repeat(90)}\\"${'{'.repeat(90)}`, role: 'viewer' });
    expect((await api.fetch('/api/v1/keys', json(body))).status).toBe(201);
  });
});

describe('content-encoding', () => {
  const send = async (body: Buffer, encoding: string, path = '/ingest/d1') => {
    const secret = api.rotate('d1');
    return api.fetch(path, {
      ...json(''),
      body,
      key: secret,
      headers: { 'content-type': 'application/json', 'content-encoding': encoding },
    });
  };
  const READING = Buffer.from('{"metrics":{"a":1}}');

  test.each([
    ['gzip', gzipSync(READING)],
    ['GZIP', gzipSync(READING)],
    ['x-gzip', gzipSync(READING)],
    ['deflate', deflateSync(READING)],
    ['br', brotliCompressSync(READING)],
    ['zstd', zstdCompressSync(READING)],
    ['identity', READING],
  ])('ingest - a reading in %s is journalled as if it were not', async (encoding, body) => {
    const before = (await api.deps.ledger('d1'))!.messages;
    expect((await send(body, encoding)).status).toBe(200);
    expect((await api.deps.ledger('d1'))!.messages.received).toBe(before.received + 1);
  });

  test('ingest - a body that inflates to the largest message is taken, one byte more is 413 (a bomb inflates no further)', async () => {
    const padded = (size: number) => Buffer.concat([READING, Buffer.alloc(size - READING.length, ' ')]);
    expect((await send(gzipSync(padded(4_096)), 'gzip')).status).toBe(200);
    const more = await send(gzipSync(padded(4_097)), 'gzip');
    expect([more.status, ((await more.json()) as { detail: string }).detail]).toEqual([
      413,
      expect.stringContaining('4096 bytes'),
    ]);
    const bomb = Buffer.alloc(4_000_000);
    expect((await send(gzipSync(bomb), 'gzip')).status).toBe(413);
    expect((await send(brotliCompressSync(bomb), 'br')).status).toBe(413);
    expect((await send(zstdCompressSync(bomb), 'zstd')).status).toBe(413);
  });

  test('ingest - what is not gzip is 400, another encoding 415 with those that are right', async () => {
    const broken = await send(READING, 'gzip');
    expect([broken.status, await broken.text()]).toEqual([400, expect.stringContaining('is not gzip')]);
    const other = await send(READING, 'compress');
    expect([other.status, other.headers.get('accept-encoding')]).toEqual([415, 'gzip, deflate, br, zstd']);
    expect((await send(READING, 'br')).status).toBe(400);
    expect((await send(READING, 'gzip, gzip')).status).toBe(415);
  });

  test('ingest - a text in another charset is taken as its UTF-8; one in a charset that nobody knows is 415', async () => {
    const post = (type: string, body: Buffer) =>
      api.fetch('/ingest/d1', { ...json(''), body, key: api.rotate('d1'), headers: { 'content-type': type } });
    const utf16 = Buffer.from(`\ufeff${READING.toString()}`, 'utf16le');
    expect((await post('application/json; charset=utf-16', utf16)).status).toBe(200);
    expect((await post('application/json; charset="ISO-8859-1"', READING)).status).toBe(200);
    expect((await post('application/senml+cbor; charset=none', Buffer.from([0x80]))).status).toBe(200);
    const unknown = await post('application/json; charset=ebcdic', READING);
    expect([unknown.status, await unknown.text()]).toEqual([415, expect.stringContaining('send UTF-8')]);
    // Half as long in its own charset.
    const wide = Buffer.from(`{"metrics":{"${'\u00e9'.repeat(3_000)}":1}}`, 'latin1');
    expect((await post('application/json; charset=latin1', wide)).status).toBe(413);
  });

  test('charset - is read from the Content-Type, and the text becomes UTF-8', () => {
    expect(charsetOf('application/json')).toBe('utf-8');
    expect(charsetOf('application/json;charset=UTF-16LE; x=1')).toBe('utf-16le');
    expect(charsetOf('application/json; charset="latin1"')).toBe('windows-1252');
    expect(charsetOf('application/json; charset=')).toBeNull();
    expect(charsetOf('application/json; charset=ebcdic')).toBeNull();
    const text = '{"unit":"\u00b5g/m\u00b3"}';
    expect(asUtf8(Buffer.from(text, 'latin1'), 'windows-1252', 100).toString()).toBe(text);
    expect(asUtf8(Buffer.from(`\ufeff${text}`, 'utf16le'), 'utf-16le', 100).toString()).toBe(text);
  });

  test('api - any other route refuses an encoded body and says so', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const response = await api.fetch('/api/v1/keys', { method: 'POST', headers, body: gzipSync('{}') });
    expect(response.status).toBe(415);
    expect(await response.text()).toContain('without Content-Encoding');
  });
});
