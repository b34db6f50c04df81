import { afterAll, beforeAll, expect, test } from 'vitest';
import { posting, rawClient } from '../kit/api/raw.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';

const server = new ServerProcess(undefined, {
  HTTP_MAX_CONNECTIONS: '60',
  HTTP_CONNECTIONS_PER_HOLDER: '30',
  HTTP_REQUESTS_PER_SECOND: '1',
  HTTP_REQUEST_SECONDS: '1',
  LAMPPOST_TRUSTED_PROXIES: '127.0.0.1/32',
  LAMPPOST_PUBLIC_URL: 'https://lamppost.city.example',
});
beforeAll(() => server.start());
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

const ask = async (path: string, key: string, from: string) => {
  const headers = { authorization: `Bearer ${key}`, 'x-forwarded-for': from };
  const response = await fetch(`http://127.0.0.1:${server.httpPort}${path}`, { headers });
  await response.text();
  return response;
};

test('http edge - an address that tries keys waits; the admin from the same address is let in', async () => {
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) statuses.push((await ask('/api/v1/keys', `guess-${i}`, '192.0.2.1')).status);
  expect(statuses.slice(0, 30)).toEqual(Array(30).fill(401));
  expect(statuses.at(-1)).toBe(429);
  expect((await ask('/api/v1/keys', 'guess', '192.0.2.2')).status).toBe(401);
  // An admin's key has five times the rate of others.
  const right = await ask('/api/v1/keys', ADMIN_KEY, '192.0.2.1');
  expect([right.status, right.headers.get('ratelimit-policy')]).toEqual([200, '"requests";q=50;w=10']);
  expect(right.headers.get('strict-transport-security')).toContain('max-age=');
});

test('http edge - a body that drips ends with 408, and /health responds meanwhile', async () => {
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', 'content-length': '999' };
  const client = rawClient(server.httpPort, posting('/api/v1/keys', headers));
  const drip = setInterval(() => client.socket.write(' '), 50);
  expect((await ask('/health', 'none', '192.0.2.3')).status).toBe(200);
  expect(await client.closed).toMatch(/^HTTP\/1.1 408 /);
  clearInterval(drip);
});

test('http edge - silent sockets of one address leave places for others', async () => {
  const silent = Array.from({ length: 200 }, () => rawClient(server.httpPort, [], '127.0.0.9'));
  await Promise.all(silent.slice(0, 170).map(({ closed }) => closed));
  expect((await ask('/health', 'none', '192.0.2.3')).status).toBe(200);
  for (const { socket } of silent) socket.destroy();
});

test('http edge - /metrics counts what was refused, by reason', async () => {
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const text = await (await fetch(`http://127.0.0.1:${server.httpPort}/metrics`, { headers })).text();
  const count = (reason: string) =>
    Number(new RegExp(`^lamppost_http_refused_total{reason="${reason}"} (\\d+)$`, 'm').exec(text)![1]);
  expect(count('wrong-key')).toBe(41);
  expect(count('wrong-keys-limit')).toBeGreaterThan(0);
  expect(count('connections')).toBeGreaterThanOrEqual(170);
  expect(count('timeout')).toBe(1);
});
