import { gzipSync } from 'node:zlib';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ledger, Page, Quarantined, Series, Ticket } from '../../domain/index.ts';
import type { BacktestReport } from '../../rules/index.ts';
import { publishPacket, rawLogin } from '../kit/broker/kit.ts';
import { full, RulesServer } from '../kit/rules/server.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

/** Reports of users of this field, over the real ways in; `way.test.ts` and `http-edge.test.ts` have the rest. */

const dust = (id: string, more = '') =>
  `id: ${id}\ntitle: Dust\nwhere: { profile: analyser }\nwhen: { metric: pm25, mean: 10m, above: 50 }\n` +
  `severity: low\n${more}`;
const RULES = {
  'bin-full': full('bin-full', 90, 'ticket: { service: waste, deadline: 12h }\n'),
  'dust-sure': dust('dust-sure', 'suspect: ignore\n'),
  'dust-any': dust('dust-any'),
  'noise-odd':
    'id: noise-odd\ntitle: Odd\nwhere: { profile: noise, device: learner }\n' +
    'when: { metric: laeq, last: true, anomaly: { season: 1d, train: 14d, least: 1 } }\nseverity: low\n',
  'noise-silent':
    'id: noise-silent\ntitle: "{{device.name}} is silent"\nwhere: { profile: noise }\nwhen: { absent: 2s }\n' +
    'severity: low\n',
};
const server = new RulesServer(RULES);
server.write(
  'formats.yaml',
  `${server.read('formats.yaml')}
logger: { topic: "logger/{device}", content: csv, columns: [pm25, temperature], flatten: "@" }
packed: { topic: "packed/{device}", content: cbor, flatten: "@" }
pairs: { topic: "pairs/{device}", content: key-value, separator: ";", flatten: "@" }
`,
);

server.write(
  'profiles.yaml',
  `${server.read('profiles.yaml')}
analyser: { title: { en: Analyser, zh: 分析仪 }, metrics: [pm25], interval: 1m, quality: true }
`,
);

type Way = 'mqtt' | 'http' | 'network server';
interface Case {
  readonly name: string;
  readonly profile: string;
  readonly way: Way;
  readonly topic: string;
  readonly payloads: readonly (string | Buffer)[];
  /** Stored values, by metric. */
  readonly stored: Readonly<Record<string, readonly number[]>>;
  readonly refused: readonly string[];
  readonly duplicate: number;
}

const now = Date.now();
const ago = (seconds: number) => new Date(now - seconds * 1_000).toISOString();
const NEVER = '0001-01-01T00:00:00Z';
const mark = (text: string) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]);
const padded = (text: string) => Buffer.concat([Buffer.from(text), Buffer.alloc(2)]);
const kept = { temperature: [21.5] };

type Found = Partial<Pick<Case, 'stored' | 'refused' | 'duplicate'>>;
const cases: Case[] = [];
function add(
  way: Way,
  profile: string,
  topic: string,
  name: string,
  payloads: readonly (string | Buffer | object)[],
  found: Found,
): void {
  const texts = payloads.map((one) => (typeof one === 'string' || Buffer.isBuffer(one) ? one : JSON.stringify(one)));
  cases.push({ name, profile, way, topic, payloads: texts, stored: kept, refused: [], duplicate: 0, ...found });
}

function faultCodes(): void {
  const push = (values: Readonly<Record<string, unknown>>) => ({
    esp8266id: '1',
    sensordatavalues: Object.entries(values).map(([value_type, value]) => ({ value_type, value })),
  });
  const sds = push({ SDS_P1: '1999.90', SDS_P2: '999.90', BME280_temperature: '21.5' });
  const at = (paths: readonly string[]) => ({ refused: paths.map((path) => `fault-code ${path}`) });
  const inPush = at(['$.sensordatavalues[0].value', '$.sensordatavalues[1].value']);
  const station = 'sensor-community';
  add('mqtt', station, 'devices/{id}/sensor-community', 'SDS011 in a push', [sds], inPush);
  add('mqtt', station, 'airrohr/{id}', 'SDS011 by its firmware', [sds], inPush);
  add('http', station, '/ingest/http/airrohr', 'SDS011 by its firmware over HTTP', [sds], inPush);
  const numbers = { metrics: { pm10: 1999.9, pm25: 999.9, temperature: 21.5 } };
  add('http', station, '/ingest/{id}', 'SDS011 in native JSON', [numbers], at(['$.metrics.pm10', '$.metrics.pm25']));
  const pack = [
    { n: 'pm10', u: 'ug/m3', v: 1999.9 },
    { n: 'pm25', u: 'ug/m3', v: 999.9 },
    { n: 'temperature', u: 'K', v: 294.65 },
  ];
  add('mqtt', station, 'devices/{id}/senml', 'SDS011 in SenML', [pack], at(['$[0].v', '$[1].v']));
}

/** A value that is none, in every format: it is refused where it is, and what is beside it is kept. */
function badValues(): void {
  const bad = (topic: string, payload: string | Buffer, path: string, reason = 'not-a-number') =>
    add('mqtt', 'air-quality', topic, `${topic}: ${String(payload).slice(0, 60)}`, [payload], {
      refused: [`${reason} ${path}`],
    });
  for (const text of ['NaN', '-Infinity', '1e999', '+5', '0x1F', '1,5', '', '"NaN"', 'null'])
    bad('devices/{id}/readings', `{"metrics":{"pm25":${text},"temperature":21.5}}`, '$.metrics.pm25');
  bad('devices/{id}/senml', '[{"n":"pm25","v":NaN},{"n":"temperature","u":"Cel","v":21.5}]', '$[0].v', 'wrong-shape');
  const cbor = '82a20064706d323502f97e00a3006b74656d7065726174757265016343656c02fb4035800000000000';
  bad('devices/{id}/senml-cbor', Buffer.from(cbor, 'hex'), '$[0].v');
  bad(
    'tele/{id}/SENSOR',
    '{"BME280":{"Temperature":21.5},"SDS0X1":{"PM2.5":nan}}',
    '$ | not_null(SDS0X1."PM2.5", PMS5003."PM2.5")',
  );
  bad('v1/devices/me/telemetry', '{"temperature":21.5,"pm25":NaN}', '$ | not_null(values, @).pm25');
  bad('v1/devices/me/telemetry', '{"temperature":21.5,"pm25":"NaN","serial":"nan-1"}', '$ | not_null(values, @).pm25');
  bad(
    'telegraf/{id}/air',
    `{"fields":{"temperature":21.5,"pm25":-inf},"timestamp":${Math.floor(now / 1_000)}}`,
    '$ | not_null(metrics, @).fields.pm25',
  );
  bad(
    '$aws/things/{id}/shadow/update',
    '{"state":{"reported":{"temperature":21.5,"pm25":NaN}}}',
    '$.state.reported.pm25',
  );
  bad('airgradient/readings/{id}', '{"pm02":NaN,"atmp":21.5}', '$.pm02');
  bad('ngsi/{id}', '{"temperature":{"value":21.5},"pm25":{"value":NaN}}', '$ | not_null(data, @).pm25.value');
  bad('/ul/key/{id}/attrs', 't|21.5|h|nan', '$[0].h');
  bad('line-protocol/{id}', `air temperature=21.5,pm25=NaN ${now}000000`, '$[0].fields.pm25');
  bad('line-protocol/{id}', `air temperature=21.5,pm25 ${now}000000`, '$[0].fields', 'malformed');
  bad('line-protocol/{id}', `air pm25 ${now}000000\nair temperature=21.5 ${now}000000`, '$[0]', 'malformed');
  bad('logger/{id}', 'nan,21.5', '$[0].pm25');
  bad('logger/{id}', '1,5,21.5\n\n,21.5', '$[0]', 'malformed');
  bad('pairs/{id}', 'temperature=21.5;pm25=-NaN', '$.pm25');
  bad('pairs/{id}', 'temperature=21.5;pm25', '$', 'malformed');
}

function encodings(): void {
  const nul = { refused: ['malformed $'] };
  const texts: readonly (readonly [topic: string, text: string])[] = [
    ['devices/{id}/readings', '{"metrics":{"temperature":21.5}}'],
    ['devices/{id}/senml', '[{"n":"temperature","u":"Cel","v":21.5}]'],
    ['tele/{id}/SENSOR', '{"BME280":{"Temperature":21.5}}'],
    ['v1/devices/me/telemetry', '{"temperature":21.5}'],
    ['shellies/{id}/sensor/temperature', '21.5'],
    ['/ul/key/{id}/attrs', 't|21.5'],
    ['line-protocol/{id}', `air temperature=21.5 ${now}000000`],
    ['logger/{id}', ',21.5'],
    ['pairs/{id}', 'temperature=21.5'],
  ];
  for (const [topic, text] of texts) {
    add('mqtt', 'air-quality', topic, `a byte order mark, ${topic}`, [mark(text)], {});
    add('mqtt', 'air-quality', topic, `NUL bytes at the end, ${topic}`, [padded(text)], nul);
  }
  const [cbor, pack] = [
    'a16b74656d7065726174757265fb4035800000000000',
    '81a3006b74656d7065726174757265016343656c02fb4035800000000000',
  ];
  const bytes = (hex: string) => Buffer.from(`${hex}000000`, 'hex');
  add('mqtt', 'air-quality', 'packed/{id}', 'NUL bytes at the end of CBOR', [bytes(cbor)], nul);
  add('mqtt', 'air-quality', 'devices/{id}/senml-cbor', 'NUL bytes at the end of SenML CBOR', [bytes(pack)], nul);
  add('http', 'air-quality', '/ingest/{id}', 'a byte order mark over HTTP', [mark(texts[0]![1])], {});
  const twice = '{"BME280":{"Temperature":20,"Temperature":21.5}}';
  add('mqtt', 'air-quality', 'tele/{id}/SENSOR', 'a key twice, in a declared format', [twice], {
    refused: ['ambiguous $.BME280.Temperature'],
  });
}

function uplinks(): void {
  const [CHIRPSTACK, THINGS] = ['application/7/device/{id}/event/up', 'v3/air@t/devices/roof/up'];
  const object = { air: { temperature: 21.5 } };
  const four = (more: object) => ({
    ...{ deduplicationId: 'a', deviceInfo: { devEui: '{id}' }, devAddr: '01020304', fCnt: 5, fPort: 2, data: 'AQI=' },
    ...{ object, ...more },
  });
  const three = (more: object) => ({ devEUI: '{id}', fCnt: 3, fPort: 2, data: 'AQI=', object, ...more });
  const things = (more: object, top: object = {}) => ({
    ...{ end_device_ids: { dev_eui: '{ID}', dev_addr: '01020304' }, ...top },
    uplink_message: {
      ...{ session_key_id: 'AXA5', f_cnt: 7, f_port: 2, frm_payload: 'AQI=', decoded_payload: object, ...more },
    },
  });
  const up = (topic: string, name: string, payloads: readonly object[], found: Found = {}) =>
    add('network server', 'lorawan-climate', topic, name, payloads, found);
  const gateways = [{ time: NEVER }, { time: ago(4) }];
  up(CHIRPSTACK, 'ChirpStack 3, a gateway in the year 1', [three({ rxInfo: gateways })]);
  up(CHIRPSTACK, 'ChirpStack 4, a gateway in the year 1', [four({ rxInfo: [{ gwTime: NEVER }, { gwTime: ago(4) }] })]);
  up(CHIRPSTACK, 'ChirpStack 4, its own time is of 1970', [four({ time: '1970-01-01T00:00:12Z', rxInfo: gateways })]);
  up(THINGS, 'The Things Stack, a time of the year 1', [things({ received_at: NEVER }, { received_at: ago(4) })]);

  const again = { duplicate: 1 };
  const other = { deduplicationId: 'b', rxInfo: [{ gatewayId: 'other' }] };
  up(CHIRPSTACK, 'ChirpStack 4, 48 s later', [four({ time: ago(60) }), four({ time: ago(12), ...other })], again);
  const received = (seconds: number) => ({ rxInfo: [{ time: ago(seconds) }] });
  up(
    CHIRPSTACK,
    'ChirpStack 3, 48 s later',
    [three({ ...received(60), devAddr: 'AQIDBA==' }), three({ ...received(12), devAddr: 'AQIDBA==' })],
    again,
  );
  up(CHIRPSTACK, 'ChirpStack 3 without devAddr, 48 s later', [three(received(60)), three(received(12))], again);
  up(
    THINGS,
    'The Things Stack, 48 s later',
    [things({ received_at: ago(60) }), things({ received_at: ago(12) })],
    again,
  );
  const bare = (seconds: number) => things({ received_at: ago(seconds), session_key_id: undefined });
  up(THINGS, 'The Things Stack without the key of its session, 48 s later', [bare(60), bare(12)], again);
  const restarts = [four({ fCnt: 0, time: ago(7_200) }), four({ fCnt: 0, time: ago(3_600) })];
  const twice = { temperature: [21.5, 21.5] };
  up(CHIRPSTACK, 'a counter that starts again, ChirpStack', [...restarts, restarts[1]!], { stored: twice, ...again });
  const frame = (data: string, seconds: number) => things({ f_cnt: 0, received_at: ago(seconds), frm_payload: data });
  const rejoined = [frame('AQI=', 60), frame('AQM=', 30), frame('AQM=', 30)];
  up(THINGS, 'a counter that starts again, The Things Stack', rejoined, { stored: twice, ...again });
}

faultCodes();
badValues();
encodings();
uplinks();

/** A place in the harbour of the sample city, and one some metres north of another. */
const BIN = { lat: 32.015, lon: 118.76 };
const LAMP = { lat: 32.02, lon: 118.75 };
const north = ({ lat, lon }: typeof BIN, metres: number) => ({
  lat: String(lat + metres / 111_195),
  long: String(lon),
});
const secrets = new Map<string, string>();
const idOf = (i: number) =>
  cases[i]!.way === 'network server' ? (0x70b3d57ed0000000n + BigInt(i)).toString(16) : `d-${i}`;

const login = (id: string, password = secrets.get(id)!, username = id, more: mqtt.IClientOptions = {}) =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
    ...{ clientId: id, username, password, reconnectPeriod: 0, ...more },
  });
const url = (path: string) => `http://127.0.0.1:${server.httpPort}${path}`;
let key: { readonly id: string; readonly secret: string };

async function register(devices: readonly { readonly id: string; readonly profile: string }[]): Promise<void> {
  const all = devices.map((device) => ({ ...device, district: 'harbour' }));
  for (const { id, secret } of await server.post<{ id: string; secret: string }[]>('/api/v1/devices', all))
    secrets.set(id, secret);
}

async function send({ way, topic, payloads }: Case, id: string, client: MqttClient | null): Promise<void> {
  const filled = (text: string) => text.replaceAll('{id}', id).replaceAll('{ID}', id.toUpperCase());
  for (const payload of payloads) {
    const body = typeof payload === 'string' ? filled(payload) : payload;
    if (way !== 'http') await client!.publishAsync(filled(topic), body, { qos: 1 });
    else {
      const authorization = `Basic ${Buffer.from(`${id}:${secrets.get(id)}`).toString('base64')}`;
      const headers = { authorization, 'content-type': 'application/json' };
      const response = await fetch(url(filled(topic)), { method: 'POST', headers, body });
      expect(response.status, await response.text()).toBe(200);
    }
  }
}

beforeAll(async () => {
  await server.start();
  await register(cases.map(({ profile }, i) => ({ id: idOf(i), profile })));
  key = await server.post('/api/v1/keys', { name: 'network server', role: 'network-server', uplinks: 'all' });
  const network = await login('lns', key.secret, key.id);
  for (const [i, one] of cases.entries()) {
    const client = one.way === 'mqtt' ? await login(idOf(i)) : network;
    await send(one, idOf(i), client);
    if (client !== network) await client.endAsync();
  }
  await network.endAsync();
  await server.settledLedger();
});
afterAll(() => server.kill());

describe('what comes in', () => {
  test.each(cases.map(({ way, name }, i) => [way, name, i] as const))('field - over %s: %s', async (_way, _name, i) => {
    const { stored, refused, duplicate } = cases[i]!;
    const id = idOf(i);
    const span = `from=${now - 86_400_000}&to=${now + 3_600_000}`;
    const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?device=${id}&${span}`);
    const found = Object.fromEntries(series.map(({ metric, points }) => [metric, points.map(([, value]) => value)]));
    expect(found).toEqual(stored);
    const { items } = await server.get<Page<Quarantined>>(`/api/v1/quarantine?device=${id}`);
    expect(items.map(({ reason, path }) => `${reason} ${path}`).toSorted()).toEqual(refused.toSorted());
    const { readings } = await server.get<Ledger>(`/api/v1/ledger?device=${id}`);
    expect(readings).toMatchObject({ duplicate, quarantined: refused.length });
  });
});

describe('what is beside the readings', () => {
  test.each([
    ['gzip', { 'content-encoding': 'gzip' }, (text: string) => gzipSync(text)],
    [
      'UTF-16',
      { 'content-type': 'application/json; charset=utf-16le' },
      (text: string) => Buffer.from(text, 'utf16le'),
    ],
    [
      'gzip of NaN beside a value',
      { 'content-encoding': 'gzip' },
      (text: string) => gzipSync(text.replace('"humidity":40', '"humidity":NaN')),
    ],
  ])('field - over HTTP %s is stored as the plain text would be', async (name, more, written) => {
    const id = `packed-${name.length}`;
    await register([{ id, profile: 'air-quality' }]);
    const authorization = `Basic ${Buffer.from(`${id}:${secrets.get(id)}`).toString('base64')}`;
    const headers = { authorization, 'content-type': 'application/json', ...more };
    const body = written(JSON.stringify({ ts: now, metrics: { temperature: 21.5, humidity: 40 } }));
    expect((await fetch(url(`/ingest/${id}`), { method: 'POST', headers, body })).status).toBe(200);
    await server.settledLedger(id);
    const span = `from=${now - 1_000}&to=${now + 1_000}`;
    const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?device=${id}&${span}`);
    const found = series.map(({ metric, points }) => [metric, points[0]?.[1]]);
    expect(found).toEqual([...(name.includes('NaN') ? [] : [['humidity', 40]]), ['temperature', 21.5]]);
  });

  test('field - what is packed without saying so is refused and named, over every way in', async () => {
    await register([{ id: 'packer', profile: 'air-quality' }]);
    const packed = gzipSync('{"metrics":{"temperature":21.5}}');
    const client = await login('packer');
    const topics = ['devices/packer/readings', 'devices/packer/senml', 'tele/packer/SENSOR', 'logger/packer'];
    const binary = ['devices/packer/senml-cbor', 'packed/packer', 'pairs/packer', 'line-protocol/packer'];
    for (const topic of [...topics, ...binary]) await client.publishAsync(topic, packed, { qos: 1 });
    await client.endAsync();
    const authorization = `Basic ${Buffer.from(`packer:${secrets.get('packer')}`).toString('base64')}`;
    const headers = { authorization, 'content-type': 'application/json' };
    expect((await fetch(url('/ingest/packer'), { method: 'POST', headers, body: packed })).status).toBe(200);
    await server.settledLedger('packer');
    const { items } = await server.get<Page<Quarantined>>('/api/v1/quarantine?device=packer');
    expect(items.map(({ reason, scope }) => `${scope} ${reason}`)).toEqual(Array(9).fill('message malformed'));
    for (const { topic, detail } of items) expect(detail, topic).toContain('it looks like gzip');
  });

  test.each([
    ['over the same connection', false],
    ['over another connection of a kept session', true],
  ])('field - QoS 2 that comes again %s before its PUBREL is one message and one reading', async (_, again) => {
    const id = `twice-${again}`;
    await register([{ id, profile: 'air-quality' }]);
    const enter = () => rawLogin(server.mqttPort, id, { password: Buffer.from(secrets.get(id)!), clean: false });
    const publish = (dup: boolean) => publishPacket(`devices/${id}/readings`, '{"metrics":{"pm25":5}}', 2, 7, { dup });
    let device = await enter();
    device.send(publish(false));
    await until(() => device.got('pubrec').length === 1, 'PUBREC');
    if (again) {
      device.socket.destroy();
      device = await enter();
    }
    const before = device.got('pubrec').length;
    device.send(publish(true));
    await until(() => device.got('pubrec').length === before + 1, 'PUBREC again');
    device.send({ cmd: 'pubrel', messageId: 7 });
    await until(() => device.got('pubcomp').length === 1, 'PUBCOMP');
    const ledger = await server.settledLedger(id);
    expect([ledger.messages.received, ledger.readings]).toMatchObject([1, { received: 1, stored: 1, duplicate: 0 }]);
    device.send(publish(false));
    await until(() => device.got('pubrec').length === before + 2, 'PUBREC of the next');
    expect((await server.settledLedger(id)).messages.received, 'after PUBREL it is another message').toBe(2);
    device.socket.destroy();
  });

  test('field - a device whose clock is wrong by a steady offset is shown with it', async () => {
    await register([{ id: 'late-clock', profile: 'noise' }]);
    const client = await login('late-clock');
    const offsetMs = -90 * 60_000;
    for (let n = 0; n < 20; n++) {
      const reading = { ts: Date.now() + offsetMs, metrics: { laeq: 40 + n } };
      await client.publishAsync('devices/late-clock/readings', JSON.stringify(reading), { qos: 1 });
    }
    await client.endAsync();
    await server.settledLedger('late-clock');
    const { clock } = await server.get<{ clock: { offsetSeconds: number } | null }>('/api/v1/devices/late-clock');
    expect(Math.abs(clock!.offsetSeconds * 1_000 - offsetMs)).toBeLessThan(60_000);
  });

  test('field - a birth or a notification of a bridge on a foreign topic is acknowledged, dropped and notified; readings arrive', async () => {
    await register([{ id: 'bird', profile: 'air-quality' }]);
    const will = {
      topic: '$SYS/broker/connection/bird/state',
      payload: Buffer.from('0'),
      qos: 1,
      retain: true,
    } as const;
    const client = await login('bird', undefined, undefined, { will });
    const seen: string[] = [];
    client.on('message', (_, payload) => seen.push((JSON.parse(String(payload)) as { topic: string }).topic));
    await client.subscribeAsync('devices/bird/rejections', { qos: 1 });
    const topics = ['devices/bird/status', 'tele/bird/LWT', '$SYS/broker/connection/bird/state'];
    for (const topic of topics) await client.publishAsync(topic, 'online', { qos: 1, retain: true });
    await client.publishAsync('devices/bird/readings', '{"metrics":{"pm25":1}}', { qos: 1 });
    await until(() => seen.length === topics.length, 'its notices');
    expect(seen).toEqual(topics);
    expect((await server.settledLedger('bird')).readings).toMatchObject({ received: 1, stored: 1 });
    await client.endAsync();
  });

  test('field - uplinks of a network server arrive over the connection on which its bridge announces itself', async () => {
    await register([{ id: '70b3d57ed0009999', profile: 'lorawan-climate' }]);
    const bridge = await login('bridge', key.secret, key.id);
    let ends = 0;
    bridge.on('close', () => ends++);
    await bridge.publishAsync('$SYS/broker/connection/bridge/state', '1', { qos: 1, retain: true });
    const body = {
      end_device_ids: { dev_eui: '70B3D57ED0009999' },
      uplink_message: { decoded_payload: { air: { temperature: 4 } } },
    };
    await bridge.publishAsync('v3/air@t/devices/roof/up', JSON.stringify(body), { qos: 1 });
    expect((await server.settledLedger('70b3d57ed0009999')).readings.stored).toBe(1);
    expect(ends).toBe(0);
    await bridge.endAsync();
  });

  test('field - a webhook of a network server brings what is good beside NaN, and a frame that came over MQTT once', async () => {
    const id = '70b3d57ed0009998';
    await register([{ id, profile: 'lorawan-climate' }]);
    const uplink = (fCnt: number, seconds: number) => ({
      ...{ deviceInfo: { applicationId: '7', devEui: id }, devAddr: '01020304', fCnt, fPort: 2, data: 'AQI=' },
      ...{ time: ago(seconds), object: { air: { temperature: 21.5, humidity: 40 } } },
    });
    const network = await login('lns', key.secret, key.id);
    await network.publishAsync(`application/7/device/${id}/event/up`, JSON.stringify(uplink(1, 60)), { qos: 1 });
    await network.endAsync();
    const authorization = `Basic ${Buffer.from(`${key.id}:${key.secret}`).toString('base64')}`;
    const headers = { authorization, 'content-type': 'application/json' };
    const post = async (text: string | Buffer) => {
      const path = url('/ingest/http/chirpstack?event=up');
      expect((await fetch(path, { method: 'POST', headers, body: text })).status).toBe(200);
    };
    await post(JSON.stringify(uplink(1, 12)));
    await post(mark(JSON.stringify(uplink(2, 5)).replace('"humidity":40', '"humidity":NaN')));
    const { readings } = await server.settledLedger(id);
    expect(readings).toMatchObject({ received: 6, stored: 3, duplicate: 2, quarantined: 1 });
  });

  test('field - what a device sends of three days ago does not end that it is silent; a new reading does', async () => {
    await register([{ id: 'quiet', profile: 'noise' }]);
    const client = await login('quiet');
    const say = async (ts: number) => {
      await client.publishAsync('devices/quiet/readings', JSON.stringify({ ts, metrics: { laeq: 50 } }), { qos: 1 });
      await server.settledLedger();
    };
    const state = async () => {
      const { items } = await server.get<Page<{ group: string; state: string }>>('/api/v1/alerts?rule=noise-silent');
      return items.find(({ group }) => group === 'quiet')?.state;
    };
    await until(async () => (await state()) === 'firing', 'its silence');
    await say(Date.now() - 3 * 86_400_000);
    expect((await server.get<Ledger>('/api/v1/ledger?device=quiet')).readings.stored).toBe(1);
    expect(await state()).toBe('firing');
    await say(Date.now());
    const { items } = await server.get<Page<{ event: { data: { group?: string } } }>>(
      '/api/v1/events?limit=1000&type=city.lamppost.alert.resolved',
    );
    expect(items.map(({ event }) => event.data.group)).toContain('quiet');
    await client.endAsync();
  });
});

describe('what is suspect', () => {
  test('field - a rule may leave it out: live, in a backtest and in a trial alike', async () => {
    await register([{ id: 'analyser', profile: 'analyser' }]);
    const from = Math.floor(now / 60_000) * 60_000 - 20 * 60_000;
    const values: readonly (readonly [value: number, quality: string])[] = [
      ...[[20, 'good'] as const, [200, 'suspect'] as const, [200, 'suspect'] as const],
      ...[[30, 'corrected'] as const, [200, 'suspect'] as const, [40, 'good'] as const],
    ];
    const readingOf = ([value, quality]: (typeof values)[number], minute: number) => ({
      ...{ ts: from + minute * 60_000, metrics: { pm25: value }, quality: { pm25: quality } },
    });
    const client = await login('analyser');
    for (const [minute, one] of values.entries())
      await client.publishAsync('devices/analyser/readings', JSON.stringify(readingOf(one, minute)), { qos: 1 });
    await client.endAsync();
    await server.settledLedger();

    interface Clause {
      readonly value: number;
      readonly count: number;
    }
    interface Explained {
      readonly rule: string;
      readonly state: string;
      readonly clauses: readonly Clause[];
    }
    const { items } = await server.get<Page<Explained>>('/api/v1/devices/analyser/explain');
    const of = (rule: string) => items.find((one) => one.rule === rule)!;
    expect(of('dust-sure')).toMatchObject({ state: 'inactive', clauses: [{ value: 30, count: 3 }] });
    expect(of('dust-any')).toMatchObject({ state: 'firing', clauses: [{ value: 115, count: 6 }] });

    const span = { from: new Date(from).toISOString(), to: new Date(from + 3_600_000).toISOString() };
    const past = async (rule: string) => {
      const { incidents, readings } = await server.post<BacktestReport>('/api/v1/rules/backtest', { rule, ...span });
      return [incidents.length, readings];
    };
    expect(await past(RULES['dust-sure'])).toEqual([0, 6]);
    expect(await past(RULES['dust-any'])).toEqual([1, 6]);

    const tried = async (rule: string, quality: string) => {
      const { steps } = await server.post<{ steps: readonly { explanation: Explained }[] }>('/api/v1/rules/try', {
        ...{ rule, device: 'analyser', context: true },
        readings: [readingOf([150, quality], 6)],
      });
      return steps[0]!.explanation.clauses[0];
    };
    expect(await tried(RULES['dust-sure'], 'suspect')).toMatchObject({ value: 30, count: 3 });
    expect(await tried(RULES['dust-sure'], 'good')).toMatchObject({ value: 60, count: 4 });
    expect(await tried(RULES['dust-any'], 'suspect')).toMatchObject({ value: 120, count: 7 });
  });
});

describe('what is imported', () => {
  test('field - an anomaly learns from it where that is asked for, and nothing fires by it', async () => {
    await register([{ id: 'learner', profile: 'noise' }]);
    const client = await login('learner');
    const say = async (laeq: number) => {
      await client.publishAsync('devices/learner/readings', JSON.stringify({ metrics: { laeq } }), { qos: 1 });
      await server.settledLedger();
      const { items } = await server.get<Page<{ rule: string; state: string }>>('/api/v1/devices/learner/explain');
      return items.find(({ rule }) => rule === 'noise-odd')!;
    };
    expect(await say(50)).toMatchObject({ state: 'inactive', reason: 'unknown' });
    const rows = Array.from({ length: 15 * 24 }, (_, hour) => `learner,${now - hour * 3_600_000},${50 + (hour % 3)}`);
    const csv = ['device,ts,laeq', ...rows.toReversed(), `learner,${now - 1_000},120`].join('\n');
    const bring = async () => {
      const headers = { authorization: `Bearer ${ADMIN_KEY}` };
      const path = url('/api/v1/import?format=csv&train=true');
      return (await (await fetch(path, { method: 'POST', headers, body: csv })).json()) as Record<string, number>;
    };
    expect(await bring()).toMatchObject({ stored: 15 * 24 + 1, refused: 0 });
    expect(await bring()).toMatchObject({ stored: 0, repeated: 15 * 24 + 1 });
    await server.settledLedger();
    const alerts = await server.get<Page<unknown>>('/api/v1/alerts?rule=noise-odd');
    expect(alerts.items).toEqual([]);
    expect(await say(51)).toMatchObject({ state: 'inactive', reason: 'not-matching' });
    expect(await say(120)).toMatchObject({ state: 'firing' });
    await client.endAsync();
  });
});

describe('what people do about it', () => {
  async function report(fields: Readonly<Record<string, string>>): Promise<Ticket> {
    const response = await fetch(url('/open311/v2/requests.json'), {
      method: 'POST',
      body: new URLSearchParams(fields),
    });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return ticket((JSON.parse(text) as { service_request_id: string }[])[0]!.service_request_id);
  }
  const ticket = (id: string) => server.get<Ticket>(`/api/v1/tickets/${id}`);
  const lamp = (metres: number, pole: string) =>
    report({
      ...north(LAMP, metres),
      service_code: 'street-light',
      'attribute[kind]': 'dark',
      'attribute[pole]': pole,
    });

  test('field - reports of two lamps 50 m apart are two tickets, by the number on the pole; of one lamp they are one', async () => {
    const [first, second] = [await lamp(0, 'LJ-1'), await lamp(50, 'LJ-2')];
    expect([first.parent, second.parent]).toEqual([null, null]);
    expect((await lamp(40, 'lj -1')).parent).toBe(first.id);
    const nameless = await report({ ...north(LAMP, 45), service_code: 'street-light', 'attribute[kind]': 'dark' });
    expect(nameless.parent).toBe(second.id);
    await server.post(`/api/v1/tickets/${first.id}/resolve`, { note: 'a new lamp' });
    expect((await ticket(second.id)).status).toBe('open');
  });

  test("field - what a citizen says of a bin is not closed by the bin's sensor, which does not measure it", async () => {
    await server.bins(['bin-1'], 'harbour', BIN);
    await server.fill('bin-1', 95);
    const said = { ...north(BIN, 80), service_code: 'waste', 'attribute[kind]': 'broken', description: 'needles' };
    const fault = await report(said);
    await server.fill('bin-1', 3);
    expect((await ticket(fault.id)).status).toBe('open');
    expect(await ticket(fault.parent!)).toMatchObject({ status: 'open', alerts: [{ state: 'resolved' }] });
  });

  test('field - who resolves a ticket that fires on sees so at once, and that it opens again', async () => {
    await server.bins(['bin-2'], 'harbour', { lat: 32.005, lon: 118.77 });
    await server.fill('bin-2', 95);
    const { items } = await server.get<Page<Ticket>>('/api/v1/tickets?group=bin-2');
    const { body } = await server.ask<{ warnings: unknown }>('POST', `/api/v1/tickets/${items[0]!.id}/resolve`, {
      note: 'emptied',
    });
    expect(body.warnings).toMatchObject([
      { reason: 'alerts-fire', detail: expect.stringContaining('it opens again after 240 min') },
    ]);
  });

  test('field - a silence in the past is refused', async () => {
    const body = { matchers: { rule: ['bin-full'] }, startsAt: ago(7_200), endsAt: ago(3_600), comment: 'too late' };
    const { status, body: problem } = await server.ask<{ detail: string }>('POST', '/api/v1/silences', body);
    expect([status, problem.detail]).toEqual([400, expect.stringContaining('endsAt')]);
  });

  test('field - lat, long and radius find what is near, and half of them is refused', async () => {
    const near = async (query: string) => {
      const response = await fetch(url(`/open311/v2/requests.json?${query}`));
      return [response.status, ((await response.json()) as unknown[]).length];
    };
    await lamp(0, 'LJ-7');
    const [, some] = await near(`lat=${LAMP.lat}&long=${LAMP.lon}&radius=200`);
    expect(some).toBeGreaterThan(0);
    expect(await near('lat=10&long=10&radius=100')).toEqual([200, 0]);
    expect(await near(`lat=&long=&radius=100`)).toEqual([400, 1]);
  });
});
