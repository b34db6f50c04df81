import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CloudEvent, DeviceCommand, DeviceTwin, Page } from '../../domain/index.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const server = new ServerProcess();
// The history has no part in it.
server.readyPath = '/ready?for=devices';
const secrets = new Map<string, string>();

beforeAll(async () => {
  await server.start();
  const devices = ['lamp-1', 'lamp-2', 'lamp-3', 'lamp-4'].map((id) => ({
    id,
    profile: 'streetlight',
    district: 'harbour',
  }));
  for (const { id, secret } of await server.post<{ id: string; secret: string }[]>('/api/v1/devices', devices))
    secrets.set(id, secret);
});
afterAll(() => server.kill());

interface Received {
  readonly id: string;
  readonly command: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly validUntil: string;
}

/** A street light: it notes what it gets, and responds where `obeys`. */
class Lamp {
  readonly got: Received[] = [];
  readonly desired: string[] = [];
  readonly #client: MqttClient;

  constructor(id: string, { clean = false, obeys = true, subscribes = true } = {}) {
    const login = { clientId: id, username: id, password: secrets.get(id)!, clean, reconnectPeriod: 50 };
    this.#client = mqtt.connect({ host: '127.0.0.1', port: server.mqttPort, ...login });
    this.#client.on('error', () => {});
    this.#client.on('message', (topic, payload) => {
      if (topic.endsWith('/desired')) return void this.desired.push(payload.toString());
      const got = JSON.parse(payload.toString()) as Received;
      this.got.push(got);
      const result = JSON.stringify({ id: got.id, status: 'done' });
      if (obeys) void this.#client.publishAsync(`devices/${id}/results`, result, { qos: 1 }).catch(() => {});
    });
    const topics = [`devices/${id}/commands`, `devices/${id}/desired`];
    if (subscribes)
      this.#client.on('connect', () => void this.#client.subscribeAsync(topics, { qos: 1 }).catch(() => {}));
  }

  get connected(): boolean {
    return this.#client.connected;
  }

  report = (topic: string, body: unknown) => this.#client.publishAsync(topic, JSON.stringify(body), { qos: 1 });

  /** Ends without DISCONNECT. */
  async sleep(): Promise<void> {
    this.#client.stream.destroy();
    await this.#client.endAsync(true);
  }
}

const send = (device: string, level: number, validUntil?: number) =>
  server.post<DeviceCommand>(`/api/v1/devices/${device}/commands`, {
    ...{ command: 'dim', parameters: { level } },
    ...(validUntil === undefined ? {} : { validUntil: new Date(validUntil).toISOString() }),
  });
const stateOf = async ({ device, id }: DeviceCommand) =>
  (await server.get<DeviceCommand>(`/api/v1/devices/${device}/commands/${id}`)).state;
const reaches = (command: DeviceCommand, state: DeviceCommand['state']) =>
  until(async () => (await stateOf(command)) === state, `${command.id} ${state}`, 30);
/** Ends the process, and starts it again on the same data. */
const restart = () => server.kill().then(() => server.start());
const subscribed = async (device: string) => {
  const lamp = new Lamp(device);
  await reaches(await send(device, 1), 'acknowledged');
  return lamp;
};
/** The states that events say of a command, in their order. */
async function announced({ device, id }: DeviceCommand): Promise<string[]> {
  const { items } = await server.get<Page<{ event: CloudEvent }>>('/api/v1/events?limit=1000');
  const own = items.filter(({ event }) => event.subject === `commands/${device}/${id}`);
  return own.map(({ event }) => event.type.slice('city.lamppost.command.'.length));
}

test('kill -9 - a device that sleeps gets the newest command of each name once it wakes, and the log knows its result', async () => {
  const first = await subscribed('lamp-1');
  await first.sleep();
  const old = await send('lamp-1', 10);
  const newest = await send('lamp-1', 80);
  await restart();
  expect([await stateOf(old), await stateOf(newest)]).toEqual(['superseded', 'queued']);

  const awake = new Lamp('lamp-1');
  await reaches(newest, 'acknowledged');
  expect(new Set(awake.got.map(({ id }) => id))).toEqual(new Set([newest.id]));
  expect(awake.got[0]).toEqual({
    ...{ id: newest.id, command: 'dim', parameters: { level: 80 }, validUntil: newest.validUntil },
  });
  await restart();
  expect(await stateOf(newest)).toBe('acknowledged');
  expect(await announced(old)).toEqual(['queued', 'superseded']);
  const states = await announced(newest);
  expect([states[0], states.at(-1), new Set(states).size]).toEqual(['queued', 'acknowledged', states.length]);
  await awake.sleep();
});

test('kill -9 - a device without a kept session gets what it has not responded to each time that it subscribes', async () => {
  const mute = new Lamp('lamp-2', { clean: true, obeys: false });
  const command = await send('lamp-2', 30);
  await reaches(command, 'sent');
  await mute.sleep();
  await restart();
  const better = new Lamp('lamp-2', { clean: true });
  await reaches(command, 'acknowledged');
  expect(better.got.map(({ id }) => id)).toEqual([command.id]);
  expect(await announced(command)).toEqual(['queued', 'sent', 'acknowledged']);
  await better.sleep();
});

test('kill -9 - a command to a device that is gone expires, and the device does not get it later', async () => {
  const gone = await subscribed('lamp-3');
  await gone.sleep();
  const command = await send('lamp-3', 50, Date.now() + 1_500);
  const later = await send('lamp-3', 51);
  expect(await stateOf(command)).toBe('superseded');
  const restarted = await server.post<DeviceCommand>('/api/v1/devices/lamp-3/commands', {
    ...{ command: 'restart', validUntil: new Date(Date.now() + 1_500).toISOString() },
  });
  await restart();
  await reaches(restarted, 'expired');
  expect(await announced(restarted)).toEqual(['queued', 'expired']);
  const back = new Lamp('lamp-3');
  await reaches(later, 'acknowledged');
  expect(new Set(back.got.map(({ id }) => id))).toEqual(new Set([later.id]));
  await back.sleep();
});

test('kill -9 - what a device is wanted to be is retained for it, and what it reports is drift or none', async () => {
  const path = '/api/v1/devices/lamp-4/desired';
  const put = async (body: unknown) => {
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
    const response = await fetch(`http://127.0.0.1:${server.httpPort}${path}`, {
      ...{ method: 'PUT', headers, body: JSON.stringify(body) },
    });
    expect(response.status, await response.clone().text()).toBe(200);
    return response.headers.get('etag');
  };
  expect(await put({ level: 20 })).toBe('"1"');
  expect(await put({ level: 60, mode: 'night' })).toBe('"2"');
  await restart();
  const lamp = new Lamp('lamp-4');
  await until(() => lamp.desired.length > 0, 'the desired state');
  expect(lamp.desired.map((text) => JSON.parse(text))).toEqual([{ version: 2, desired: { level: 60, mode: 'night' } }]);
  await lamp.report('devices/lamp-4/reported', { level: 55, mode: 'night' });
  const drift = async () => (await server.get<DeviceTwin>(path)).drift;
  await until(async () => (await drift()).join() === '/level', 'drift of the level', 30);
  await restart();
  await until(() => lamp.connected, 'the device is back');
  expect(await drift()).toEqual(['/level']);
  await lamp.report('devices/lamp-4/reported', { level: 60, mode: 'night', firmware: '2.1' });
  await until(async () => (await drift()).length === 0, 'no drift', 30);
  const { messages } = await server.settledLedger('lamp-4');
  expect(messages).toEqual({ received: 2, decoded: 2, quarantined: 0, pending: 0 });
  await lamp.sleep();
});
