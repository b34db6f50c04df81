import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createRequestLimit, createRoom } from '../../../../api/open311/admission.ts';
import { EAST, type Errors, type Open311, openOpen311 } from '../../../kit/api/open311.ts';
import { PATIENCE_MS } from '../../../kit/wait.ts';

const MIB = 1024 * 1024;
const PATH = '/open311/v2/requests.json';
const BOUNDARY = 'boundary';
const MULTIPART = `multipart/form-data; boundary=${BOUNDARY}`;
const PHOTO = readFileSync(new URL('../../../fixtures/photos/plain.jpg', import.meta.url));

let server: Open311;
beforeAll(async () => {
  server = await openOpen311();
});
afterAll(() => server.stop());
afterEach(() => vi.restoreAllMocks());

const field = (name: string, value: string) =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const FILE = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="media"; filename="a.jpg"\r\n\r\n`;
const END = `\r\n--${BOUNDARY}--\r\n`;
const FLOOD = { service_code: 'flood', ...EAST, description: 'water' };
const fields = (given: Record<string, string>) =>
  Object.entries(given)
    .map(([name, value]) => field(name, value))
    .join('');

interface Sent {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Errors;
}

/** A form that is sent piece by piece, from an address of the loopback, and need not end. */
function open({ path = PATH, from = '127.0.0.1', headers = {} as Record<string, string>, to = server } = {}) {
  const { promise: response, resolve, reject } = Promise.withResolvers<Sent>();
  const sent = request({
    ...{ host: '127.0.0.1', port: to.api.port, path, method: 'POST', localAddress: from, agent: false },
    headers: { 'content-type': MULTIPART, ...headers },
  });
  sent.on('error', reject);
  sent.on('response', async (reply) => {
    const chunks: Buffer[] = [];
    for await (const chunk of reply) chunks.push(chunk as Buffer);
    const body = JSON.parse(String(Buffer.concat(chunks))) as Errors;
    resolve({ status: reply.statusCode!, headers: reply.headers, body });
  });
  response.catch(() => {});
  return {
    response,
    write: (piece: string | Buffer) => new Promise<void>((done) => void sent.write(piece, () => done())),
    /** Writes to the socket, past the encoding of the body. */
    raw: (bytes: string) => void sent.socket!.write(bytes),
    end: (piece = '') => void sent.end(piece),
    close: () => void sent.destroy(),
  };
}

const decoded = () => vi.spyOn(server.api.deps.citizens, 'clean');

describe('before anyone is known', () => {
  test.each([
    ['in the address', `${PATH}?api_key=nobody`, {}],
    ['as a bearer', PATH, { authorization: 'Bearer nobody' }],
  ])('api - a key %s that nobody has is refused before any byte of the form is read', async (_name, path, headers) => {
    const form = open({ path, headers: { ...headers, 'content-length': '1000000' } });
    await form.write('');
    expect((await form.response).status).toBe(403);
    form.close();
  });

  test('api - a key in the form that nobody has is refused when it has arrived, and the photo is not waited for', async () => {
    const clean = decoded();
    const form = open();
    await form.write(fields({ api_key: 'nobody' }) + FILE);
    expect(await form.response).toMatchObject({ status: 403, body: [{ code: 403 }] });
    form.close();
    expect(clean).not.toHaveBeenCalled();
  });

  test.each([
    ['no key', ''],
    ['a wrong key after it', field('api_key', 'nobody')],
    ["a viewer's key after it", null],
  ])('api - a photo is not decoded before its key is known: %s', async (_name, after) => {
    const clean = decoded();
    const form = open();
    const key = after ?? field('api_key', server.api.key('viewer'));
    await form.write(fields(FLOOD) + FILE);
    await form.write(PHOTO);
    form.end(`\r\n${key}--${BOUNDARY}--\r\n`);
    expect((await form.response).status).toBe(403);
    expect(clean).not.toHaveBeenCalled();
  });

  test('api - a photo that comes before the key is decoded when the key is known', async () => {
    const clean = decoded();
    const form = open();
    await form.write(FILE);
    await form.write(PHOTO);
    form.end(`\r\n${fields({ ...FLOOD, api_key: server.key })}--${BOUNDARY}--\r\n`);
    expect((await form.response).status).toBe(200);
    expect(clean).toHaveBeenCalledTimes(1);
  });

  test('api - a photo is not decoded where something else is wrong with the form', async () => {
    const clean = decoded();
    const form = open();
    await form.write(fields({ ...FLOOD, api_key: server.key, lat: 'x' }) + FILE);
    await form.write(PHOTO);
    form.end(END);
    expect((await form.response).status).toBe(400);
    expect(clean).not.toHaveBeenCalled();
  });

  test('api - photos of unknown senders are kept up to a share of one address; others are still taken', async () => {
    const forms = Array.from({ length: 3 }, () => open());
    for (const form of forms) {
      await form.write(FILE);
      await form.write(Buffer.alloc(5 * MIB));
    }
    await vi.waitFor(async () => {
      const more = open();
      await more.write(FILE);
      await more.write(Buffer.alloc(2 * MIB));
      more.end(END);
      const { status, headers } = await more.response;
      expect([status, headers['retry-after']]).toEqual([429, '5']);
    }, PATIENCE_MS);
    const other = open({ from: '127.0.0.2' });
    await other.write(FILE);
    await other.write(PHOTO);
    other.end(`\r\n${fields({ ...FLOOD, api_key: server.key })}--${BOUNDARY}--\r\n`);
    expect((await other.response).status).toBe(200);
    const known = open({ headers: { authorization: `Bearer ${server.key}` } });
    await known.write(fields(FLOOD) + FILE);
    await known.write(PHOTO);
    known.end(END);
    expect((await known.response).status).toBe(200);
    for (const form of forms) form.close();
    await vi.waitFor(async () => {
      const again = open();
      await again.write(FILE);
      await again.write(Buffer.alloc(4 * MIB));
      again.end(END);
      expect((await again.response).status).toBe(403);
    }, PATIENCE_MS);
  });

  test('api - a body that is larger than any form is refused: by what it announces, and by what arrives', async () => {
    const announced = open({ headers: { 'content-length': String(11 * MIB) } });
    await announced.write('');
    expect(await announced.response).toMatchObject({ status: 400, headers: { connection: 'close' } });
    announced.close();
    const endless = open();
    void endless.write(Buffer.alloc(11 * MIB, 'x'));
    expect((await endless.response).body[0]!.description).toMatch(/^the form has more than 11010048 bytes/);
    endless.close();
    expect((await server.post(FLOOD)).status).toBe(200);
  });

  test.each([
    ['multipart', MULTIPART],
    ['urlencoded', 'application/x-www-form-urlencoded'],
  ])('api - a form (%s) that comes in very many tiny pieces is refused', async (_name, type) => {
    const tiny = open({ headers: { 'content-type': type, 'transfer-encoding': 'chunked' } });
    await tiny.write(type === MULTIPART ? FILE : 'a=');
    tiny.raw('1\r\nx\r\n'.repeat(20_000));
    expect((await tiny.response).body[0]!.description).toMatch(/^the form comes in more than 20000 pieces/);
    tiny.close();
  });

  test.each([
    ['a hundred fields', 100, 403],
    ['one field more', 101, 400],
  ])('api - a form of %s', async (_name, count, status) => {
    const form = open({ headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    form.end(Array.from({ length: count }, (_, i) => `f${i}=1`).join('&'));
    expect((await form.response).status).toBe(status);
    const parts = open();
    parts.end(`${Array.from({ length: count }, (_, i) => field(`f${i}`, '1')).join('')}--${BOUNDARY}--\r\n`);
    expect((await parts.response).status).toBe(status);
  });

  test('api - the fields of a multipart form are bounded as a whole', async () => {
    const form = open();
    form.end(fields(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, 'x'.repeat(16_000)]))) + END);
    expect((await form.response).body[0]!.description).toMatch(/^the fields of a form have at most 262144/);
  });
});

test('api - an address that sends very many wrong keys has to wait; a right key does not', async () => {
  const to = await openOpen311({}, undefined, { wrongKeys: { perSecond: 1, burst: 3 } });
  const sent = async (api_key: string) => {
    const form = open({ to, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    form.end(String(new URLSearchParams({ ...FLOOD, api_key })));
    return await form.response;
  };
  for (let i = 0; i < 3; i++) expect((await sent('nobody')).status).toBe(403);
  const { status, headers, body } = await sent('nobody');
  expect([status, headers['retry-after']]).toEqual([429, '1']);
  expect(body[0]!.description).toMatch(/^too many wrong keys/);
  expect((await sent(to.key)).status).toBe(200);
  await to.stop();
});

describe('room for forms', () => {
  test('room - one holder may have half of it, two a third each, and there is always room for another', () => {
    const room = createRoom(120);
    const [a, b, c] = ['a', 'b', 'c'].map((who) => room.hold(who)) as [
      ReturnType<typeof room.hold>,
      ReturnType<typeof room.hold>,
      ReturnType<typeof room.hold>,
    ];
    a.add(60);
    expect(() => a.add(1)).toThrow(/from your address/);
    b.add(30);
    expect(() => b.add(1)).toThrow(/429|address/);
    c.add(15);
    expect(room.held).toBe(105);
    a.release();
    a.release();
    expect(room.held).toBe(45);
    b.add(7);
  });

  test('room - forms of one holder count together', () => {
    const room = createRoom(100);
    room.hold('a').add(50);
    expect(() => room.hold('a').add(1)).toThrow(/from your address/);
    expect(() => room.hold('b').add(40)).toThrow(/in some seconds/);
  });
});

describe('the limit of requests', () => {
  const post = async (to: Open311, { from = '127.0.0.1', key = to.key, ...given }: Record<string, string> = {}) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const form = open({ from, to, headers });
    form.end(String(new URLSearchParams({ ...FLOOD, api_key: key, ...given })));
    return (await form.response).status;
  };

  test('limit - one address that uses up its own leaves the others of its app theirs', async () => {
    const limited = await openOpen311({ requestsPerMinute: 4 });
    for (let i = 0; i < 4; i++) expect(await post(limited)).toBe(200);
    for (let i = 0; i < 60; i++) expect(await post(limited)).toBe(429);
    expect(await post(limited, { from: '127.0.0.2' })).toBe(200);
    await limited.stop();
  });

  test('limit - ids that an app invents do not evade the limit of the address', async () => {
    const limited = await openOpen311({ requestsPerMinute: 4 });
    for (let i = 0; i < 4; i++) expect(await post(limited, { device_id: `d${i}` })).toBe(200);
    expect(await post(limited, { device_id: 'd4' })).toBe(429);
    expect(await post(limited, { account_id: 'a1' })).toBe(429);
    await limited.stop();
  });

  test('limit - one id has a quarter of the limit of its address, and what exceeds it counts for nobody else', async () => {
    const limited = await openOpen311({ requestsPerMinute: 8 });
    for (let i = 0; i < 2; i++) expect(await post(limited, { device_id: 'busy' })).toBe(200);
    for (let i = 0; i < 20; i++) expect(await post(limited, { device_id: 'busy' })).toBe(429);
    for (let i = 0; i < 6; i++) expect(await post(limited, { device_id: `other-${i}` })).toBe(200);
    expect(await post(limited)).toBe(429);
    await limited.stop();
  });

  test('limit - a whole app has ten times that of an address', async () => {
    const limited = await openOpen311({ requestsPerMinute: 1 });
    for (let i = 1; i <= 10; i++) expect(await post(limited, { from: `127.0.0.${i}` })).toBe(200);
    expect(await post(limited, { from: '127.0.0.11' })).toBe(429);
    expect(await post(limited, { from: '127.0.0.11', key: limited.api.key('citizen-app') })).toBe(200);
    limited.clock.nowMs += 60_000;
    expect(await post(limited, { from: '127.0.0.11' })).toBe(200);
    await limited.stop();
  });

  test('limit - of strangers, addresses that use up what is there for all leave every other one its first request', () => {
    const clock = { nowMs: 0, now: () => clock.nowMs };
    const limit = createRequestLimit(clock, 2, { strangers: true });
    const reply = { header: () => {} } as unknown as Parameters<typeof limit.arrive>[2];
    const sent = (from: string) => {
      try {
        limit.arrive('public', from, reply);
        return 200;
      } catch {
        return 429;
      }
    };
    for (let i = 0; i < 10; i++) expect([sent(`a${i}`), sent(`a${i}`), sent(`a${i}`)]).toEqual([200, 200, 429]);
    for (let i = 0; i < 180; i++) expect([sent(`b${i}`), sent(`b${i}`)]).toEqual([200, 429]);
    expect(sent('c'), 'also what is there for first requests has a bound').toBe(429);
    clock.nowMs += 60_000;
    expect([sent('c'), sent('c')]).toEqual([200, 200]);
  });

  test('limit - a request past it is refused before its photo arrives', async () => {
    const limited = await openOpen311({ requestsPerMinute: 1 });
    expect(await post(limited)).toBe(200);
    const form = open({ to: limited });
    await form.write(field('api_key', limited.key) + FILE);
    expect(await form.response).toMatchObject({ status: 429, headers: { 'retry-after': '60' } });
    form.close();
    await limited.stop();
  });
});

describe('texts', () => {
  test('api - controls and halves of characters are removed, line breaks stay in the description only', async () => {
    const { body } = await server.post({
      ...{ service_code: 'flood', lat: '0.77', long: '0.77' },
      description: 'deep\u0000\u0007\u001b water\r\nhere\ufffe',
      address_string: 'Pier\n7\u0000',
    });
    const { body: shown } = await server.both<{ description: string; address: string }[]>(
      `/open311/v2/requests/${body[0]!.service_request_id}`,
      'service_requests',
    );
    expect(shown[0]).toMatchObject({ description: 'deep water\r\nhere', address: 'Pier 7' });
  });

  test('api - a fault shows the beginning of what was sent', async () => {
    const { body } = await server.post<Errors>({ ...FLOOD, service_code: 'x'.repeat(10_000) });
    expect(body[0]!.description.length).toBeLessThan(300);
  });

  test('api - a list of very many wrong names has a bounded number of faults', async () => {
    const { body } = await server.json<Errors>(`${PATH}?status=${'x,'.repeat(3_000)}`);
    expect(body).toHaveLength(50);
  });

  test('api - whatever a form has, the response is a document, and never a 500', async () => {
    const names = fc.oneof(
      fc.constantFrom('service_code', 'lat', 'long', 'description', 'address_string', 'email', 'media_url', 'locale'),
      fc.constantFrom(
        'attribute[kind]',
        'attribute[sources][]',
        'attribute[__proto__]',
        'device_id',
        'jurisdiction_id',
      ),
      fc.constantFrom('__proto__', 'toString', 'api_key', ''),
      fc.string({ unit: 'binary', maxLength: 20 }),
    );
    const values = fc.oneof(
      fc.constantFrom('flood', 'noise', 'street-light', '0.5', '-0', '1e400', '0x1', 'dark', 'site', '2026-01-31'),
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.string({ unit: 'binary', maxLength: 10 }).map((text) => text.repeat(500)),
    );
    const given = fc.array(fc.tuple(names, values), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(given, fc.boolean(), fc.uint8Array({ maxLength: 60 }), async (pairs, multipart, bytes) => {
        const form = multipart ? new FormData() : new URLSearchParams();
        form.append('api_key', server.key);
        for (const [name, value] of [...Object.entries(FLOOD), ...pairs]) form.append(name, value);
        if (form instanceof FormData) form.append('media', new Blob([bytes]), 'x');
        const reply = await server.xml(PATH.replace('json', 'xml'), '', { method: 'POST', body: form });
        expect(reply.status).toBeLessThan(500);
      }),
      { numRuns: 100 },
    );
  });

  test('api - whatever a multipart body is, the response is a document, and never a 500', async () => {
    const pieces = fc.constantFrom(field('api_key', server.key), fields(FLOOD), FILE, END, '\r\n', '--', BOUNDARY);
    const body = fc.array(fc.oneof(pieces, fc.string({ unit: 'binary', maxLength: 40 })), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(body, async (parts) => {
        const reply = await fetch(`${server.api.base}${PATH}`, {
          ...{ method: 'POST', headers: { 'content-type': MULTIPART } },
          body: `--${BOUNDARY}`.slice(0, parts.length) + parts.join(''),
        });
        expect([200, 400, 403, 404]).toContain(reply.status);
      }),
      { numRuns: 100 },
    );
  });
});
