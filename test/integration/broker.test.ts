import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { ClientRecord } from '../../broker/index.ts';
import type { Device, Page } from '../../domain/index.ts';
import { certificate } from '../kit/broker/certificate.ts';
import { freePort } from '../kit/ports.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';

const authority = certificate('The city');
const tlsPort = await freePort();
const server = new ServerProcess(undefined, { MQTTS_PORT: String(tlsPort), ...pemFiles() });
const secrets = new Map<string, string>();

function pemFiles(): Record<string, string> {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-tls-'));
  const { cert, key } = certificate('localhost', authority);
  const files = { TLS_CERT: cert, TLS_KEY: key, TLS_CLIENT_CA: authority.cert };
  return Object.fromEntries(
    Object.entries(files).map(([name, pem]) => {
      writeFileSync(join(dir, name), pem);
      return [name, join(dir, name)];
    }),
  );
}

beforeAll(async () => {
  await server.start();
  const devices = ['bin-1', 'bin-2', 'bin-3', 'bin-4'].map((id) => ({ id, profile: 'waste-bin', district: 'harbour' }));
  const registered = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', devices);
  for (const { id, secret } of registered) secrets.set(id, secret);
});
afterAll(async () => {
  // A handshake that never ends must not delay the end of the process.
  const half = connect(tlsPort, '127.0.0.1');
  half.on('error', () => {});
  await Promise.race(['connect', 'error'].map((event) => new Promise((resolve) => half.once(event, resolve))));
  expect(await server.stop()).toBe(0);
});

const fill = (value: number) => JSON.stringify({ metrics: { fill: value } });
const WAYS: Record<string, () => [string, IClientOptions]> = {
  TCP: () => [`mqtt://127.0.0.1:${server.mqttPort}`, {}],
  TLS: () => {
    const { cert, key } = certificate('a device', authority);
    return [`mqtts://127.0.0.1:${tlsPort}`, { ca: authority.cert, servername: 'localhost', cert, key }];
  },
  WebSocket: () => [`ws://127.0.0.1:${server.httpPort}/mqtt`, {}],
};
function login(way: string, id: string, password = secrets.get(id)!, more: IClientOptions = {}): Promise<MqttClient> {
  const [url, options] = WAYS[way]!();
  return mqtt.connectAsync(url, { clientId: id, username: id, password, reconnectPeriod: 0, ...options, ...more });
}
const closed = (client: MqttClient) => new Promise<void>((resolve) => client.once('close', () => resolve()));

describe.each(Object.keys(WAYS))('over %s', (way) => {
  test('a reading of either QoS is acknowledged, and in the ledger', async () => {
    const client = await login(way, 'bin-1');
    const before = await server.settledLedger('bin-1').catch(() => null);
    for (const qos of [1, 2] as const) await client.publishAsync('devices/bin-1/readings', fill(qos), { qos });
    await client.endAsync();
    const { messages } = await server.settledLedger('bin-1');
    expect(messages.decoded - (before?.messages.decoded ?? 0)).toBe(2);
  });

  test('MQTT 5: a reading is acknowledged, what is refused says why', async () => {
    const client = await login(way, 'bin-4', undefined, { protocolVersion: 5 });
    await client.publishAsync('devices/bin-4/readings', fill(1), { qos: 1, properties: { topicAlias: 1 } });
    const foreign = client.publishAsync('devices/bin-1/readings', fill(1), { qos: 1 });
    await expect(foreign).rejects.toMatchObject({ code: 0x87 });
    await client.publishAsync('', fill(2), { qos: 2, properties: { topicAlias: 1 } });
    await client.endAsync();
    const wrong = login(way, 'bin-4', 'wrong', { protocolVersion: 5 });
    await expect(wrong).rejects.toMatchObject({ code: 0x86 });
  });

  test('a wrong secret and an unknown device are refused by CONNACK 4', async () => {
    await expect(login(way, 'bin-1', 'wrong')).rejects.toMatchObject({ code: 4 });
    await expect(login(way, 'bin-9', 'wrong')).rejects.toMatchObject({ code: 4 });
  });

  test("a message to another device's topic is dropped, a packet that is too large ends the connection", async () => {
    const client = await login(way, 'bin-2');
    client.on('error', () => {});
    await client.publishAsync('devices/bin-1/readings', fill(1), { qos: 1 });
    const gone = closed(client);
    client.publish('devices/bin-2/readings', ' '.repeat(300 * 1024), { qos: 1 });
    await gone;
    client.end(true);
    const { items } = await server.get<Page<unknown>>('/api/v1/quarantine?device=bin-2');
    expect(items).toEqual([]);
    const { connection } = await server.get<{ connection: ClientRecord }>('/api/v1/devices/bin-2');
    const refused = connection.refusals.map(({ reason, detail }) => [reason, detail]);
    expect(refused).toContainEqual(['not-your-device', 'PUBLISH to devices/bin-1/readings']);
    expect(refused.map(([reason]) => reason)).toContain('packet-too-large');
  });

  test('a subscription beyond its rights gets the return code 128', async () => {
    const client = await login(way, 'bin-1');
    const options = { topics: ['devices/bin-1/rejections', 'devices/+/rejections', '#'] };
    const granted = await new Promise<number[]>((resolve) => {
      client.on('packetreceive', (packet) => packet.cmd === 'suback' && resolve(packet.granted as number[]));
      client.subscribe(options.topics, () => {});
    });
    expect(granted).toEqual([0, 128, 128]);
    await client.endAsync();
  });
});

describe('WebSocket', () => {
  test('a path that is not /mqtt is refused; text frames and garbage end their own connection only', async () => {
    const other = await login('WebSocket', 'bin-1');
    const elsewhere = new WebSocket(`ws://127.0.0.1:${server.httpPort}/elsewhere`, 'mqtt');
    await expect(new Promise((_resolve, reject) => elsewhere.once('error', reject))).rejects.toThrow('404');
    for (const frame of ['text that is not MQTT', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])]) {
      const socket = new WebSocket(`ws://127.0.0.1:${server.httpPort}/mqtt`, 'mqtt');
      socket.once('open', () => socket.send(frame));
      await new Promise((resolve) => socket.once('close', resolve));
    }
    await other.publishAsync('devices/bin-1/readings', fill(3), { qos: 1 });
    await other.endAsync();
  });
});

describe('the registry, while devices are connected', () => {
  const request = (method: string, path: string, body?: unknown) =>
    fetch(`http://127.0.0.1:${server.httpPort}/api/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });

  test('an array with one id that exists is a conflict (409) that names it, and registers none', async () => {
    const device = (id: string) => ({ id, profile: 'noise', district: 'old-town' });
    for (const taken of ['bin-1', 'admin']) {
      const response = await request('POST', 'devices', [device('new-1'), device(taken), device('new-2')]);
      expect(response.status).toBe(409);
      expect(((await response.json()) as { detail: string }).detail).toContain(taken);
    }
    const { items } = await server.get<Page<Device>>('/api/v1/devices?profile=noise');
    expect(items).toEqual([]);
    const admin = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
      clientId: 'watch',
      username: 'admin',
      password: ADMIN_KEY,
    });
    await admin.endAsync();
  });

  test('a rotated secret ends the connection of the old one; a revoked device is cut; a revoked key, too', async () => {
    const rotated = await login('TCP', 'bin-3');
    const revoked = await login('WebSocket', 'bin-4');
    const key = await server.post<{ id: string; secret: string }>('/api/v1/keys', { name: 'screen', role: 'viewer' });
    const screen = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
      clientId: 'screen',
      username: key.id,
      password: key.secret,
      reconnectPeriod: 0,
    });
    const gone = Promise.all([rotated, revoked, screen].map(closed));
    const { secret } = (await (await request('POST', 'devices/bin-3/rotate')).json()) as { secret: string };
    expect((await request('DELETE', 'devices/bin-4')).status).toBe(204);
    expect((await request('DELETE', `keys/${key.id}`)).status).toBe(204);
    await gone;
    await expect(login('TCP', 'bin-3')).rejects.toMatchObject({ code: 4 });
    await expect(login('TCP', 'bin-4')).rejects.toMatchObject({ code: 4 });
    const again = await login('TCP', 'bin-3', secret);
    await again.publishAsync('devices/bin-3/readings', fill(4), { qos: 1 });
    await again.endAsync();
    expect((await server.settledLedger('bin-3')).readings.stored).toBe(1);
  });
});
