import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasMosquittoClients, MosquittoSub } from '../kit/mosquitto.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const GROUP = '$share/archive/events/#';
const server = new ServerProcess();
let bin: MqttClient;
let lampSecret: string;
/** Ids of all events, as a plain subscription gets them. */
const all: string[] = [];
let plain: MqttClient;

const login = (username: string, password: string, more: mqtt.IClientOptions = {}): Promise<MqttClient> =>
  mqtt.connectAsync({
    ...{ host: '127.0.0.1', port: server.mqttPort, username, password, clientId: username },
    ...{ reconnectPeriod: 0, ...more },
  });
async function registered(id: string, profile: string): Promise<string> {
  const device = { id, profile, district: 'harbour' };
  return (await server.post<{ secret: string }>('/api/v1/devices', device)).secret;
}
const idOf = (payload: Buffer | string) => (JSON.parse(payload.toString()) as { id: string }).id;

let binSecret: string;
beforeAll(async () => {
  await server.start();
  binSecret = await registered('bin-1', 'waste-bin');
  lampSecret = await registered('lamp-1', 'streetlight');
  bin = await login('bin-1', binSecret);
  await watch();
});
afterAll(async () => {
  for (const client of [bin, plain]) await client.endAsync();
  expect(await server.stop()).toBe(0);
});

async function watch(): Promise<void> {
  const kept = { clientId: 'plain', clean: false, reconnectPeriod: 0 };
  plain = mqtt.connect({
    ...{ host: '127.0.0.1', port: server.mqttPort, username: 'admin', password: ADMIN_KEY, ...kept },
  });
  plain.on('message', (_topic, payload) => all.push(idOf(payload)));
  await plain.subscribeAsync('events/#', { qos: 1 });
}

/** Fills and empties the bin: some events each time. */
async function tickets(times: number): Promise<void> {
  for (let i = 0; i < times * 2; i++) {
    const payload = JSON.stringify({ metrics: { fill: i % 2 === 0 ? 95 : 20 } });
    await bin.publishAsync('devices/bin-1/readings', payload, { qos: 1 });
    await server.settledLedger('bin-1');
  }
}

async function connectedSessions(count: number): Promise<void> {
  await until(async () => {
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const text = await (await fetch(`${server.url}/metrics`, { headers })).text();
    return text.includes(`\nlamppost_broker_sessions_connected ${count}\n`);
  }, `${count} sessions that are connected`);
}

const member = (clientId: string) =>
  new MosquittoSub({
    ...{ port: server.mqttPort, clientId, username: 'admin', password: ADMIN_KEY, topics: [GROUP], version: '5' },
  });
/** Resolves when the members have every event that the plain subscription has had since `from`. */
const haveAll = (got: () => string[], from: number) =>
  until(
    () => all.length > from && all.slice(from).every((id) => got().includes(id)),
    () => `every event: ${got().length} of ${all.length - from}`,
  );

test.skipIf(!hasMosquittoClients())(
  'groups - members of mosquitto_sub and mqtt.js share the events; kill -9 of members and of the server loses none',
  async () => {
    const [first, second] = [member('first'), member('second')];
    first.start();
    second.start();
    await connectedSessions(3);
    const third = await login('admin', ADMIN_KEY, { clientId: 'third', protocolVersion: 5 });
    const ofThird: string[] = [];
    third.on('message', (_topic, payload) => ofThird.push(idOf(payload)));
    expect(await third.subscribeAsync(GROUP, { qos: 1 })).toMatchObject([{ qos: 1 }]);
    const got = () => [...[...first.lines, ...second.lines].map(idOf), ...ofThird];

    await tickets(6);
    await haveAll(got, 0);
    expect(got().sort()).toEqual([...all].sort());
    for (const one of [first.lines, second.lines, ofThird]) expect(one.length).toBeGreaterThan(all.length / 6);

    await first.kill();
    await third.endAsync();
    const before = all.length;
    await tickets(3);
    await haveAll(got, before);

    await second.kill();
    await connectedSessions(1);
    const away = all.length;
    await tickets(2);
    await until(() => all.length > away, 'events while no member is there');
    await bin.endAsync();
    await plain.endAsync();
    await server.kill();
    await server.start();
    bin = await login('bin-1', binSecret);
    await watch();
    await tickets(1);
    first.start();
    await haveAll(() => first.lines.map(idOf), away);
    await first.kill();
  },
  300_000,
);

test('groups - a device gets 0x9E and a name that is none 0x8F; a client of MQTT 3.1.1 is a member, too', async () => {
  const device = await login('lamp-1', lampSecret, { protocolVersion: 5 });
  await expect(device.subscribeAsync('$share/g/devices/lamp-1/commands')).rejects.toThrow(/Shared Subscriptions/);
  await device.endAsync();
  const wrong = await login('admin', ADMIN_KEY, { clientId: 'wrong', protocolVersion: 5 });
  await expect(wrong.subscribeAsync('$share//events/#')).rejects.toThrow(/Topic Filter/i);
  await wrong.endAsync();
  const old = await login('admin', ADMIN_KEY, { clientId: 'old' });
  const got: string[] = [];
  old.on('message', (_topic, payload) => got.push(idOf(payload)));
  await old.subscribeAsync('$share/old/events/#', { qos: 1 });
  const before = all.length;
  await tickets(1);
  await haveAll(() => got, before);
  await old.endAsync();
});

test('expiry - a command to a device of MQTT 5 says for how many seconds it is valid', async () => {
  await server.post('/api/v1/devices/lamp-1/commands', { command: 'dim', parameters: { level: 40 } });
  const device = await login('lamp-1', lampSecret, { protocolVersion: 5 });
  const packets: IPublishPacket[] = [];
  device.on('message', (_topic, _payload, packet) => packets.push(packet));
  await device.subscribeAsync('devices/lamp-1/commands', { qos: 1 });
  await until(() => packets.length > 0, 'the command');
  const { messageExpiryInterval } = packets[0]!.properties!;
  expect(messageExpiryInterval).toBeLessThanOrEqual(3_600);
  expect(messageExpiryInterval).toBeGreaterThan(3_000);
  await device.endAsync();
});
