import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BridgeStatus } from '../../bridges/index.ts';
import type { DeviceCommand } from '../../domain/index.ts';
import { hasMosquitto, Mosquitto } from '../kit/mosquitto.ts';
import { freePort } from '../kit/ports.ts';
import { RulesServer } from '../kit/rules/server.ts';
import { until } from '../kit/wait.ts';

const EUI = '70b3d57ed0001234';
const DEVICE = `application/7/device/${EUI}`;
const PROFILE = `
lorawan-valve:
  title: { en: Valve, zh: 阀门 }
  metrics: [temperature]
  interval: 20m
  commands:
    open:
      title: { en: Open, zh: 打开 }
      parameters: { level: { type: integer, min: 0, max: 100 } }
      downlink: { port: 10, bytes: "01{level:u8}" }
`;

describe.skipIf(!hasMosquitto())('downlinks - the life of a command over the broker of a network server', () => {
  const server = new RulesServer();
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-downlinks-'));
  let port: number;
  let mosquitto: Mosquitto;
  /** In the place of ChirpStack, at its own broker. */
  let lns: MqttClient;
  const downlinks: { id: string; data: string; confirmed: boolean }[] = [];

  async function startMosquitto(): Promise<void> {
    mosquitto = new Mosquitto(dir, [`listener ${port} 127.0.0.1`]);
    await until(
      () => mosquitto.output.includes('running'),
      () => mosquitto.output,
    );
    lns = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
    lns.on('message', (_topic, payload) => void downlinks.push(JSON.parse(payload.toString())));
    await lns.subscribeAsync(`${DEVICE}/command/down`, { qos: 1 });
  }

  const publish = (end: string, body: object) =>
    lns.publishAsync(`${DEVICE}/event/${end}`, JSON.stringify({ deviceInfo: { devEui: EUI }, ...body }), { qos: 1 });
  const state = async () => (await server.get<{ items: BridgeStatus[] }>('/api/v1/bridges')).items[0]?.state;
  const connected = () => until(async () => (await state()) === 'connected', 'the bridge', 50);
  const send = (level: number) =>
    server.post<DeviceCommand>(`/api/v1/devices/${EUI}/commands`, { command: 'open', parameters: { level } });
  const stateOf = async ({ id }: DeviceCommand) =>
    (await server.get<DeviceCommand>(`/api/v1/devices/${EUI}/commands/${id}`)).state;
  const becomes = (command: DeviceCommand, state: string) =>
    until(async () => (await stateOf(command)) === state, `the command is ${state}`, 50);

  beforeAll(async () => {
    port = await freePort();
    await startMosquitto();
    server.write('profiles.yaml', `${readFileSync(join(server.city, 'profiles.yaml'), 'utf8')}${PROFILE}`);
    await server.start();
    await server.post('/api/v1/devices', [{ id: EUI, profile: 'lorawan-valve', district: 'harbour' }]);
    const bound = { name: 'lns', role: 'network-server', uplinks: { devices: [EUI] } };
    const { id } = await server.post<{ id: string }>('/api/v1/keys', bound);
    const subscribe = `[{ topic: "application/+/device/+/event/+" }]`;
    server.write(
      'bridges.yaml',
      `lns: { url: "mqtt://127.0.0.1:${port}", key: ${id}, commands: true, subscribe: ${subscribe} }\n`,
    );
    await server.post('/api/v1/city/reload');
    await connected();
  });
  afterAll(async () => {
    await lns.endAsync(true);
    await server.stop();
    await mosquitto.stop();
  });

  test('before an uplink it is refused; after one it is sent, and acknowledged by the device', async () => {
    const early = await server.ask<{ reason: string }>('POST', `/api/v1/devices/${EUI}/commands`, {
      command: 'open',
      parameters: { level: 5 },
    });
    expect([early.status, early.body.reason]).toEqual([409, 'no-network-server']);
    await publish('up', { devAddr: '00189440', fCnt: 1, fPort: 2, object: { temperature: 20 } });
    const path = `/api/v1/ledger?device=${EUI}`;
    await until(async () => (await server.ask('GET', path)).status === 200, 'the uplink', 50);
    await server.settledLedger(EUI);
    const command = await send(40);
    await until(() => downlinks.length === 1, 'the downlink');
    expect(downlinks[0]).toMatchObject({ confirmed: true, data: Buffer.from([1, 40]).toString('base64') });
    await becomes(command, 'sent');
    await publish('ack', { queueItemId: downlinks[0]!.id, acknowledged: true });
    await becomes(command, 'acknowledged');
  });

  test('kill -9 between the response and the downlink: it is sent after the next start', async () => {
    await mosquitto.kill();
    await until(async () => (await state()) !== 'connected', 'the end of the connection', 50);
    const command = await send(50);
    await server.kill();
    await startMosquitto();
    await server.start();
    await until(() => downlinks.length === 2, 'the downlink', 50);
    expect(downlinks[1]!.data).toBe(Buffer.from([1, 50]).toString('base64'));
    await becomes(command, 'sent');
    await server.kill();
    await server.start();
    await connected();
    await publish('ack', { queueItemId: downlinks[1]!.id, acknowledged: false });
    await becomes(command, 'failed');
    expect(downlinks).toHaveLength(2);
  });
});
