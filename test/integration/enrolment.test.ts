import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device, Ledger } from '../../domain/index.ts';
import { RulesServer } from '../kit/rules/server.ts';
import { until } from '../kit/wait.ts';

const PROFILE = `
lora-gateway:
  title: { en: Gateway, zh: 网关 }
  kind: gateway
  metrics: [temperature]
  interval: 5m
  enrol: { devices: ["bin-*"], profile: waste-bin, most: 2 }
`;

const server = new RulesServer();
let gateway: MqttClient;
beforeAll(async () => {
  server.write('profiles.yaml', readFileSync(join(server.city, 'profiles.yaml'), 'utf8') + PROFILE);
  await server.start();
  const asked = [{ id: 'gw-1', profile: 'lora-gateway', district: 'harbour', location: { lat: 1, lon: 2 } }];
  const [made] = await server.post<{ secret: string }[]>('/api/v1/devices', asked);
  const login = { username: 'gw-1', clientId: 'gw-1', password: made!.secret, reconnectPeriod: 0 };
  gateway = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, login);
});
afterAll(async () => {
  await gateway.endAsync(true);
  await server.stop();
});

const publish = (child: string) =>
  gateway.publishAsync(`devices/gw-1/children/${child}/readings`, '{"metrics": {"fill": 40}}', { qos: 1 });
const registered = async (id: string) => (await server.ask<Device>('GET', `/api/v1/devices/${id}`)).status === 200;

test('a gateway registers the devices that its profile enrols, as many as it may, and its first message is replayed', async () => {
  await publish('bin-1');
  await until(() => registered('bin-1'), 'the device', 50);
  expect(await server.get('/api/v1/devices/bin-1')).toMatchObject({
    ...{ profile: 'waste-bin', district: 'harbour', gateway: 'gw-1', location: { lat: 1, lon: 2 } },
  });
  const { items } = await server.get<{ items: { action: string; actor: string; target: string }[] }>(
    '/api/v1/audit?action=device.enrol',
  );
  expect(items).toMatchObject([{ actor: 'gateway:gw-1', target: 'device bin-1' }]);
  await publish('bin-1');
  const stored = async () => (await server.get<Ledger>('/api/v1/ledger?device=bin-1')).readings.stored;
  // The broker may not know the device yet, and the replay of its first message may be under way.
  const replayed = async () => {
    await server.ask('POST', '/api/v1/quarantine/replay', { reason: 'not-your-device' });
    return (await stored()) === 2;
  };
  await until(replayed, 'both readings', 200);
});

test('another id, and one more than the profile allows, stay refused; a revoked device does not come back', async () => {
  await publish('lamp-1');
  await publish('bin-2');
  await until(() => registered('bin-2'), 'the second device', 50);
  await publish('bin-3');
  await server.settledLedger('gw-1');
  expect([await registered('lamp-1'), await registered('bin-3')]).toEqual([false, false]);
  await server.ask('DELETE', '/api/v1/devices/bin-2');
  await publish('bin-2');
  await publish('bin-3');
  await until(() => registered('bin-3'), 'the device that has its place', 50);
  expect(await registered('bin-2')).toBe(false);
});
