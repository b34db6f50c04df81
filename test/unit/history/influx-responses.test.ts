import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock as clock, type KnownDevice, LamppostError } from '../../../domain/index.ts';
import { createInfluxHistory } from '../../../history/index.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { InfluxScript, type Responder, says, stored } from '../../kit/influx.ts';

const TIMEOUT_MS = 300;
const metrics = tableOf('fill', 'battery');
const script = new InfluxScript();
let history: ReturnType<typeof createInfluxHistory>;

beforeEach(async () => {
  script.respond = stored;
  script.points.clear();
  script.writes.length = 0;
  await script.start();
  history = historyAt({});
});
afterEach(async () => {
  await history.stop();
  await script.stop();
});

function historyAt(settings: Partial<Parameters<typeof createInfluxHistory>[1]>, lines = 3, inFlight = 2) {
  const all = { url: script.url, token: 'secret', org: 'my org', bucket: 'b/1', api: 'v2', ...settings } as const;
  return createInfluxHistory({ metrics, unitOf: () => '%', clock }, all, { lines, inFlight, timeoutMs: TIMEOUT_MS });
}

const BIN: KnownDevice = { id: 'bin-1', index: 0, profile: 'waste-bin', district: 'harbour' };

/** `count` readings of two metrics each, from `ts` on. */
function readings(count: number, ts = 0) {
  const rows = Array.from({ length: count }, (_, n): Row[] => [
    { device: BIN, metric: 'fill', ts: ts + n, value: n },
    { device: BIN, metric: 'battery', ts: ts + n, value: 100 - n },
  ]).flat();
  return columnsOf(rows, metrics);
}

const failure = (rows = readings(1)) =>
  history.append([rows], 1).then(
    () => {
      throw new Error('it was stored');
    },
    (error: LamppostError) => error,
  );

describe('a write', () => {
  test('v2 - is a compressed request with one line per timestamp, and the token in its header', async () => {
    history = historyAt({}, 5_000);
    expect(await history.append([readings(40), readings(40, 40)], 1)).toEqual([]);
    const [write, ...more] = script.writes;
    expect(more).toEqual([]);
    expect(write!.path).toBe('/api/v2/write?org=my%20org&bucket=b%2F1&precision=ms');
    expect(write!.headers.authorization).toBe('Token secret');
    expect(write!.packed).toBe(true);
    expect(write!.lines[1]).toBe('waste-bin,device=bin-1,district=harbour fill=1,battery=99 1');
    expect(write!.lines).toHaveLength(80);
  });

  test.each([
    ['user:password', `Basic ${Buffer.from('user:password').toString('base64')}`],
    ['a-token', 'Token a-token'],
    ['', undefined],
  ])('v1 - names the database, and sends "%s" as %s', async (token, header) => {
    history = historyAt({ api: 'v1', token });
    await history.append([readings(1)], 1);
    expect(script.writes[0]!.path).toBe('/write?db=b%2F1&precision=ms');
    expect(script.writes[0]!.headers.authorization).toBe(header);
  });

  test('goes below the path of the URL, where it has one', async () => {
    history = historyAt({ url: `${script.url}/databases/influx/` });
    await history.append([readings(1)], 1);
    expect(script.writes[0]!.path).toMatch(/^\/databases\/influx\/api\/v2\/write\?/);
  });

  test('sends several requests at a time, and resolves when each has a response', async () => {
    const open: (() => void)[] = [];
    script.respond = (write, response, server) => open.push(() => stored(write, response, server));
    const appended = history.append([readings(12)], 1);
    let done = false;
    void appended.then(() => {
      done = true;
    });
    for (let request = 0; request < 4; request++) {
      await expect.poll(() => open.length).toBeGreaterThan(request);
      expect(script.writes.length).toBeLessThanOrEqual(request + 2);
      expect(done).toBe(false);
      open[request]!();
    }
    await appended;
    expect(script.points.size).toBe(24);
  });
});

describe('a response that asks to wait', () => {
  test.each<[string, Responder, RegExp, number]>([
    ['429', says(429, { message: 'limit' }, { 'retry-after': '7' }), /cannot take readings now \(429: limit\)/, 7_000],
    ['503', says(503, { error: 'busy' }, { 'retry-after': '86400' }), /503: busy/, 300_000],
    ['500 without a body', says(500, {}), /500/, 0],
    ['502 from a proxy', (_, response) => response.writeHead(502).end('<html>bad gateway'), /502: an HTML page/, 0],
  ])('%s - is thrown as retryable, with the delay that it names', async (_what, respond, message, delay) => {
    script.respond = respond;
    const error = await failure();
    expect(error).toMatchObject({ code: 'history', retryable: true, retryAfterMs: delay });
    expect(error.message).toMatch(message);
    expect(script.writes).toHaveLength(1);
  });

  test('Retry-After may be a date', async () => {
    const at = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 60_000);
    script.respond = says(503, {}, { 'retry-after': at.toUTCString() });
    const { retryAfterMs } = await failure();
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(61_000);
  });

  test.each<[string, Responder, RegExp]>([
    ['never comes', () => {}, /no response within 300 ms/],
    [
      'begins and never ends',
      (_, response) => response.writeHead(503, { 'content-length': 9 }).flushHeaders(),
      /300 ms/,
    ],
    ['comes drop by drop', (_, response) => drip(response.writeHead(400)), /300 ms/],
    ['is cut short', (_, response) => cut(response.writeHead(500, { 'content-length': 99 })), /connection broke/],
    ['is a broken connection', (_, response) => response.destroy(), /connection broke/],
    ['is no HTTP', (_, response) => response.socket!.end('220 smtp\r\n'), /InfluxDB at 127/],
  ])(
    'one that %s - is thrown as retryable in time, and leaves no connection behind',
    async (_what, respond, message) => {
      script.respond = respond;
      const error = await failure();
      expect(error).toMatchObject({ code: 'history', retryable: true });
      expect(error.message).toMatch(message);
      await expect.poll(() => script.sockets.size).toBe(0);
      script.respond = stored;
      expect(await history.append([readings(1)], 1)).toEqual([]);
    },
  );

  test('nothing listens - is thrown as retryable', async () => {
    await script.stop();
    const error = await failure();
    expect(error).toMatchObject({ retryable: true });
    expect(error.message).toContain('nothing listens there');
  });

  test('interrupt - aborts the requests in progress; later ones work', async () => {
    script.respond = () => {};
    const failed = failure();
    await expect.poll(() => script.writes.length).toBe(1);
    history.interrupt!();
    expect((await failed).message).toContain('interrupted');
    script.respond = stored;
    expect(await history.append([readings(1)], 1)).toEqual([]);
  });

  test('readings stored before it are not sent again, only those that follow', async () => {
    history = historyAt({}, 3, 1);
    let requests = 0;
    script.respond = (write, response, server) => (++requests === 3 ? says(429, {}) : stored)(write, response, server);
    const batch = readings(12);
    await expect(history.append([batch], 1)).rejects.toThrow(LamppostError);
    expect(script.points.size).toBe(12);
    script.writes.length = 0;
    expect(await history.append([batch, readings(3, 12)], 2)).toEqual([]);
    expect(script.writes.flatMap(({ lines }) => lines)).toHaveLength(9);
    expect(script.points.size).toBe(30);
  });
});

describe('a response that blames the setup', () => {
  test.each<[number, object, RegExp]>([
    [401, { code: 'unauthorized', message: 'unauthorized access' }, /INFLUX_TOKEN.*401: unauthorized access/],
    [403, { message: 'forbidden' }, /read and write access.*403/],
    [404, { message: 'bucket "b/1" not found' }, /no bucket "b\/1" of organization "my org".*create it.*404/],
    [405, {}, /INFLUX_URL/],
    [200, { status: 'ok' }, /INFLUX_URL.*200/],
    [302, {}, /INFLUX_URL.*302/],
    [400, { error: 'database is required' }, /400: database is required/],
  ])(
    '%i - stops with what to do, refuses no reading, and goes on once it is repaired',
    async (status, body, message) => {
      script.respond = says(status, body);
      const error = await failure(readings(9));
      expect(error).toMatchObject({ code: 'history', retryable: true });
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain('secret');
      // Two requests under way, and a few single lines that distinguish setup from data.
      expect(script.writes.length).toBeLessThanOrEqual(18);
      script.respond = stored;
      expect(await history.append([readings(9)], 1)).toEqual([]);
      expect(script.points.size).toBe(18);
    },
  );

  test('400 with an HTML page - comes from a proxy, and says nothing about readings', async () => {
    script.respond = (_write, response) =>
      response.writeHead(400, { 'content-type': 'text/html' }).end('<h1>The plain HTTP request was sent to HTTPS port');
    expect((await failure()).message).toMatch(/400: an HTML page/);
  });

  test('200 with a page - comes from another program that listens there', async () => {
    script.respond = (_write, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome');
    expect((await failure()).message).toMatch(/INFLUX_URL.*200/);
  });

  test('it is reported before the first reading comes', async () => {
    script.respond = says(401, { error: 'authorization failed' });
    await expect(history.append([readings(0)], 1)).rejects.toThrow('INFLUX_TOKEN');
    script.respond = stored;
    expect(await history.append([readings(0)], 1)).toEqual([]);
    expect(await history.append([readings(0)], 2)).toEqual([]);
    expect(script.writes).toHaveLength(2);
  });
});

function drip(response: Parameters<Responder>[1]): void {
  const timer = setInterval(() => response.write('x'), 20);
  response.once('close', () => clearInterval(timer));
}

function cut(response: Parameters<Responder>[1]): void {
  response.write('{"error":');
  setImmediate(() => response.destroy());
}
