import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { CloudEvent, Page } from '../../domain/index.ts';
import { certificate } from '../kit/broker/certificate.ts';
import { RawClient } from '../kit/broker/kit.ts';
import { hasNginx, Nginx } from '../kit/nginx.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const NAME = 'lamppost.city.example';
const { cert, key } = certificate(NAME);

describe.runIf(hasNginx())('behind nginx, as docs/operate.md has it', () => {
  const nginx = new Nginx();
  let server: ServerProcess;
  let secret: string;

  beforeAll(async () => {
    server = new ServerProcess(undefined, {
      LAMPPOST_TRUSTED_PROXIES: '127.0.0.1',
      LAMPPOST_PUBLIC_URL: `https://${NAME}`,
    });
    await server.start();
    await nginx.start({ http: server.httpPort, mqtt: server.mqttPort, cert, key });
    const wanted = { id: 'bin-1', profile: 'waste-bin', district: 'harbour' };
    secret = (await server.post<{ secret: string }>('/api/v1/devices', wanted)).secret;
  });
  afterAll(async () => {
    await nginx.stop();
    expect(await server.stop()).toBe(0);
  });

  /** A request over TLS with the certificate's name, from an address of this machine. */
  const open = (path: string, { localAddress = '127.0.0.1', headers = {}, method = 'GET', body = '' } = {}) => {
    const { https: port } = nginx;
    const authorization = `Bearer ${ADMIN_KEY}`;
    const asked = request({
      ...{ host: '127.0.0.1', port, servername: NAME, ca: cert, localAddress, path, method },
      headers: { host: NAME, authorization, ...headers },
    });
    asked.end(body);
    return asked;
  };
  const ask = (path: string, options = {}) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const asked = open(path, options);
      asked.once('error', reject);
      asked.once('response', (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.once('end', () => resolve({ status: response.statusCode!, text }));
      });
    });
  const failing = async () =>
    (await server.get<Page<{ event: CloudEvent }>>('/api/v1/events?type=city.lamppost.login.failing')).items.map(
      ({ event }) => event.subject,
    );

  test('nginx - pages, the API and the largest part of an import come through', async () => {
    expect((await ask('/')).text).toContain('<html');
    expect(JSON.parse((await ask('/api/v1/devices')).text)).toMatchObject({ items: [{ id: 'bin-1' }] });
    const large = { method: 'POST', body: 'x'.repeat(15 * 1024 * 1024), headers: { 'content-type': 'text/csv' } };
    // Lamppost refuses what the part has, nginx does not refuse its size.
    expect((await ask('/api/v1/readings/import', large)).text).toMatch(/"status":4\d\d,"detail"/);
  });

  test('nginx - an event leaves the stream while it is open', async () => {
    const asked = open('/api/v1/events', { headers: { accept: 'text/event-stream' } });
    onTestFinished(() => void asked.destroy());
    let text = '';
    asked.once('response', (response) =>
      response.on('data', (chunk) => {
        text += chunk;
      }),
    );
    await until(() => text !== '', 'the stream');
    await ask('/ingest/bin-1', {
      ...{ method: 'POST', body: '{"metrics": {"fill": 97}}' },
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    });
    await until(() => text.includes('city.lamppost.ticket.opened'), 'the event');
  });

  test('nginx - MQTT over WebSocket, and over TLS by its stream', async () => {
    const options = {
      ...{ clientId: 'bin-1', username: 'bin-1', password: secret, reconnectPeriod: 0 },
      ...{ ca: cert, servername: NAME, rejectUnauthorized: true },
    };
    for (const url of [`mqtts://127.0.0.1:${nginx.mqtts}`, `wss://127.0.0.1:${nginx.https}/mqtt`]) {
      const wsOptions = { ca: cert, servername: NAME, headers: { host: NAME } };
      const client = await mqtt.connectAsync(url, { ...options, wsOptions });
      await client.publishAsync('devices/bin-1/readings', '{"metrics": {"fill": 41}}', { qos: 1 });
      await client.endAsync();
    }
  });

  test('nginx - wrong logins count for the device, not for the proxy', async () => {
    const guess = () => {
      const socket = connectPlain({ port: nginx.mqtts, host: '127.0.0.1', localAddress: '127.0.0.9' });
      return new RawClient(0, connectTls({ socket, ca: cert, servername: NAME }));
    };
    const guesses = Array.from({ length: 30 }, guess);
    for (const one of guesses) void one.connect('bin-1', { password: Buffer.from('wrong') }).catch(() => {});
    await until(async () => (await failing()).includes('logins/127.0.0.9'), 'the event');
    for (const one of guesses) one.socket.destroy();
  });

  test('nginx - what somebody does is recorded with their own address, also where they claim another', async () => {
    const body = JSON.stringify({ id: 'bin-2', profile: 'waste-bin', district: 'harbour' });
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.7' };
    const made = await ask('/api/v1/devices', { localAddress: '127.0.0.10', method: 'POST', headers, body });
    expect(made.status, made.text).toBe(201);
    const { items } = await server.get<Page<{ address: string }>>('/api/v1/audit?limit=1');
    expect(items).toMatchObject([{ address: '127.0.0.10' }]);
  });

  test('nginx - it reported nothing but clients that went', () => {
    const reported = nginx.errors.split('\n').filter((line) => /\[(error|crit|alert|emerg)\]/.test(line));
    expect(reported.filter((line) => !line.includes('Connection reset by peer'))).toEqual([]);
  });
});
