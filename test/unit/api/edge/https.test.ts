import { Agent, request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { createTrustedProxies } from '../../../../limits/index.ts';
import { ADMIN, openApi, type TestApi } from '../../../kit/api/kit.ts';
import { certificate } from '../../../kit/broker/certificate.ts';
import { until } from '../../../kit/wait.ts';

const city = certificate('The city');
const first = certificate('localhost', city);
const second = certificate('localhost', city);
const trust = { host: '127.0.0.1', servername: 'localhost', ca: city.cert };
const BASE = 'https://lamppost.example';

let api: TestApi;
beforeAll(async () => {
  api = await openApi({ tls: { port: 0, cert: first.cert, key: first.key }, edge: { https: true, redirect: BASE } });
});
afterAll(() => api.stop());

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

function get(path: string, more: object = {}): Promise<Got> {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const headers = { authorization: `Bearer ${ADMIN}` };
  const sent = request({ ...trust, port: api.tlsPort!, path, headers, ...more }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
  });
  sent.on('error', reject).end();
  return promise;
}

async function handshake(): Promise<TLSSocket> {
  const socket = connect({ ...trust, port: api.tlsPort! });
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  return socket;
}

test('https - the same API, with HSTS', async () => {
  const { status, headers, text } = await get('/api/v1/devices');
  expect([status, headers['strict-transport-security']]).toEqual([200, 'max-age=31536000; includeSubDomains']);
  expect(JSON.parse(text).items).toHaveLength(2);
  expect((await get('/api/v1/devices', { headers: {} })).status).toBe(401);
});

test('https - a request without TLS is sent to the public address with its method, but for the state of the process', async () => {
  const plain = (path: string, init: RequestInit = {}) => fetch(api.base + path, { ...init, redirect: 'manual' });
  const asked = await plain('/api/v1/devices?limit=1', { method: 'POST', body: '{}' });
  expect([asked.status, asked.headers.get('location')]).toEqual([308, `${BASE}/api/v1/devices?limit=1`]);
  expect(asked.headers.get('strict-transport-security')).toBeNull();
  const lying = await plain('/', { headers: { 'x-forwarded-proto': 'https' } });
  expect(lying.status).toBe(308);
  expect((await plain('/health')).status).toBe(200);
  expect((await plain('/ready')).status).toBe(503);
});

test('https - MQTT over WebSocket comes by it', async () => {
  const socket = new WebSocket(`wss://127.0.0.1:${api.tlsPort}/mqtt`, 'mqtt', trust);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  expect(api.webSockets).toContain('127.0.0.1');
  socket.terminate();
});

test('https - MQTT over WebSocket without TLS is refused where requests are sent to the public address, with where to go', async () => {
  const before = api.deps.refusals.counts()['no-tls'];
  const socket = new WebSocket(`${api.base.replace('http', 'ws')}/mqtt`, 'mqtt');
  const [status, text] = await new Promise<[number, string]>((resolve, reject) => {
    socket.once('open', () => reject(new Error('it was accepted')));
    socket.once('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve([response.statusCode!, body]));
    });
  });
  expect(status).toBe(403);
  expect(JSON.parse(text).detail).toContain('wss://lamppost.example/mqtt');
  expect(api.deps.refusals.counts()['no-tls']).toBe(before + 1);
});

test('https - where plain MQTT is off, MQTT over WebSocket needs TLS, here or at a trusted proxy; the API does not', async () => {
  const own = await openApi({ edge: { mqttNeedsTls: true, proxies: createTrustedProxies('127.0.0.1') } });
  const opened = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const socket = new WebSocket(`${own.base.replace('http', 'ws')}/mqtt`, 'mqtt', { headers });
      socket.once('error', reject).once('open', () => {
        socket.terminate();
        resolve(101);
      });
      socket.once('unexpected-response', (request, { statusCode }) => {
        request.destroy();
        resolve(statusCode!);
      });
    });
  expect(await opened({})).toBe(403);
  expect(await opened({ 'x-forwarded-proto': 'http' })).toBe(403);
  expect(await opened({ 'x-forwarded-proto': 'https' })).toBe(101);
  expect((await own.fetch('/api/v1/devices', { key: ADMIN })).status).toBe(200);
  await own.stop();
});

test('https - what is not TLS, or trusts another authority, ends, is counted, and harms nobody', async () => {
  const before = api.deps.refusals.counts()['tls-handshake'];
  const socket = connectPlain(api.tlsPort!, '127.0.0.1');
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {}).write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await closed;
  await expect(get('/health', { ca: certificate('The city').cert })).rejects.toThrow(/certificate|issuer/);
  await until(() => api.deps.refusals.counts()['tls-handshake'] >= before + 1, 'the refusal');
  expect((await get('/health')).status).toBe(200);
});

test('https - a renewed certificate is that of new connections; those that are open go on', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const fingerprintOf = (socket: TLSSocket) => socket.getPeerX509Certificate()!.fingerprint256;
  await get('/health', { agent });
  const [kept] = Object.values(agent.freeSockets).flat() as TLSSocket[];
  const old = await handshake();
  api.renew({ cert: second.cert, key: second.key });
  const renewed = await handshake();
  expect(fingerprintOf(renewed)).not.toBe(fingerprintOf(old));
  expect((await get('/health', { agent })).status).toBe(200);
  expect(Object.values(agent.freeSockets).flat()).toEqual([kept]);
  agent.destroy();
  for (const socket of [old, renewed]) socket.destroy();
});
