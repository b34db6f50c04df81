import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device, DeviceCommand, Ledger, Page, Ticket } from '../../domain/index.ts';
import { lamppost } from '../kit/cli/commands.ts';
import { RulesServer } from '../kit/rules/server.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const [OF_CHIRPSTACK, OF_STACK] = ['70b3d57ed0000001', '70b3d57ed0000002'];
const [CHIRPSTACK_NEW, STACK_NEW] = ['70b3d57ed0000011', '70b3d57ed0000012'];
const PROFILE = `
lorawan-valve:
  title: { en: Valve, zh: 阀门 }
  metrics: [temperature]
  interval: 20m
  departments: [maintenance]
  commands:
    open:
      title: { en: Open, zh: 打开 }
      parameters: { level: { type: integer, min: 0, max: 100 } }
      downlink: { port: 10, bytes: "01{level:u8}" }
`;
const HOT = `id: hot
title: "{{device.name}} is hot"
where: { profile: lorawan-valve }
when: { metric: temperature, last: true, above: 30 }
severity: medium
ticket: { service: device-care, deadline: 4h }
`;

type Shown = Device & { version: number };
interface Refused {
  readonly reason: string;
  readonly detail: string;
}

const server = new RulesServer({ hot: HOT });
let key: { id: string; secret: string };
let lns: MqttClient;
const downlinks: { topic: string; body: Record<string, unknown> }[] = [];
let frames = 0;
const started = Date.now();
/** Readings are a second apart. */
const timeOf = (n: number) => new Date(started - 3_600_000 + n * 1_000).toISOString();

async function connect(): Promise<void> {
  const url = `mqtt://127.0.0.1:${server.mqttPort}`;
  lns = await mqtt.connectAsync(url, { clientId: 'lns', username: key.id, password: key.secret, reconnectPeriod: 0 });
  lns.on('message', (topic, payload) => void downlinks.push({ topic, body: JSON.parse(payload.toString()) }));
  for (const filter of ['application/+/device/+/command/#', 'v3/+/devices/+/down/#'])
    await lns.subscribeAsync(filter, { qos: 1 });
}

/** Each network server counts the frames of a device, and new hardware begins anew. */
function chirpstack(devEui: string, temperature: number, fCnt = ++frames): Promise<unknown> {
  const body = { deviceInfo: { devEui }, devAddr: '00189440', fCnt, fPort: 2, data: 'AQI=', time: timeOf(++frames) };
  const topic = `application/7/device/${devEui}/event/up`;
  return lns.publishAsync(topic, JSON.stringify({ ...body, object: { temperature } }), { qos: 1 });
}
function stack(devEui: string, temperature: number): Promise<unknown> {
  const body = {
    end_device_ids: { device_id: `eui-${devEui}`, dev_eui: devEui.toUpperCase(), dev_addr: '00189441' },
    uplink_message: { f_port: 2, f_cnt: ++frames, received_at: timeOf(frames), decoded_payload: { temperature } },
  };
  return lns.publishAsync(`v3/air@ttn/devices/eui-${devEui}/up`, JSON.stringify(body), { qos: 1 });
}

const replace = (id: string, devEui: string, headers: Record<string, string> = {}) =>
  server.ask<Shown & Refused>('POST', `/api/v1/devices/${id}/replace`, { devEui }, headers);
const open = (id: string, level: number) =>
  server.ask<DeviceCommand & Refused>('POST', `/api/v1/devices/${id}/commands`, {
    ...{ command: 'open', parameters: { level } },
  });
const commandOf = (id: string, command: string) =>
  server.get<DeviceCommand>(`/api/v1/devices/${id}/commands/${command}`);
const tickets = async (id: string) => (await server.get<Page<Ticket>>(`/api/v1/tickets?group=${id}`)).items;
const refusedOf = async (id: string) => {
  const { items } = await server.get<Page<Refused & { topic: string }>>(`/api/v1/quarantine?device=${id}`);
  return items.map(({ reason, topic }) => `${reason} ${topic}`).sort();
};
async function valuesOf(id: string): Promise<number[]> {
  const path = `/api/v1/readings?device=${id}&metric=temperature&from=${timeOf(-10)}`;
  const { series } = await server.get<{ series: { points: [number, number][] }[] }>(path);
  return series.flatMap(({ points }) => points.map(([, value]) => value));
}
const countsOf = async (id: string) => {
  const { messages } = (await server.settledLedger(id)) as Ledger;
  return [messages.decoded, messages.quarantined];
};
const cli = (...args: string[]) =>
  lamppost([...args, '--url', `http://127.0.0.1:${server.httpPort}`], { LAMPPOST_ADMIN_KEY: ADMIN_KEY });

beforeAll(async () => {
  server.write('profiles.yaml', `${readFileSync(join(server.city, 'profiles.yaml'), 'utf8')}${PROFILE}`);
  await server.start();
  const valve = (id: string) => ({ id, profile: 'lorawan-valve', district: 'harbour', name: `Valve ${id}` });
  await server.post('/api/v1/devices', [OF_CHIRPSTACK, OF_STACK].map(valve));
  const bound = { name: 'lns', role: 'network-server', uplinks: { devices: [OF_CHIRPSTACK, OF_STACK] } };
  key = await server.post<typeof key>('/api/v1/keys', bound);
  await connect();
});
afterAll(async () => {
  await lns.endAsync(true);
  if (server.running) await server.stop();
});

test('hardware - the old one is hot, which is a ticket; what the new one sends before is nobody’s', async () => {
  await chirpstack(OF_CHIRPSTACK, 40, 1);
  await stack(OF_STACK, 41);
  await chirpstack(CHIRPSTACK_NEW, 22, 0);
  await until(
    async () => (await tickets(OF_CHIRPSTACK)).length === 1 && (await tickets(OF_STACK)).length === 1,
    '',
    50,
  );
  await server.settledLedger();
  expect(await refusedOf(CHIRPSTACK_NEW)).toEqual([`unknown-device application/7/device/${CHIRPSTACK_NEW}/event/up`]);
});

test('hardware - it is replaced on the version that was seen, by the API and the CLI, and is there once', async () => {
  const waiting = await open(OF_CHIRPSTACK, 1);
  await until(() => downlinks.length === 1, 'a downlink to the old hardware');
  expect((await replace(OF_STACK, STACK_NEW, { 'if-match': '"7"' })).status).toBe(412);
  const replaced = await replace(OF_STACK, STACK_NEW.toUpperCase(), { 'if-match': '"1"' });
  expect(replaced).toMatchObject({ status: 200, body: { id: OF_STACK, devEui: STACK_NEW, version: 2 } });
  const printed = await cli('device', 'replace', OF_CHIRPSTACK, '--dev-eui', CHIRPSTACK_NEW);
  expect(printed.code, printed.err).toBe(0);
  expect(JSON.parse(printed.out)).toMatchObject({ id: OF_CHIRPSTACK, devEui: CHIRPSTACK_NEW });
  const twice = await server.ask<Refused>('POST', '/api/v1/devices', {
    ...{ id: CHIRPSTACK_NEW, profile: 'lorawan-valve', district: 'harbour' },
  });
  expect([twice.status, twice.body.reason]).toEqual([409, 'dev-eui-taken']);
  expect(twice.body.detail).toContain(`${CHIRPSTACK_NEW} is the hardware of device "${OF_CHIRPSTACK}"`);
  expect((await replace(OF_STACK, 'roof')).status).toBe(400);
  expect(await commandOf(OF_CHIRPSTACK, waiting.body.id)).toMatchObject({
    ...{ state: 'cancelled', message: 'other hardware has its place' },
  });
  expect((await open(OF_CHIRPSTACK, 2)).body.reason, 'nobody knows where the new one is').toBe('no-network-server');
});

test('hardware - the new one has history and tickets of the device; the old one is refused beside it', async () => {
  await chirpstack(CHIRPSTACK_NEW, 20, 1);
  await chirpstack(OF_CHIRPSTACK, 50);
  await stack(STACK_NEW, 21);
  await stack(OF_STACK, 51);
  await until(async () => (await tickets(OF_STACK))[0]?.status === 'resolved', 'a ticket that is resolved', 50);
  await until(async () => (await tickets(OF_CHIRPSTACK))[0]?.status === 'resolved', 'the other one', 50);
  expect([await countsOf(OF_CHIRPSTACK), await countsOf(OF_STACK)]).toEqual([
    [2, 1],
    [2, 1],
  ]);
  expect([await valuesOf(OF_CHIRPSTACK), await valuesOf(OF_STACK)]).toEqual([
    [40, 20],
    [41, 21],
  ]);
  expect(await refusedOf(OF_CHIRPSTACK)).toEqual([`hardware-replaced application/7/device/${OF_CHIRPSTACK}/event/up`]);
  expect(await refusedOf(OF_STACK)).toEqual([`hardware-replaced v3/air@ttn/devices/eui-${OF_STACK}/up`]);
});

test('hardware - commands go to the new one', async () => {
  downlinks.splice(0);
  const sent = await open(OF_CHIRPSTACK, 3);
  await open(OF_STACK, 4);
  await until(() => downlinks.length === 2, 'the downlinks');
  const [first, second] = downlinks.toSorted((a, b) => a.topic.localeCompare(b.topic));
  expect(first).toMatchObject({
    topic: `application/7/device/${CHIRPSTACK_NEW}/command/down`,
    body: { devEui: CHIRPSTACK_NEW, data: Buffer.from([1, 3]).toString('base64') },
  });
  expect(second!.topic).toBe(`v3/air@ttn/devices/eui-${STACK_NEW}/down/push`);
  const ack = { deviceInfo: { devEui: CHIRPSTACK_NEW }, queueItemId: first!.body.id, acknowledged: true };
  await lns.publishAsync(`application/7/device/${CHIRPSTACK_NEW}/event/ack`, JSON.stringify(ack), { qos: 1 });
  const state = async () => (await commandOf(OF_CHIRPSTACK, sent.body.id)).state;
  await until(async () => (await state()) === 'acknowledged', 'the acknowledgement', 50);
});

test('hardware - what came before is replayed for the device, and what the old one sent is refused again', async () => {
  // One replay at a time.
  const replay = async (device: string) =>
    (await server.ask('POST', '/api/v1/quarantine/replay', { device })).status === 202;
  for (const device of [CHIRPSTACK_NEW, OF_CHIRPSTACK]) await until(() => replay(device), 'a replay', 50);
  await until(async () => (await valuesOf(OF_CHIRPSTACK)).length === 3, 'the reading of before', 50);
  // The acknowledgement is a message, too.
  expect(await countsOf(OF_CHIRPSTACK)).toEqual([4, 1]);
  expect(await refusedOf(CHIRPSTACK_NEW)).toEqual([]);
});

test('hardware - it is in the audit trail, and in an export that can be imported', async () => {
  const { items } = await server.get<Page<{ target: string }>>('/api/v1/audit?action=device.replace&result=done');
  expect(items.map(({ target }) => target)).toEqual([`device ${OF_CHIRPSTACK}`, `device ${OF_STACK}`]);
  const file = join(mkdtempSync(join(tmpdir(), 'lamppost-hardware-')), 'devices.csv');
  writeFileSync(file, (await cli('device', 'export', '--format', 'csv')).out);
  await server.ask('DELETE', `/api/v1/devices/${OF_STACK}`);
  const again = await cli('device', 'import', file, '--skip');
  expect(again.code, again.err).toBe(0);
  expect(JSON.parse(again.out)).toMatchObject([{ id: OF_STACK, devEui: STACK_NEW }]);
});

test('hardware - after a restart, and after the state was made anew from the log, all is the same', async () => {
  const before = await countsOf(OF_CHIRPSTACK);
  await lns.endAsync();
  expect(await server.stop()).toBe(0);
  const verified = await lamppost(['verify', '--data', server.data]);
  expect(verified.code, verified.out + verified.err).toBe(0);
  await server.start();
  await connect();
  await chirpstack(CHIRPSTACK_NEW, 19);
  await chirpstack(OF_CHIRPSTACK, 52);
  await stack(STACK_NEW, 18);
  expect(await countsOf(OF_CHIRPSTACK)).toEqual([before[0]! + 1, before[1]! + 1]);
  const values = [await valuesOf(OF_CHIRPSTACK), await valuesOf(OF_STACK)];
  await lns.endAsync();
  expect(await server.stop()).toBe(0);
  const rebuilt = await lamppost(['rebuild', '--data', server.data]);
  expect(rebuilt.code, rebuilt.err).toBe(0);
  await server.start();
  await connect();
  expect(await server.get<Shown>(`/api/v1/devices/${OF_CHIRPSTACK}`)).toMatchObject({ devEui: CHIRPSTACK_NEW });
  expect([await valuesOf(OF_CHIRPSTACK), await valuesOf(OF_STACK)]).toEqual(values);
  await chirpstack(CHIRPSTACK_NEW, 17);
  await chirpstack(OF_CHIRPSTACK, 53);
  expect(await countsOf(OF_CHIRPSTACK)).toEqual([before[0]! + 2, before[1]! + 2]);
});
