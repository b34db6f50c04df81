import { rmSync } from 'node:fs';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CloudEvent, Page } from '../../domain/index.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const server = new ServerProcess(undefined, { MQTT_QUEUE_MESSAGES: '2', MQTT_SESSIONS_PER_KEY: '3' });
let device: MqttClient;

interface Dropped extends CloudEvent {
  readonly data: { readonly session: string; readonly key: string; readonly reason: string; readonly messages: number };
}

beforeAll(async () => {
  await server.start();
  device = await registered('bin-1');
});
afterAll(async () => {
  await device.endAsync();
  expect(await server.stop()).toBe(0);
});

async function registered(id: string): Promise<MqttClient> {
  const { secret } = await server.post<{ secret: string }>('/api/v1/devices', {
    id,
    profile: 'waste-bin',
    district: 'harbour',
  });
  return login(id, secret, { clientId: id });
}

const login = (username: string, password: string, more: mqtt.IClientOptions): Promise<MqttClient> =>
  mqtt.connectAsync({ host: '127.0.0.1', port: server.mqttPort, username, password, reconnectPeriod: 0, ...more });

/** Creates a kept session with a subscription and disconnects. */
async function away(username: string, password: string, clientId: string, topic: string): Promise<void> {
  const client = await login(username, password, { clientId, clean: false });
  await client.subscribeAsync(topic, { qos: 1 });
  await client.endAsync();
}

/** Fills and empties the bin: two events each time. */
async function tickets(times: number): Promise<void> {
  for (let i = 0; i < times * 2; i++) {
    const payload = JSON.stringify({ metrics: { fill: i % 2 === 0 ? 95 : 20 } });
    await device.publishAsync('devices/bin-1/readings', payload, { qos: 1 });
    await server.settledLedger('bin-1');
  }
}

async function dropped(session: string): Promise<Dropped[]> {
  const look = async () => {
    const page = await server.get<Page<{ event: Dropped }>>('/api/v1/events?type=city.lamppost.session.dropped');
    const found = page.items.map(({ event }) => event).filter(({ data }) => data.session === session);
    return found.length > 0 && found;
  };
  return until(look, `the event of ${session}`, 50);
}

test('sessions - what a full queue dropped becomes one event, over HTTP and MQTT, and is not queued itself', async () => {
  const watcher = await login('admin', ADMIN_KEY, { clientId: 'watcher' });
  const received: Dropped[] = [];
  watcher.on('message', (_topic, payload) => received.push(JSON.parse(payload.toString())));
  await watcher.subscribeAsync('events/sessions/#');
  await away('admin', ADMIN_KEY, 'away', 'events/#');
  await tickets(2);
  const [event, ...others] = await dropped('admin/away');
  expect(others).toEqual([]);
  expect(event).toMatchObject({ subject: 'sessions/admin/away', data: { key: 'admin', reason: 'queue-full' } });
  expect(event!.data.messages).toBeGreaterThan(0);
  await until(() => received.length > 0, 'the event over MQTT');
  expect(received).toEqual([event]);
  await watcher.endAsync();

  const identity = { clientId: 'away', username: 'admin', password: ADMIN_KEY, clean: false };
  const back = mqtt.connect({ host: '127.0.0.1', port: server.mqttPort, ...identity });
  const got: string[] = [];
  back.on('message', (topic) => got.push(topic));
  await until(() => got.length >= 2, 'what was queued');
  await back.endAsync();
  expect(got.filter((topic) => topic.startsWith('events/sessions/'))).toEqual([]);
});

test('sessions - a session above the limit of a key ends the one that was away longest, which is published', async () => {
  for (const name of ['s1', 's2', 's3', 's4']) await away('admin', ADMIN_KEY, name, 'events/alerts/#');
  expect(await dropped('admin/s1')).toMatchObject([{ data: { reason: 'too-many-sessions' } }]);
});

test('sessions - a key that is revoked over HTTP has no session any more', async () => {
  const { id, secret } = await server.post<{ id: string; secret: string }>('/api/v1/keys', {
    name: 'archive',
    role: 'viewer',
    department: null,
  });
  await away(id, secret, 'archive', 'events/#');
  const sessions = async () => {
    const response = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    return Number(/^lamppost_broker_sessions (\d+)$/m.exec(await response.text())![1]);
  };
  const before = await sessions();
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/keys/${id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  expect(response.ok).toBe(true);
  await expect.poll(sessions).toBe(before - 1);
});

test('sessions - a start that finds no sessions still has every open ticket retained', async () => {
  await device.publishAsync('devices/bin-1/readings', JSON.stringify({ metrics: { fill: 96 } }), { qos: 1 });
  await server.settledLedger('bin-1');
  const [ticket] = (await server.get<Page<{ id: string }>>('/api/v1/tickets?status=open')).items;
  await device.endAsync();
  expect(await server.stop()).toBe(0);
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${server.data}/sessions.sqlite${suffix}`, { force: true });
  await server.start();
  device = await login('admin', ADMIN_KEY, { clientId: 'looks' });
  const retained = new Promise<string>((resolve) => {
    device.on('message', (_topic, payload) => resolve(payload.toString()));
  });
  await device.subscribeAsync(`tickets/waste/${ticket!.id}`, { qos: 1 });
  expect(JSON.parse(await retained)).toMatchObject({ id: ticket!.id, status: 'open' });
});

test.for([
  ['TCP', () => `mqtt://127.0.0.1:${server.mqttPort}`],
  ['WebSocket', () => `ws://127.0.0.1:${server.httpPort}/mqtt`],
] as const)('sessions - a key that is revoked loses its open connection over %s', async ([, address]) => {
  const { id, secret } = await server.post<{ id: string; secret: string }>('/api/v1/keys', {
    name: 'watch',
    role: 'viewer',
    department: null,
  });
  const identity = { clientId: `watch-${id}`, username: id, password: secret, reconnectPeriod: 0 };
  const client = await mqtt.connectAsync(address(), identity);
  client.on('error', () => {});
  const closed = new Promise<void>((resolve) => void client.once('close', () => resolve()));
  await client.subscribeAsync('events/#', { qos: 1 });
  expect(client.connected).toBe(true);
  await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/keys/${id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  await closed;
  await expect(mqtt.connectAsync(address(), identity)).rejects.toThrow(/Bad username or password/);
});
