import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page, Quarantined, Series, Ticket } from '../../domain/index.ts';
import { hasMosquittoClients } from '../kit/mosquitto.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const server = new ServerProcess();
const secrets = new Map<string, string>();

beforeAll(async () => {
  await server.start();
  const devices = ['bin-1', 'bin-2', 'bin-3', 'bin-4', 'bin-5'].map((id) => ({
    id,
    profile: 'waste-bin',
    district: 'harbour',
    name: `Quay ${id}`,
  }));
  for (const { id, secret } of await server.post<{ id: string; secret: string }[]>('/api/v1/devices', devices))
    secrets.set(id, secret);
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

const login = (id: string, password: string, more: mqtt.IClientOptions = {}) =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
    clientId: id,
    username: id,
    password,
    reconnectPeriod: 0,
    ...more,
  });
const device = (id: string) => login(id, secrets.get(id)!);
const listener = (id: string) => login(id, ADMIN_KEY, { username: 'admin' });
const fill = (value: number, ts = Date.now()) => JSON.stringify({ ts, metrics: { fill: value, battery: 90 } });

function collect(client: MqttClient): { topic: string; payload: string; retain: boolean }[] {
  const seen: { topic: string; payload: string; retain: boolean }[] = [];
  client.on('message', (topic, payload, packet) =>
    seen.push({ topic, payload: payload.toString(), retain: packet.retain }),
  );
  return seen;
}

describe('login', () => {
  test.each([
    ['a wrong secret', 'bin-1', 'wrong', 'bin-1', 4],
    ['an unknown device', 'bin-9', 'wrong', 'bin-9', 4],
    ['no password', 'bin-1', '', 'bin-1', 4],
    ['another client id', 'bin-1', null, 'bin-2', 2],
  ])('login - %s gets its CONNACK code', async (_what, username, password, clientId, code) => {
    const secret = password ?? secrets.get(username)!;
    await expect(login(clientId, secret, { username })).rejects.toMatchObject({ code });
  });
});

describe('the path of a reading', () => {
  test('a reading above its threshold becomes one ticket with its evidence, and events report it', async () => {
    const watcher = await listener('watcher-1');
    const seen = collect(watcher);
    await watcher.subscribeAsync(['events/#', 'tickets/#', 'live/#'], { qos: 1 });
    const client = await device('bin-1');
    await until(async () => {
      await client.publishAsync('devices/bin-1/readings', fill(30), { qos: 1 });
      return seen.find(({ topic }) => topic === 'live/harbour/bin-1');
    });
    await client.publishAsync('devices/bin-1/readings', fill(95), { qos: 1 });
    const opened = await until(() => seen.find(({ topic }) => topic.startsWith('events/tickets/waste/')));
    const event = JSON.parse(opened.payload);
    expect(event).toMatchObject({ specversion: '1.0', type: 'city.lamppost.ticket.opened' });
    const ticket = await server.get<Ticket>(`/api/v1/tickets/${event.data.id}`);
    expect(ticket).toMatchObject({
      status: 'open',
      rule: 'bin-full',
      group: 'bin-1',
      department: 'waste',
      district: 'harbour',
      severity: 'medium',
    });
    expect(ticket.evidence!.window).toMatchObject({ metric: 'fill', value: 95, op: 'above', threshold: 90 });
    expect(ticket.evidence!.readings.at(-1)?.[1]).toBe(95);
    expect(ticket.evidence!.rule).toContain('bin-full');

    const late = await listener('watcher-2');
    const retained = collect(late);
    await late.subscribeAsync('tickets/#', { qos: 1 });
    await until(() => retained.find(({ topic, retain }) => retain && topic === `tickets/waste/${ticket.id}`));

    await client.publishAsync('devices/bin-1/readings', fill(96), { qos: 1 });
    await client.publishAsync('devices/bin-1/readings', fill(40), { qos: 1 });
    await until(() => seen.find(({ topic, payload }) => topic === `tickets/waste/${ticket.id}` && payload === ''));
    expect(await server.get<Ticket>(`/api/v1/tickets/${ticket.id}`)).toMatchObject({ status: 'resolved' });
    const all = await server.get<Page<Ticket>>('/api/v1/tickets?rule=bin-full&group=bin-1');
    expect(all.items).toHaveLength(1);
    for (const one of [client, watcher, late]) await one.endAsync();
  });

  test('a message keeps its good readings, the bad ones are quarantined with reason and path, and the device is notified', async () => {
    const client = await device('bin-2');
    const rejections = collect(client);
    await client.subscribeAsync('devices/bin-2/rejections');
    const ts = Date.now();
    const metrics = { fill: 50, battery: 'low', pm25: 3 };
    await client.publishAsync('devices/bin-2/readings', JSON.stringify({ ts, metrics }), { qos: 1 });
    await client.publishAsync('devices/bin-2/readings', fill(50, ts), { qos: 1 });
    await client.publishAsync('devices/bin-2/readings', fill(250), { qos: 2 });
    await client.publishAsync('devices/bin-2/readings', '{"ts": 1', { qos: 1 });
    await client.publishAsync('devices/bin-2/readings', fill(1, ts - 8 * 86_400_000), { qos: 1 });
    await client.publishAsync('devices/bin-2/readings', fill(1, ts + 600_000), { qos: 1 });
    const ledger = await until(async () => {
      const found = await server.settledLedger('bin-2');
      return found.messages.received === 6 ? found : undefined;
    });
    expect(ledger.messages).toEqual({ received: 6, decoded: 5, quarantined: 1, pending: 0 });
    // fill 50, battery of the second and third message; fill of the second is a duplicate.
    expect(ledger.readings).toEqual({ received: 11, stored: 3, replaced: 0, duplicate: 1, quarantined: 7 });
    const { items } = await server.get<Page<Quarantined>>('/api/v1/quarantine?device=bin-2');
    const faults = new Set(items.map(({ scope, reason, path }) => `${scope} ${reason} ${path}`));
    expect(faults).toEqual(
      new Set([
        'reading not-a-number $.metrics.battery',
        'reading unknown-metric $.metrics.pm25',
        'reading out-of-range $.metrics.fill',
        'message malformed $',
        'reading too-old $.ts',
        'reading in-the-future $.ts',
      ]),
    );
    await until(() => rejections.find(({ payload }) => payload.includes('unknown-metric')));
    const { series } = await server.get<{ series: Series[] }>('/api/v1/readings?device=bin-2&metric=fill');
    expect(series).toEqual([{ device: 'bin-2', metric: 'fill', unit: '%', points: [[ts, 50]] }]);
    await client.endAsync();
  });

  test('a device gets a notice of each of its faults while another one floods', async () => {
    const [client, other] = [await device('bin-2'), await device('bin-5')];
    const rejections = collect(client);
    await client.subscribeAsync('devices/bin-2/rejections');
    let isOver = false;
    const flood = Array.from({ length: 50 }, async () => {
      for (let n = 0; !isOver; n++) await other.publishAsync('devices/bin-5/readings', fill(n % 100), { qos: 1 });
    });
    const marks = Array.from({ length: 40 }, (_, n) => `mark-${n}`);
    for (const mark of marks)
      await client.publishAsync('devices/bin-2/readings', `{"metrics":{"${mark}":1}}`, { qos: 1 });
    const missing = () => marks.filter((mark) => !rejections.some(({ payload }) => payload.includes(`${mark}"`)));
    await until(
      () => missing().length === 0,
      () => `the rejections of ${missing()}`,
    );
    isOver = true;
    await Promise.all(flood);
    for (const one of [client, other]) await one.endAsync();
  });

  test('a retained message, a will and QoS 0 are processed like any other', async () => {
    // Nothing has come from it yet.
    expect((await server.settledLedger('bin-3')).messages.received).toBe(0);
    const client = await login('bin-3', secrets.get('bin-3')!, {
      will: { topic: 'devices/bin-3/readings', payload: Buffer.from(fill(11)), qos: 1, retain: false },
    });
    await client.publishAsync('devices/bin-3/readings', fill(10), { qos: 0, retain: true });
    await until(async () =>
      (await server.get<{ messages: { received: number } }>('/api/v1/ledger')).messages.received > 0 ? true : undefined,
    );
    client.stream.destroy();
    const ledger = await until(async () => {
      const found = await server.settledLedger('bin-3');
      return found.messages.received === 2 ? found : undefined;
    });
    expect(ledger.messages.decoded).toBe(2);
  });

  test('MQTT over WebSocket at /mqtt is the same broker', async () => {
    const client = await mqtt.connectAsync(`ws://127.0.0.1:${server.httpPort}/mqtt`, {
      clientId: 'bin-4',
      username: 'bin-4',
      password: secrets.get('bin-4')!,
      reconnectPeriod: 0,
    });
    await client.publishAsync('devices/bin-4/readings', fill(12), { qos: 1 });
    await client.endAsync();
    const ledger = await server.settledLedger('bin-4');
    expect(ledger.readings.stored).toBe(2);
  });
});

describe('limits', () => {
  test.each([
    ["another device's topic", 'devices/bin-2/readings'],
    ['a topic outside the contract', 'somewhere/else'],
    ['a topic of the server', 'events/alerts/x/y'],
    ['$SYS', '$SYS/x'],
  ])(
    'publishing to %s is acknowledged and dropped, the device gets the reason, and its connection goes on',
    async (_what, topic) => {
      const client = await device('bin-1');
      const notices: string[] = [];
      client.on('message', (_topic, payload) => notices.push(payload.toString()));
      await client.subscribeAsync('devices/bin-1/rejections', { qos: 1 });
      await client.publishAsync(topic, fill(1), { qos: 1 });
      await until(
        () => notices.some((text) => (JSON.parse(text) as { topic: string }).topic === topic),
        'the rejection',
      );
      await client.publishAsync('devices/bin-1/readings', fill(1), { qos: 1 });
      await client.endAsync();
    },
  );

  test("subscribing to another device's rejections is refused", async () => {
    const client = await device('bin-1');
    await expect(client.subscribeAsync('devices/bin-2/rejections')).rejects.toThrow();
    await client.endAsync();
  });

  test.each([
    ['before CONNECT', [], 17 * 1024],
    ['far larger than any', [], 200 * 1024 * 1024],
  ])('a packet that announces too much %s is cut before its body comes', async (_when, _first, length) => {
    const socket = connect(server.mqttPort, '127.0.0.1');
    const digits = [];
    for (let rest = length; rest > 0; rest = Math.floor(rest / 128))
      digits.push((rest % 128) | (rest >= 128 ? 128 : 0));
    const closed = once(socket, 'close');
    socket.on('error', () => {});
    socket.write(Buffer.from([0x10, ...digits]));
    await closed;
  });

  test('a packet over the limit after CONNECT is cut, and others go on', async () => {
    const other = await device('bin-2');
    const client = await device('bin-1');
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    client.on('error', () => {});
    client.publish('devices/bin-1/readings', Buffer.alloc(300 * 1024, 32), { qos: 1 });
    await closed;
    client.end(true);
    await other.publishAsync('devices/bin-2/readings', fill(41), { qos: 1 });
    await other.endAsync();
  });
});

describe('the API', () => {
  test('every route but the open ones refuses a missing key, and errors are problems', async () => {
    interface Operation {
      readonly security?: readonly object[];
    }
    const { paths } = await server.get<{ paths: Record<string, Record<string, Operation>> }>('/openapi.json');
    // test/unit/api/problems.test.ts has the list of open routes.
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { security }]) =>
        security?.length === 0 ? [] : [[method, path] as const],
      ),
    );
    expect(routes.length).toBeGreaterThan(18);
    for (const [method, path] of routes) {
      const response = await fetch(`http://127.0.0.1:${server.httpPort}${path.replace('{id}', 'x')}`, {
        method: method.toUpperCase(),
      });
      expect([response.status, path], path).toEqual([401, path]);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
    }
  });

  test('a viewer reads, but registers nothing; a mistake gets a response with what would be right', async () => {
    const { secret } = await server.post<{ secret: string }>('/api/v1/keys', { name: 'screen', role: 'viewer' });
    expect(await server.get<Page<Ticket>>('/api/v1/tickets', secret)).toHaveProperty('items');
    const register = (key: string, body: unknown) =>
      fetch(`http://127.0.0.1:${server.httpPort}/api/v1/devices`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await register(secret, { id: 'x', profile: 'noise', district: 'harbour' })).status).toBe(403);
    const wrong = await register(ADMIN_KEY, { id: 'x', profile: 'nose', district: 'harbour' });
    expect(wrong.status).toBe(400);
    expect(((await wrong.json()) as { detail: string }).detail).toContain('did you mean "noise"?');
    expect((await register(ADMIN_KEY, { id: 'bin-1', profile: 'noise', district: 'harbour' })).status).toBe(409);
    expect((await register(ADMIN_KEY, { id: 'has space', profile: 'noise', district: 'harbour' })).status).toBe(400);
  });

  test('server-sent events resume after Last-Event-ID without gaps or repeats, and report a position that is no longer available', async () => {
    const pages = await server.get<Page<{ n: number }>>('/api/v1/events?limit=1000');
    const numbers = pages.items.map(({ n }) => n);
    expect(numbers.length).toBeGreaterThan(2);
    expect(await streamed(numbers[0]!, numbers.length - 1)).toEqual(numbers.slice(1).map(String));
    expect((await streamText(999_999, 'event: reset')).includes('event: reset')).toBe(true);
  });

  test('metrics are Prometheus text, and have how long alerts, queries and requests took', async () => {
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const get = (path: string) => fetch(`http://127.0.0.1:${server.httpPort}${path}`, { headers });
    await (await get('/api/v1/readings?device=bin-1')).text();
    const text = await (await get('/metrics')).text();
    expect(text).toMatch(/^lamppost_messages_received_total \d+$/m);
    expect(text).toMatch(/^lamppost_alert_latency_seconds_count [1-9]/m);
    expect(text).toMatch(/^lamppost_query_duration_seconds_count [1-9]/m);
    expect(text).toMatch(
      /^lamppost_http_request_duration_seconds_count\{route="\/api\/v1\/readings",method="GET",status="2xx"\} [1-9]/m,
    );
    expect(text).toMatch(/^lamppost_engine_lag_seconds \d/m);
  });
});

async function streamText(last: number, enough: string | number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/events`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}`, accept: 'text/event-stream', 'last-event-id': String(last) },
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const satisfied = () =>
    typeof enough === 'string' ? text.includes(enough) : (text.match(/^id: .*\nevent: /gm)?.length ?? 0) >= enough;
  while (!satisfied()) text += (await reader.read()).value ?? '';
  await reader.cancel();
  return text;
}

async function streamed(last: number, count: number): Promise<string[]> {
  const text = await streamText(last, count);
  return [...text.matchAll(/^id: (\d+)-\w+\nevent: /gm)].map(([, id]) => id!);
}

test.skipIf(!hasMosquittoClients())("Mosquitto's own clients publish and subscribe", async () => {
  const common = ['-h', '127.0.0.1', '-p', String(server.mqttPort)];
  const sub = spawn('mosquitto_sub', [
    ...common,
    '-i',
    'm-sub',
    '-u',
    'admin',
    '-P',
    ADMIN_KEY,
    '-t',
    'devices/bin-1/status',
    '-C',
    '1',
  ]);
  const line = once(sub.stdout, 'data');
  execFileSync('mosquitto_pub', [
    ...common,
    '-i',
    'bin-1',
    '-u',
    'bin-1',
    '-P',
    secrets.get('bin-1')!,
    '-t',
    'devices/bin-1/readings',
    '-q',
    '2',
    '-m',
    fill(33),
  ]);
  expect(String((await line)[0])).toMatch(/online|offline/);
  sub.kill();
});
