import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CloudEvent, Page } from '../../domain/index.ts';
import { certificate } from '../kit/broker/certificate.ts';
import { RawClient } from '../kit/broker/kit.ts';
import { Haproxy, hasHaproxy } from '../kit/haproxy.ts';
import { freePort } from '../kit/ports.ts';
import { ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const { cert, key } = certificate('localhost');
const WRONG = { password: Buffer.from('wrong') };

describe.runIf(hasHaproxy())('MQTT behind HAProxy', () => {
  const haproxy = new Haproxy();
  let server: ServerProcess;
  let secret: string;

  beforeAll(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'lamppost-proxy-'));
    writeFileSync(join(dir, 'cert.pem'), cert);
    writeFileSync(join(dir, 'key.pem'), key);
    const tlsPort = await freePort();
    server = new ServerProcess(undefined, {
      LAMPPOST_TRUSTED_PROXIES: '127.0.0.1',
      MQTTS_PORT: String(tlsPort),
      TLS_CERT: join(dir, 'cert.pem'),
      TLS_KEY: join(dir, 'key.pem'),
      LOG_LEVEL: 'warn',
    });
    await server.start();
    const wanted = { id: 'bin-1', profile: 'waste-bin', district: 'harbour' };
    secret = (await server.post<{ secret: string }>('/api/v1/devices', wanted)).secret;
    const to = server.mqttPort;
    await haproxy.start([
      { to, how: 'send-proxy' },
      { to, how: 'send-proxy-v2' },
      { to: tlsPort, how: 'send-proxy-v2 send-proxy-v2-ssl-cn' },
      { to, how: '' },
    ]);
  });
  afterAll(async () => {
    await haproxy.stop();
    expect(await server.stop()).toBe(0);
  });

  /** Connects from an address of this machine. */
  const from = (localAddress: string, port: number) =>
    new RawClient(0, connectPlain({ port, host: '127.0.0.1', localAddress }));
  const right = () => ({ password: Buffer.from(secret) });

  test.each([
    ['version 1', 0],
    ['version 2', 1],
  ])('proxy - %s of the protocol: a device logs in', async (_name, passage) => {
    const device = from('127.0.0.5', haproxy.ports[passage]!);
    expect(await device.connect('bin-1', right())).toBe(0);
    await device.ping();
    device.socket.destroy();
  });

  test('proxy - the header stands before TLS, which the proxy passes on', async () => {
    const socket = connectPlain({ port: haproxy.ports[2]!, host: '127.0.0.1', localAddress: '127.0.0.5' });
    const device = new RawClient(0, connectTls({ socket, ca: cert, servername: 'localhost' }));
    expect(await device.connect('bin-1', right())).toBe(0);
    device.socket.destroy();
  });

  test('proxy - without a header from a trusted proxy, nobody gets in', async () => {
    const device = from('127.0.0.5', haproxy.ports[3]!);
    await device.connect('bin-1', right()).catch(() => {});
    await device.closed;
    expect(device.packets).toEqual([]);
  });

  test('proxy - who is no trusted proxy cannot say that he speaks for somebody else', async () => {
    const stranger = from('127.0.0.6', server.mqttPort);
    stranger.socket.write('PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n');
    await stranger.closed;
    const direct = from('127.0.0.6', server.mqttPort);
    expect(await direct.connect('bin-1', right())).toBe(0);
    direct.socket.destroy();
  });

  test('proxy - logins that fail count for the client, whose device still logs in; one event and one line of log', async () => {
    const guesses = Array.from({ length: 30 }, (_, i) => from('127.0.0.7', haproxy.ports[i % 2]!));
    for (const guess of guesses) void guess.connect('bin-1', WRONG).catch(() => {});
    let failing: readonly { readonly event: CloudEvent }[] = [];
    while (failing.length === 0) {
      failing = (await server.get<Page<{ event: CloudEvent }>>('/api/v1/events?type=city.lamppost.login.failing'))
        .items;
    }
    expect(failing.map(({ event }) => event)).toMatchObject([
      { subject: 'logins/127.0.0.7', data: { source: '127.0.0.7', user: 'bin-1' } },
    ]);
    const device = from('127.0.0.7', haproxy.ports[1]!);
    expect(await device.connect('bin-1', right())).toBe(0);
    await until(() => server.output.includes('login refused'), 'the line');
    expect(server.output.match(/login refused/g)).toHaveLength(1);
    for (const client of [...guesses, device]) client.socket.destroy();
  });
});
