import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { EdgeOptions } from '../../../../api/index.ts';
import { type Counter, createTrustedProxies } from '../../../../limits/index.ts';
import { ADMIN, openApi, type TestApi } from '../../../kit/api/kit.ts';
import { rawClient } from '../../../kit/api/raw.ts';

const T0 = 1_700_000_000_000;
let api: TestApi;
let nowMs = T0;
afterEach(() => api.stop());

async function open(edge: Partial<EdgeOptions>) {
  nowMs = T0;
  api = await openApi({ edge }, { clock: { now: () => nowMs } });
}

const statusOf = async (path: string, key: string | null, headers: Record<string, string> = {}) => {
  const response = await api.fetch(path, { key, headers });
  await response.text();
  return response.status;
};
const statuses = async (count: number, path: string, key: string | null, headers = {}) => {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push(await statusOf(path, key, headers));
  return found;
};

describe('wrong keys', () => {
  test('api - after some wrong keys an address waits, but a right key from it is always let in', async () => {
    await open({ wrongKeys: { perSecond: 0.1, burst: 3 } });
    expect(await statuses(5, '/api/v1/devices', 'wrong')).toEqual([401, 401, 401, 429, 429]);
    const refused = await api.fetch('/api/v1/devices', { key: 'wrong' });
    expect(refused.headers.get('retry-after')).toBe('10');
    expect(await refused.text()).toContain('a right key is accepted at any time');
    expect(await statusOf('/api/v1/devices', ADMIN)).toBe(200);
    nowMs += 10_000;
    expect(await statuses(2, '/api/v1/devices', 'wrong')).toEqual([401, 429]);
    expect(api.deps.refusals.counts()).toMatchObject({ 'wrong-key': 8, 'wrong-keys-limit': 4 });
  });

  test('api - wrong keys that other nodes of a cluster refused count too, and a right one is always let in', async () => {
    const passedOn: [string, number][] = [];
    let receive: ReturnType<Counter> = () => {};
    const counters = {
      counter(_name: string, apply: ReturnType<Counter>): ReturnType<Counter> {
        receive = apply;
        return (key, count) => void passedOn.push([key, count]);
      },
    };
    nowMs = T0;
    api = await openApi(
      { edge: { wrongKeys: { perSecond: 0.1, burst: 3 } } },
      { clock: { now: () => nowMs }, counters },
    );
    receive('127.0.0.1', 2);
    expect(await statuses(3, '/api/v1/devices', 'wrong')).toEqual([401, 429, 429]);
    expect(passedOn).toEqual([['127.0.0.1', 1]]);
    expect(await statusOf('/api/v1/devices', ADMIN)).toBe(200);
    receive('127.0.0.1', 1_000);
    expect(await statusOf('/api/v1/devices', ADMIN)).toBe(200);
    // However many they say, an address waits for five.
    nowMs += 50_000;
    expect(await statuses(2, '/api/v1/devices', 'wrong')).toEqual([401, 429]);
  });

  test('ingest - wrong secrets count too, and the right secret of the device is let in', async () => {
    await open({ wrongKeys: { perSecond: 1, burst: 2 } });
    const secret = api.rotate('d1');
    const send = async (key: string) => {
      const headers = { 'content-type': 'application/json' };
      return (await api.fetch('/ingest/d1', { method: 'POST', headers, body: '{}', key })).status;
    };
    expect([await send('a'), await send('b'), await send('c'), await send(secret!)]).toEqual([401, 401, 429, 200]);
  });

  test('api - behind a trusted proxy each client is counted by its own address, and nobody can write it himself', async () => {
    await open({ wrongKeys: { perSecond: 1, burst: 1 }, proxies: createTrustedProxies('127.0.0.1') });
    const from = (list: string) => statusOf('/api/v1/devices', 'wrong', { 'x-forwarded-for': list });
    expect(await from('192.0.2.1')).toBe(401);
    expect(await from('192.0.2.1')).toBe(429);
    expect(await from('192.0.2.2')).toBe(401);
    // What stands before the address that the proxy saw was written by the client.
    expect(await from('198.51.100.7, 192.0.2.1')).toBe(429);
    expect(await from('2001:db8::1')).toBe(401);
    expect(await from('[2001:db8::2]:4711')).toBe(429);
  });

  test('api - X-Forwarded-For of anybody else is not believed', async () => {
    await open({ wrongKeys: { perSecond: 1, burst: 1 } });
    const from = (address: string) => statusOf('/api/v1/devices', 'wrong', { 'x-forwarded-for': address });
    expect([await from('192.0.2.1'), await from('192.0.2.2')]).toEqual([401, 429]);
  });
});

describe('the rate of a key', () => {
  test('api - past its rate a key gets 429 with what is left and when, and other keys do not', async () => {
    await open({ requests: { perSecond: 2, burst: 4 } });
    const key = api.key('viewer');
    const first = await api.fetch('/api/v1/devices', { key });
    expect(first.headers.get('ratelimit-policy')).toBe('"requests";q=4;w=2');
    expect(first.headers.get('ratelimit')).toBe('"requests";r=3;t=1');
    expect(await statuses(4, '/api/v1/devices', key)).toEqual([200, 200, 200, 429]);
    const refused = await api.fetch('/api/v1/devices', { key });
    expect([refused.headers.get('retry-after'), refused.headers.get('ratelimit')]).toEqual(['1', '"requests";r=0;t=1']);
    expect(await statusOf('/api/v1/devices', ADMIN)).toBe(200);
    nowMs += 500;
    expect(await statuses(2, '/api/v1/devices', key)).toEqual([200, 429]);
    expect(api.deps.refusals.counts()['key-rate']).toBe(3);
  });

  test('ingest - a device has a rate of its own, which is not that of other devices behind its address', async () => {
    await open({ requests: { perSecond: 1, burst: 2 }, strangers: { perSecond: 1, burst: 1 } });
    const send = async (id: string, secret: string | null) => {
      const headers = { 'content-type': 'application/json' };
      return (await api.fetch(`/ingest/${id}`, { method: 'POST', headers, body: '{}', key: secret })).status;
    };
    const [one, two] = [api.rotate('d1'), api.rotate('d2')];
    expect([await send('d1', one), await send('d1', one), await send('d1', one)]).toEqual([200, 200, 429]);
    expect(await send('d2', two)).toBe(200);
  });

  test('api - without a key the address is charged; /health and keys are served all the same', async () => {
    await open({ strangers: { perSecond: 1, burst: 2 }, requests: null });
    expect(await statuses(3, '/public/oversight.json', null)).toEqual([200, 200, 429]);
    expect((await fetch(`${api.base}/nothing`)).status).toBe(429);
    expect(await statuses(3, '/health', null)).toEqual([200, 200, 200]);
    expect(await statusOf('/api/v1/devices', ADMIN)).toBe(200);
    expect(api.deps.refusals.counts()['address-rate']).toBe(2);
  });
});

describe('connections', () => {
  const HEALTH = ['GET /health HTTP/1.1', 'host: x', ''];

  test('api - one address with silent sockets takes no place for long: others from it are served, the oldest close', async () => {
    await open({ connections: { perHolder: 20, total: 40, reserve: 10 } });
    const silent = Array.from({ length: 100 }, () => rawClient(api.port));
    await Promise.all(silent.slice(0, 80).map(({ closed }) => closed));
    const other = rawClient(api.port, HEALTH, '127.0.0.2');
    await other.until(/"status":"ok"/);
    expect(await statusOf('/health', null)).toBe(200);
    expect(await statusOf('/api/v1/devices', ADMIN)).toBe(200);
    for (const { socket } of [...silent, other]) socket.destroy();
  });

  test('api - many addresses with silent sockets leave the places of those with a key', async () => {
    await open({ connections: { perHolder: 10, total: 12, reserve: 4 } });
    const lines = ['GET /api/v1/ledger HTTP/1.1', 'host: x', `authorization: Bearer ${ADMIN}`, ''];
    const known = Array.from({ length: 4 }, () => rawClient(api.port, lines));
    await Promise.all(known.map(({ until }) => until(/"readings"/)));
    const silent = Array.from({ length: 40 }, (_, i) => rawClient(api.port, [], `127.0.1.${i + 1}`));
    await Promise.all(silent.slice(0, 32).map(({ closed }) => closed));
    for (const { socket } of known) socket.write(`${lines.join('\r\n')}\r\n`);
    await Promise.all(known.map(({ until }) => until(/"readings"[\s\S]*"readings"/)));
    for (const { socket } of [...silent, ...known]) socket.destroy();
  });

  test('api - a WebSocket is accepted with the address of its client, up to a number for each', async () => {
    await open({
      connections: { perHolder: 2, total: 40, reserve: 10 },
      proxies: createTrustedProxies('127.0.0.1'),
    });
    const sockets: WebSocket[] = [];
    const upgrade = (address: string) =>
      new Promise<number>((resolve) => {
        const headers = { 'x-forwarded-for': address };
        const socket = new WebSocket(`ws://127.0.0.1:${api.port}/mqtt`, 'mqtt', { headers });
        sockets.push(socket);
        socket.on('open', () => resolve(101));
        socket.on('unexpected-response', (_request, response) => resolve(response.statusCode!));
        socket.on('error', () => {});
      });
    expect(await upgrade('192.0.2.1')).toBe(101);
    expect(await upgrade('192.0.2.1')).toBe(101);
    expect(await upgrade('192.0.2.1')).toBe(429);
    expect(await upgrade('192.0.2.2')).toBe(101);
    expect(api.webSockets).toEqual(['192.0.2.1', '192.0.2.1', '192.0.2.2']);
    for (const socket of sockets) socket.terminate();
  });
});
