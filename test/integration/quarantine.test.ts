import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEntry } from '../../actions/index.ts';
import type { Ledger, Page, Quarantined, Series } from '../../domain/index.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

interface Job {
  readonly id: string;
  readonly state: string;
  readonly entries: number;
  readonly settled: number;
  readonly refusedAgain: number;
}

const city = mkdtempSync(join(tmpdir(), 'lamppost-city-'));
cpSync(fileURLToPath(new URL('../../city', import.meta.url)), city, { recursive: true });
const server = new ServerProcess(undefined, { LAMPPOST_CITY: city });
const profiles = join(city, 'profiles.yaml');
const sample = readFileSync(profiles, 'utf8');
const secrets = new Map<string, string>();

async function register(id: string, profile = 'waste-bin'): Promise<void> {
  const { secret } = await server.post<{ secret: string }>('/api/v1/devices', { id, profile, district: 'harbour' });
  secrets.set(id, secret);
}

beforeAll(async () => {
  await server.start();
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

function push(path: string, body: unknown, headers: Record<string, string>): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.httpPort}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

const send = (id: string, body: unknown) => push(`/ingest/${id}`, body, { authorization: basic(id, secrets.get(id)!) });

async function replay(request: object): Promise<Job> {
  let job = await server.post<Job>('/api/v1/quarantine/replay', request);
  const look = async () => {
    job = await server.get<Job>(`/api/v1/quarantine/replays/${job.id}`);
    return job.state !== 'running' && job;
  };
  return until(look, () => `the end of ${JSON.stringify(job)}`, 10);
}

const inQuarantine = async (query: string) =>
  (await server.get<Page<Quarantined>>(`/api/v1/quarantine?limit=1000&${query}`)).items;

async function stored(device: string): Promise<Record<string, (number | null)[]>> {
  const path = `/api/v1/readings?device=${device}&from=0&to=${Date.now() + 600_000}`;
  const { series } = await server.get<{ series: Series[] }>(path);
  return Object.fromEntries(series.map(({ metric, points }) => [metric, points.map(([, value]) => value)]));
}

async function withProfiles(change: (text: string) => string): Promise<Response> {
  writeFileSync(profiles, change(readFileSync(profiles, 'utf8')));
  return push('/api/v1/city/reload', {}, { authorization: `Bearer ${ADMIN_KEY}` });
}

const readingsOf = ({ readings }: Ledger) => readings;

describe('ingest over HTTP', () => {
  test('a device authenticates with its own secret, and its readings are processed like all others', async () => {
    await register('http-1');
    const response = await send('http-1', { metrics: { fill: 40, battery: 90 } });
    expect([response.status, await response.json()]).toEqual([200, { acknowledged: true }]);
    const ledger = await server.settledLedger('http-1');
    expect(readingsOf(ledger)).toMatchObject({ received: 2, stored: 2 });
    expect(await stored('http-1')).toEqual({ battery: [90], fill: [40] });
  });

  test('a bearer token is valid for the device of the path only', async () => {
    await register('http-2');
    const bearer = { authorization: `Bearer ${secrets.get('http-2')}` };
    expect((await push('/ingest/http-2', { metrics: { fill: 1 } }, bearer)).status).toBe(200);
    const other = await push('/ingest/http-1', { metrics: { fill: 1 } }, bearer);
    expect(other.status).toBe(401);
    expect(other.headers.get('content-type')).toContain('application/problem+json');
    expect((await push('/ingest/http-1', { metrics: { fill: 1 } }, {})).status).toBe(401);
    expect((await server.settledLedger('http-1')).messages.received).toBe(1);
  });

  test('content types are formats; another one is named', async () => {
    const authorization = basic('http-1', secrets.get('http-1')!);
    const senml = await push('/ingest/http-1', [{ n: 'fill', u: '%', v: 41 }], {
      authorization,
      'content-type': 'application/senml+json',
    });
    expect(senml.status).toBe(200);
    const xml = await push('/ingest/http-1', '<senml/>', { authorization, 'content-type': 'application/senml+xml' });
    expect(xml.status).toBe(415);
    expect(await xml.json()).toMatchObject({ detail: expect.stringContaining('application/senml+cbor') });
    await server.settledLedger('http-1');
    expect((await stored('http-1')).fill).toEqual([40, 41]);
  });

  test('the webhooks of ChirpStack and The Things Stack post uplinks in the name of their key, as HTTP Basic', async () => {
    const eui = '70b3d57ed0001234';
    const climate = { id: eui, profile: 'lorawan-climate', district: 'harbour' };
    await server.post('/api/v1/devices', climate);
    const bound = { name: 'webhook', role: 'network-server', uplinks: { applications: ['air'] } };
    const key = await server.post<{ id: string; secret: string }>('/api/v1/keys', bound);
    const headers = { authorization: basic(key.id, key.secret) };
    const object = { air: { temperature: 21.5, humidity: 40, pressure: 101.3 } };
    const up = {
      deviceInfo: { applicationId: 'air', devEui: eui },
      devAddr: '00189440',
      fCnt: 1,
      data: 'AQ==',
      object,
    };
    expect((await push('/ingest/http/chirpstack?event=up', up, headers)).status).toBe(200);
    expect((await push('/ingest/http/chirpstack?event=status', up, headers)).status).toBe(204);
    const ids = { device_id: 'roof', application_ids: { application_id: 'air' }, dev_eui: eui.toUpperCase() };
    const uplink = { session_key_id: 'AZ', f_cnt: 2, f_port: 1, frm_payload: 'Ag==', decoded_payload: object };
    expect((await push('/ingest/http/tts', { end_device_ids: ids, uplink_message: uplink }, headers)).status).toBe(200);
    expect((await push('/ingest/http/tts', { end_device_ids: ids, join_accept: {} }, headers)).status).toBe(204);
    await server.settledLedger();
    expect((await stored(eui)).temperature).toEqual([21.5, 21.5]);

    const wrong = { authorization: basic(key.id, 'wrong') };
    expect((await push('/ingest/http/tts', { end_device_ids: ids, uplink_message: uplink }, wrong)).status).toBe(401);
    const device = { authorization: basic('http-1', secrets.get('http-1')!) };
    expect((await push('/ingest/http/chirpstack?event=up', up, device)).status).toBe(403);
    const protobuf = await push('/ingest/http/chirpstack?event=up', { some: 'thing' }, headers);
    expect([protobuf.status, await protobuf.json()]).toMatchObject([
      400,
      { detail: expect.stringContaining('its marshaler must be JSON') },
    ]);
    // Of another application: the key may not publish for the device.
    const elsewhere = { ...up, fCnt: 3, data: 'Aw==', deviceInfo: { applicationId: 'other', devEui: eui } };
    expect((await push('/ingest/http/chirpstack?event=up', elsewhere, headers)).status).toBe(200);
    await server.settledLedger();
    expect((await stored(eui)).temperature).toHaveLength(2);
  });

  test('a raw frame is decoded by the codec of the city, which a reload brings', async () => {
    const eui = '70b3d57ed0005678';
    mkdirSync(join(city, 'codecs'), { recursive: true });
    const program = 'function decodeUplink({ bytes }) { return { data: { TempC: (bytes[0] << 8 | bytes[1]) / 10 } }; }';
    writeFileSync(join(city, 'codecs', 'soil.js'), program);
    const soil = `
soil:
  title: { en: Soil, zh: 土壤 }
  metrics: [temperature]
  interval: 15m
  codec: soil.js
  fields: { TempC: { metric: temperature } }
`;
    expect((await withProfiles((text) => text + soil)).status).toBe(200);
    await server.post('/api/v1/devices', { id: eui, profile: 'soil', district: 'harbour' });
    const bound = { name: 'soil', role: 'network-server', uplinks: { devices: [eui] } };
    const key = await server.post<{ id: string; secret: string }>('/api/v1/keys', bound);
    const up = { deviceInfo: { applicationId: 'a', devEui: eui }, devAddr: '00189440', fCnt: 1, data: 'ANc=' };
    const sent = await push('/ingest/http/chirpstack?event=up', up, { authorization: basic(key.id, key.secret) });
    expect(sent.status).toBe(200);
    await server.settledLedger(eui);
    expect(await stored(eui)).toEqual({ temperature: [21.5] });
    expect((await withProfiles((text) => text.replace(soil, ''))).status).toBe(200);
  });

  test('a declared format is a path: a device posts for itself, a key for the devices of its uplinks', async () => {
    const authorization = basic('http-1', secrets.get('http-1')!);
    expect((await push('/ingest/http/thingsboard', { fill: '42' }, { authorization })).status).toBe(200);
    const unknown = await push('/ingest/http/thingbord', { fill: 42 }, { authorization });
    expect([unknown.status, ((await unknown.json()) as { detail: string }).detail]).toEqual([
      404,
      expect.stringContaining('"thingsboard"'),
    ]);
    const bound = { name: 'gateway', role: 'network-server', uplinks: { devices: ['http-1'] } };
    const key = await server.post<{ id: string; secret: string }>('/api/v1/keys', bound);
    const feature = (id: string, fill: number) => ({ id, properties: { fill } });
    const body = { features: [feature('http-1', 43), feature('http-2', 44)] };
    const posted = await push('/ingest/http/geojson', body, { authorization: basic(key.id, key.secret) });
    expect(posted.status).toBe(200);
    const viewer = await server.post<{ id: string; secret: string }>('/api/v1/keys', { name: 'v', role: 'viewer' });
    const refused = await push('/ingest/http/geojson', body, { authorization: basic(viewer.id, viewer.secret) });
    expect(refused.status).toBe(403);
    // The message is counted for the key.
    await server.settledLedger();
    expect((await stored('http-1')).fill).toEqual([40, 41, 42, 43]);
    expect(await inQuarantine('device=http-2')).toMatchObject([{ reason: 'not-your-device', format: 'geojson' }]);
  });

  test('a body larger than the largest message is refused before it is read', async () => {
    expect((await send('http-1', 'x'.repeat(300_000))).status).toBe(413);
  });

  test('a sensor.community station pushes as its firmware does', async () => {
    await register('esp8266-7', 'sensor-community');
    const body = {
      esp8266id: '7',
      software_version: 'NRZ-2020-133',
      sensordatavalues: [
        { value_type: 'SDS_P1', value: '12.30' },
        { value_type: 'SDS_P2', value: '5.10' },
      ],
    };
    const response = await push('/ingest/sensor-community', body, {
      'x-sensor': 'esp8266-7',
      authorization: basic('esp8266-7', secrets.get('esp8266-7')!),
    });
    expect(response.status).toBe(200);
    await server.settledLedger('esp8266-7');
    expect(await stored('esp8266-7')).toEqual({ pm10: [12.3], pm25: [5.1] });
  });
});

describe('quarantine', () => {
  test('refused messages are accepted by a replay once the city folder is repaired; a second replay adds nothing', async () => {
    await register('repair-1');
    await send('repair-1', { ts: Date.now(), metrics: { fill: 50, humidity: 40 } });
    const before = await server.settledLedger('repair-1');
    expect(readingsOf(before)).toMatchObject({ received: 2, stored: 1, quarantined: 1 });
    const [refused] = await inQuarantine('device=repair-1');
    expect(refused).toMatchObject({ reason: 'unknown-metric', path: '$.metrics.humidity', format: 'native' });
    const seen = await server.get(`/api/v1/quarantine/${refused!.id}`);
    expect(seen).toMatchObject({ decoded: { readings: [{ metrics: { fill: 50, humidity: 40 } }] } });

    const unmended = await replay({ ids: [refused!.id] });
    expect(unmended).toMatchObject({ state: 'done', entries: 1, settled: 1, refusedAgain: 1 });
    expect(await server.settledLedger('repair-1')).toEqual(before);

    const reload = await withProfiles((text) =>
      text.replace('metrics: [fill, battery]', 'metrics: [fill, battery, humidity]'),
    );
    expect(await reload.json()).toMatchObject({ changed: true });
    const repaired = await replay({ device: 'repair-1' });
    expect(repaired).toMatchObject({ state: 'done', entries: 1, settled: 1, refusedAgain: 0 });
    const after = await server.settledLedger('repair-1');
    expect(readingsOf(after)).toMatchObject({ received: 2, stored: 2, duplicate: 0, quarantined: 0 });
    expect(await stored('repair-1')).toEqual({ fill: [50], humidity: [40] });
    expect(await inQuarantine('device=repair-1')).toEqual([]);

    expect(await replay({ device: 'repair-1' })).toMatchObject({ state: 'done', entries: 0 });
    expect(await server.settledLedger('repair-1')).toEqual(after);
  });

  test('a folder with mistakes leaves the old city in force and reports their places', async () => {
    const wrong = await withProfiles((text) => text.replace('metrics: [laeq, lamax]', 'metrics: [laeq, lamx]'));
    expect(wrong.status).toBe(400);
    expect(await wrong.json()).toMatchObject({ detail: expect.stringMatching(/profiles\.yaml:\d+:\d+.*lamx.*lamax/s) });
    await register('repair-2');
    await send('repair-2', { metrics: { fill: 12, humidity: 3 } });
    expect(readingsOf(await server.settledLedger('repair-2'))).toMatchObject({ stored: 2 });
    writeFileSync(profiles, sample);
    process.kill(server.pid, 'SIGHUP');
    let fill = 13;
    const isRefused = async () => {
      await send('repair-2', { metrics: { fill, humidity: fill++ } });
      return readingsOf(await server.settledLedger('repair-2')).quarantined > 0;
    };
    await until(isRefused, 'the old city in force');
    // Who may send the signal is the machine's account.
    const { items } = await server.get<Page<AuditEntry>>('/api/v1/audit?actor=lamppost');
    expect(items).toMatchObject([{ action: 'city.reload', result: 'done', address: null }]);
  });

  test('a network server sends messages of devices that are not registered yet', async () => {
    const { id, secret } = await server.post<{ id: string; secret: string }>('/api/v1/keys', {
      name: 'lns',
      role: 'network-server',
      uplinks: 'all',
    });
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
      clientId: 'lns',
      username: id,
      password: secret,
    });
    const eui = '0102030405060708';
    const chirpstack = {
      deviceInfo: { devEui: eui },
      devAddr: '00bb',
      fCnt: 7,
      object: { temperature: 21.5, humidity: 55 },
    };
    await client.publishAsync(`application/1/device/${eui}/event/up`, JSON.stringify(chirpstack), { qos: 1 });
    const stack = {
      end_device_ids: { device_id: 'roof', dev_eui: eui.toUpperCase() },
      uplink_message: { session_key_id: 'AY', f_cnt: 9, decoded_payload: { temperature: 22.5, humidity: 54 } },
    };
    const uplink = JSON.stringify(stack);
    await client.publishAsync('v3/city@ttn/devices/roof/up', uplink, { qos: 1 });
    // A name that nobody registered counts for the key that sent it.
    await server.settledLedger();
    const before = await server.settledLedger(id);
    expect(before.messages).toMatchObject({ received: 2, decoded: 0, quarantined: 2 });
    expect((await inQuarantine(`device=${eui}`)).map(({ reason }) => reason)).toEqual([
      'unknown-device',
      'unknown-device',
    ]);

    await register(eui, 'lorawan-climate');
    const job = await replay({ reason: 'unknown-device', device: eui });
    expect(job).toMatchObject({ entries: 2, settled: 2, refusedAgain: 0 });
    const after = await server.settledLedger(eui);
    expect(after.messages).toMatchObject({ received: 2, decoded: 2, quarantined: 0 });
    expect(await stored(eui)).toMatchObject({ temperature: [21.5, 22.5] });

    // The same uplink once more, as a server that lost its connection sends it: same session, same counter.
    await client.publishAsync('v3/city@ttn/devices/roof/up', uplink, { qos: 1 });
    await client.endAsync();
    const again = await server.settledLedger(eui);
    expect(again.readings.stored).toBe(after.readings.stored);
    expect(again.readings.duplicate).toBe(2);
  });

  test('another value for the same time replaces the first, and is counted', async () => {
    await register('fix-1');
    const ts = Date.now() - 60_000;
    await send('fix-1', { ts, metrics: { fill: 10, battery: 80 } });
    await send('fix-1', { ts, metrics: { fill: 11, battery: 80 } });
    const ledger = await server.settledLedger('fix-1');
    expect(ledger.readings).toEqual({ received: 4, stored: 3, replaced: 1, duplicate: 1, quarantined: 0 });
    expect(await stored('fix-1')).toEqual({ fill: [11], battery: [80] });
  });

  test('what will not be repaired is discarded with a note, and no longer listed', async () => {
    await register('junk-1');
    await send('junk-1', 'not json');
    await server.settledLedger('junk-1');
    const [one] = await inQuarantine('device=junk-1&format=native');
    const response = await server.post('/api/v1/quarantine/discard', { ids: [one!.id], note: 'test message' });
    expect(response).toEqual({ discarded: 1 });
    expect(await inQuarantine('device=junk-1')).toEqual([]);
    const [discarded] = await inQuarantine('device=junk-1&discarded=true');
    expect(discarded!.discarded).toMatchObject({ by: 'admin', note: 'test message' });
    expect((await server.settledLedger('junk-1')).messages.quarantined).toBe(1);
  });

  test('one message with 12,000 faults - the list, the report and other requests stay small and quick', async () => {
    await register('faulty-1');
    const reports: Buffer[] = [];
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
      clientId: 'faulty-1',
      username: 'faulty-1',
      password: secrets.get('faulty-1')!,
    });
    client.on('message', (_topic, payload) => reports.push(payload));
    await client.subscribeAsync('devices/faulty-1/rejections');
    const payload = `[${Array.from({ length: 12_000 }, () => '{"metrics":{"x":0}}').join()}]`;
    await client.publishAsync('devices/faulty-1/readings', payload, { qos: 1 });
    const ledger = await server.settledLedger('faulty-1');
    expect(readingsOf(ledger)).toMatchObject({ received: 12_000, quarantined: 12_000 });
    const lists = Array.from({ length: 5 }, () => server.get<Page<Quarantined>>('/api/v1/quarantine'));
    expect(await server.get('/ready')).toMatchObject({ ready: true });
    for (const list of await Promise.all(lists)) {
      expect(JSON.stringify(list).length).toBeLessThan(1_000_000);
      expect(list.items[0]).toMatchObject({ device: 'faulty-1', count: 12_000, bytes: payload.length });
    }
    await expect.poll(() => reports.length).toBe(1);
    expect(reports[0]!.length).toBeLessThan(64 * 1024);
    expect(await server.refusedText((await inQuarantine('device=faulty-1'))[0]!.id)).toBe(payload);
    await client.endAsync();
  });

  test('kill -9 in the middle of a replay - every message is stored once, and the ledger balances', async () => {
    const eui = 'ffffffffffffff01';
    const { id, secret } = await server.post<{ id: string; secret: string }>('/api/v1/keys', {
      name: 'lns2',
      role: 'network-server',
      uplinks: 'all',
    });
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
      clientId: 'lns2',
      username: id,
      password: secret,
    });
    const MESSAGES = 3_000;
    const sent = Array.from({ length: MESSAGES }, (_, n) => {
      const time = new Date(Date.now() - 3_600_000 + n * 1_000).toISOString();
      const object = { temperature: 20 + (n % 10), humidity: 50 };
      const payload = { deviceInfo: { devEui: eui }, devAddr: '00cc', fCnt: n, time, object };
      return client.publishAsync(`application/1/device/${eui}/event/up`, JSON.stringify(payload), { qos: 1 });
    });
    await Promise.all(sent);
    await client.endAsync();
    const { received } = (await server.settledLedger()).messages;
    expect((await server.settledLedger(id)).messages.quarantined).toBe(MESSAGES);
    await register(eui, 'lorawan-climate');
    for (let kills = 0; kills < 3; kills++) {
      await server.post('/api/v1/quarantine/replay', { device: eui });
      await pause(30 + Math.random() * 200);
      await server.kill();
      await server.start();
      // A replay moves each from the key to the device.
      expect((await server.settledLedger()).messages.received).toBe(received);
    }
    await replay({ device: eui });
    const ledger = await server.settledLedger(eui);
    expect(ledger.messages).toMatchObject({ decoded: MESSAGES, quarantined: 0 });
    expect((await stored(eui)).temperature).toHaveLength(MESSAGES);
    await server.settledLedger();
  });
});
