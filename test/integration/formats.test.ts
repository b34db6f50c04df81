import { readFileSync } from 'node:fs';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Page, type Quarantined, type Series, systemClock } from '../../domain/index.ts';
import { simulate } from '../../simulators/index.ts';
import { simulateFlags } from '../kit/cli/flags.ts';
import { type SparkplugMetric, sparkplug } from '../kit/ingest/sparkplug.ts';
import { RulesServer } from '../kit/rules/server.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

/** Messages of other systems on their own topics: what they are stored as, with a city folder and nothing else. */

const server = new RulesServer();
const title = '{ en: Probe, zh: 探头 }';
const edit = (path: string, change: (text: string) => string) => server.write(path, change(server.read(path)));
// The examples are of other years.
edit('city.yaml', (text) => text.replace('accepts: { past: 7d, ahead: 5m }', 'accepts: { past: 3650d, ahead: 3650d }'));
edit('metrics.yaml', (text) => `${text}online: { title: ${title}, unit: "1", min: 0, max: 1 }\n`);
edit('formats.yaml', (text) => text.replace('  rows: rows\n', '  rows: rows_with_online\n'));
edit('profiles.yaml', (text) => {
  const fields = [
    ...['outdoor_temperature', '"Datastreams(8)"', 'temp_soil', 'temp01ae', 'sensorBedroomT'].map(
      (field) => `    ${field}: { metric: temperature }`,
    ),
    '    SDS_P1: { metric: pm10 }',
    '    online: { metric: online }',
    '    "*": ignore',
  ];
  const metrics = '[temperature, humidity, pressure, pm25, pm10, battery, online]';
  return `${text}
probe:
  title: ${title}
  metrics: ${metrics}
  interval: 1h
  fields:
${fields.join('\n')}
edge: { title: ${title}, kind: gateway, metrics: [online], interval: 1h, fields: { online: { metric: online }, "*": ignore } }
`;
});

const secrets = new Map<string, string>();
async function register(id: string, more: object = {}): Promise<void> {
  if (secrets.has(id)) return;
  const device = { id, profile: 'probe', district: 'harbour', ...more };
  secrets.set(id, (await server.post<{ secret: string }>('/api/v1/devices', device)).secret);
}
const login = (id: string, secret = secrets.get(id)!, more: IClientOptions = {}) =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
    ...{ clientId: id, username: id, password: secret, reconnectPeriod: 0, ...more },
  });

let key: { readonly id: string; readonly secret: string };
let carrier: MqttClient;
let ended = 0;
beforeAll(async () => {
  await server.start();
  key = await server.post('/api/v1/keys', { name: 'carrier', role: 'network-server', uplinks: 'all' });
  carrier = await login(key.id, key.secret);
  carrier.on('close', () => ended++);
});
afterAll(async () => {
  await carrier.endAsync();
  await server.kill();
});

/** Returns the stored values of a device by their metrics, in the order of their times. */
async function stored(id: string): Promise<Record<string, (number | null)[]>> {
  await server.settledLedger(id);
  const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?device=${id}&from=0&to=4000000000000`);
  return Object.fromEntries(series.map(({ metric, points }) => [metric, points.map(([, value]) => value)]));
}

const reasonsOf = async (id: string) =>
  (await server.get<Page<Quarantined>>(`/api/v1/quarantine?device=${id}`)).items.map(({ reason }) => reason);

const fixture = (name: string) => readFileSync(new URL(`../fixtures/formats/${name}`, import.meta.url), 'utf8');

interface Case {
  readonly name: string;
  readonly topic: string;
  readonly payload_base64: string;
  /** A text: its message is about several devices. Null: it is refused. */
  readonly values: Readonly<Record<string, number>> | string | null;
}

describe('formats - what other systems send arrives by the city folder alone', () => {
  const cases = JSON.parse(fixture('cases.json')) as readonly Case[];

  test.each(cases.map((one) => [one.name, one] as const))('%s', async (name, { topic, payload_base64, values }) => {
    const payload = Buffer.from(payload_base64, 'base64');
    if (typeof values === 'string') {
      for (const id of ['s1', 's2']) await register(id);
      await carrier.publishAsync(topic.replace('%s', 'north'), payload, { qos: 1 });
      expect([await stored('s1'), await stored('s2')]).toEqual([{ temperature: [21.1] }, { temperature: [22.1] }]);
      return;
    }
    const id = `case-${cases.findIndex((one) => one.name === name)}`;
    await register(id);
    const client = await login(id);
    await client.publishAsync(topic.replace('%s', id), payload, { qos: 1 });
    await client.endAsync();
    const found = await stored(id);
    expect(found).toEqual(Object.fromEntries(Object.entries(values ?? {}).map(([metric, value]) => [metric, [value]])));
    expect(await reasonsOf(id)).toEqual(values === null ? ['malformed'] : []);
  });
});

interface Message {
  readonly topic: string;
  readonly payload?: unknown;
  readonly base64?: string;
}
interface Example extends Message {
  readonly sender?: string;
  readonly before?: readonly Message[];
  readonly want: Readonly<Record<string, Readonly<Record<string, number | string>>>>;
}

describe('formats - a message of each shipped format over MQTT or HTTP is stored', () => {
  const examples = parse(fixture('examples.yaml')) as Readonly<Record<string, readonly Example[]>>;
  const METRICS = ['temperature', 'humidity', 'pm25', 'pm10', 'battery'];
  const NAMES: Readonly<Record<string, string>> = {
    ...{ outdoor_temperature: 'temperature', 'Datastreams(8)': 'temperature', temp_soil: 'temperature' },
    ...{ SDS_P1: 'pm10', sensorBedroomT: 'temperature' },
  };
  const bytesOf = ({ payload, base64 }: Message) =>
    base64 === undefined
      ? Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload))
      : Buffer.from(base64, 'base64');

  async function send(message: Message, sender: string | undefined): Promise<void> {
    const [root, name] = message.topic.split('/');
    if (root === 'http') {
      const response = await push(`/ingest/http/${name}`, bytesOf(message), key.id, key.secret);
      expect(response.status, await response.text()).toBe(200);
    } else if (sender === undefined) await carrier.publishAsync(message.topic, bytesOf(message), { qos: 1 });
    else {
      const client = await login(sender);
      await client.publishAsync(message.topic, bytesOf(message), { qos: 1 });
      await client.endAsync();
    }
  }

  const all = Object.entries(examples).flatMap(([name, list]) => list.map((one, i) => [name, i, one] as const));
  test.each(all)('%s, message %i', async (_name, _i, { before = [], sender, want, ...message }) => {
    for (const id of Object.keys(want)) await register(id);
    for (const one of [...before, message]) await send(one, sender);
    for (const [id, fields] of Object.entries(want)) {
      const found = await stored(id);
      const read = Object.entries(fields).filter(([field]) => METRICS.includes(NAMES[field] ?? field));
      for (const [field, value] of read) {
        const values = found[NAMES[field] ?? field];
        expect(values, `${id}: ${field} of ${JSON.stringify(found)}`).toContain(Number(value));
      }
      expect(await reasonsOf(id)).toEqual([]);
    }
  });
});

const push = (path: string, body: Buffer | string, user: string, password: string) =>
  fetch(`http://127.0.0.1:${server.httpPort}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    },
    body,
  });

test.each([
  ['chirpstack?event=up', { deviceInfo: { applicationId: '7', devEui: '{id}' }, fCnt: 1, object: { temperature: 19 } }],
  [
    'tts',
    {
      end_device_ids: { device_id: 'bench', application_ids: { application_id: 'city' }, dev_eui: '{id}' },
      uplink_message: { decoded_payload: { temperature: 19 } },
    },
  ],
  ['ngsi-ld-notification', { data: [{ id: '{id}', temperature: { value: 19 } }] }],
])('formats - a webhook with a wrong secret, or of somebody else, stores nothing: %s', async (path, body) => {
  const id = `70b3d57ed0000${String(path.length).padStart(3, '0')}`;
  await register(id);
  const [address, text] = [`/ingest/http/${path}`, JSON.stringify(body).replace('{id}', id)];
  const viewer = await server.post<{ id: string; secret: string }>('/api/v1/keys', { name: path, role: 'viewer' });
  expect((await push(address, text, key.id, 'a-wrong-secret')).status).toBe(401);
  expect((await push(address, text, 'nobody', key.secret)).status).toBe(401);
  expect((await push(address, text, viewer.id, viewer.secret)).status).toBe(403);
  expect((await server.settledLedger(id)).messages.received).toBe(0);
  expect((await push(address, text, key.id, key.secret)).status).toBe(200);
  expect(await stored(id)).toEqual({ temperature: [19] });
});

test('formats - of a notification of an NGSI-LD subscription, only entities of the key are taken', async () => {
  const [own, other] = ['urn:ngsi-ld:Bench:1', 'urn:ngsi-ld:Bench:2'];
  for (const id of [own, other]) await register(id);
  const bound = await server.post<{ id: string; secret: string }>('/api/v1/keys', {
    ...{ name: 'broker', role: 'network-server', uplinks: { devices: [own] } },
  });
  const entity = (id: string, value: number) => ({
    ...{ id, type: 'Bench', temperature: { type: 'Property', value, unitCode: 'CEL' } },
  });
  const body = JSON.stringify({
    ...{ id: 'urn:ngsi-ld:Notification:1', type: 'Notification', data: [entity(own, 19), entity(other, 20)] },
  });
  const path = '/ingest/http/ngsi-ld-notification';
  expect((await push(path, body, bound.id, bound.secret)).status).toBe(200);
  expect(await stored(own)).toEqual({ temperature: [19] });
  expect(await stored(other)).toEqual({});
  const { items } = await server.get<Page<Quarantined>>('/api/v1/quarantine?reason=not-your-device');
  expect(items).toMatchObject([{ reason: 'not-your-device' }]);
});

describe('formats - a stream of Sparkplug B, from an edge node with a will', () => {
  const topicOf = (kind: string, device?: string) =>
    `spBv1.0/city/${kind}/node${device === undefined ? '' : `/${device}`}`;
  const session = (value: number): SparkplugMetric => ({ name: 'bdSeq', type: 'Int64', value });
  const t = (value: number): SparkplugMetric => ({ name: 'temperature', alias: 7, type: 'Int16', value });
  const byAlias = (value: number): SparkplugMetric => ({ alias: 7, type: 'Int16', untyped: true, value });
  let at = 0;
  let node: MqttClient;

  async function connect(bdSeq: number): Promise<void> {
    const will = {
      topic: topicOf('NDEATH'),
      payload: sparkplug([session(bdSeq)], null),
      qos: 1,
      retain: false,
    } as const;
    node = await login('node', undefined, { will });
    await send('NBIRTH', 0, [session(bdSeq)]);
  }
  const send = (kind: string, seq: number, metrics: readonly SparkplugMetric[], device?: string) =>
    node.publishAsync(topicOf(kind, device), sparkplug(metrics, seq, next()), { qos: 1 });
  const next = () => {
    at = Math.max(at + 1, Date.now());
    return at;
  };
  const values = async (device: string) => {
    const { temperature = [], online = [] } = await stored(device);
    return { temperature, online };
  };

  beforeAll(async () => {
    await register('node', { profile: 'edge' });
    for (const id of ['pump', 'tank']) await register(id, { gateway: 'node' });
    await connect(0);
  });
  afterAll(() => node.endAsync());

  test('births announce names, aliases and types; data by alias is stored, also below zero', async () => {
    await send('DBIRTH', 1, [t(20)], 'pump');
    await send('DBIRTH', 2, [t(10)], 'tank');
    await send('DDATA', 3, [byAlias(-7)], 'pump');
    expect(await values('pump')).toEqual({ temperature: [20, -7], online: [1] });
    expect(await values('tank')).toEqual({ temperature: [10], online: [1] });
    expect(await values('node')).toMatchObject({ online: [1] });
    expect(await reasonsOf('pump')).toEqual([]);
  });

  test('a message that is missing, or late, is said; aliases are refused until the rebirth, and then stored by a replay', async () => {
    await send('DDATA', 5, [byAlias(21)], 'pump');
    await send('DDATA', 4, [byAlias(22)], 'pump');
    expect((await values('pump')).temperature).toEqual([20, -7]);
    expect(await reasonsOf('pump')).toContain('missing-messages');
    expect((await reasonsOf('pump')).filter((reason) => reason === 'not-announced')).toHaveLength(2);
    await send('NBIRTH', 0, [session(0)]);
    await send('DBIRTH', 1, [t(23)], 'pump');
    await send('DBIRTH', 2, [t(11)], 'tank');
    await send('DDATA', 3, [byAlias(24)], 'pump');
    expect((await values('pump')).temperature).toEqual([20, -7, 23, 24]);
    await server.post('/api/v1/quarantine/replay', { device: 'pump', reason: 'not-announced' });
    await until(async () => (await values('pump')).temperature.length >= 6, 'the replay', 50);
    expect((await values('pump')).temperature.toSorted((a, b) => a! - b!)).toEqual([-7, 20, 21, 22, 23, 24]);
  });

  test('a death of a device marks it as offline and voids its aliases; names go on', async () => {
    await send('DDEATH', 4, [], 'tank');
    await send('DDATA', 5, [byAlias(99)], 'tank');
    expect((await values('tank')).online.at(-1)).toBe(0);
    expect((await values('tank')).temperature).not.toContain(99);
    expect(await reasonsOf('tank')).toEqual(['not-announced']);
    await send('DDATA', 6, [{ name: 'temperature', type: 'Double', value: 12.5 }], 'tank');
    expect((await values('tank')).temperature).toContain(12.5);
  });

  test('the will of a node that is cut off is its death, survives a kill -9, and its next birth begins anew', async () => {
    node.stream.destroy();
    await until(async () => (await values('node')).online.at(-1) === 0, 'the death', 50);
    await carrier.endAsync();
    await server.kill();
    await server.start();
    carrier = await login(key.id, key.secret);
    carrier.on('close', () => ended++);
    await connect(1);
    await send('DDATA', 1, [byAlias(98)], 'pump');
    expect((await values('pump')).temperature).not.toContain(98);
    expect((await values('node')).online.at(-1)).toBe(1);
    await send('DBIRTH', 2, [t(30)], 'pump');
    await send('DDATA', 3, [byAlias(31)], 'pump');
    expect((await values('pump')).temperature.slice(-2)).toEqual([30, 31]);
  });
});

test('formats - a stream in the shape of zigbee2mqtt: values are stored, the rest is dropped, nothing ends the connection', async () => {
  await register('hall');
  await register('0x00158d0001a2b3c4');
  ended = 0;
  const say = (topic: string, payload: unknown) =>
    carrier.publishAsync(`zigbee2mqtt/${topic}`, JSON.stringify(payload), { qos: 1, retain: true });
  await say('bridge/state', { state: 'online' });
  await say('bridge/devices', [{ ieee_address: '0x00158d0001a2b3c4', friendly_name: 'hall', type: 'EndDevice' }]);
  await say('hall/availability', { state: 'online' });
  await say('hall', { battery: 88, humidity: 44.6, linkquality: 120, temperature: 21.7, update: { state: 'idle' } });
  await stored('hall');
  await say('hall', { battery: 88, humidity: 44.8, linkquality: 90, temperature: -3.25, last_seen: '2026-11-28' });
  await say('0x00158d0001a2b3c4', { temperature: 5 });
  await say('cellar', { temperature: 1 });
  await say('hall/availability', { state: 'offline' });
  await say('bridge/state', { state: 'offline' });
  expect(await stored('hall')).toEqual({ battery: [88, 88], humidity: [44.6, 44.8], temperature: [21.7, -3.25] });
  expect(await stored('0x00158d0001a2b3c4')).toEqual({ temperature: [5] });
  expect(await reasonsOf('hall')).toEqual([]);
  const { items } = await server.get<Page<Quarantined>>('/api/v1/quarantine?reason=unknown-device');
  expect(items).toMatchObject([{ device: 'cellar' }]);
  expect(ended).toBe(0);
});

test('formats - a simulated street light that sends as Tasmota obeys a command, and its readings are stored', async () => {
  const over = new AbortController();
  const out: string[] = [];
  const deps = { clock: systemClock, out: (line: string) => out.push(line), err: (line: string) => out.push(line) };
  const to = ['--key', ADMIN_KEY, '--api', server.url, '--url', `mqtt://127.0.0.1:${server.mqttPort}`];
  const how = ['--city', server.city, '--devices', '12', '--format', 'tasmota', '--speed', '60'];
  const simulated = simulate(simulateFlags([...to, ...how]), {}, { ...deps, signal: over.signal });
  void simulated.then(() => over.abort());
  const lamp = await until(
    async () => {
      const lamps = await server.all<{ id: string; profile: string }>('/api/v1/devices');
      return lamps.find(({ profile }) => profile === 'streetlight');
    },
    () => `a street light: ${out.join('\n')}`,
  );
  const path = `/api/v1/devices/${lamp.id}/commands`;
  const { id } = await server.post<{ id: string }>(path, { command: 'dim', parameters: { level: 40 } });
  await until(
    async () => (await server.get<{ state: string }>(`${path}/${id}`)).state === 'acknowledged',
    'its acknowledgement',
  );
  const shadow = () => server.get<{ reported: { state: object } | null }>(`/api/v1/devices/${lamp.id}/desired`);
  await until(async () => JSON.stringify(await shadow()).includes('"level":40'), 'what it reports');
  await until(async () => Object.keys(await stored(lamp.id)).length === 2, 'its readings');
  expect(Object.keys(await stored(lamp.id)).toSorted()).toEqual(['power', 'voltage']);
  over.abort();
  expect(await simulated, out.join('\n')).toBe(0);
});
