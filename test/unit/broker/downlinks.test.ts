import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { Publication } from '../../../domain/index.ts';
import { keyOf, login, type Scene, SECRET, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const TOPIC = 'application/7/device/70b3d57ed0001234/command/down';
const FILTER = 'application/+/device/+/command/#';
const messageOf = (payload: string): Publication => ({ topic: TOPIC, payload, qos: 1, retain: false });

let scene: Scene;
afterEach(() => scene.stop());

/** A broker in which payloads that begin with a key are that key's. */
async function open(waiting: readonly Publication[] = []): Promise<void> {
  const downlinks = {
    downlinks: () => waiting,
    downlink: (topic: string, payload: string) =>
      topic === TOPIC ? { id: `c-${payload}`, key: payload.split(' ')[0]! } : null,
  };
  scene = await startBroker({ downlinks });
  scene.broker.credentials({ set: [keyOf('lns', 'network-server')], remove: [] });
}

test('downlinks - a network server gets those of its own devices, and what had waited for it', async () => {
  await open([messageOf('lns before'), messageOf('other before')]);
  const client = await login(scene.port, 'lns');
  const came: string[] = [];
  client.on('message', (_topic, payload, { retain }) => void came.push(`${payload}${retain ? ' retained' : ''}`));
  await client.subscribeAsync(FILTER, { qos: 1 });
  await until(() => came.length === 1, 'what had waited');
  scene.publish(messageOf('other now'));
  scene.publish(messageOf('lns now'));
  await until(() => came.length === 2, 'the next one');
  expect(came).toEqual(['lns before', 'lns now']);
  await client.endAsync();
  await until(() => scene.delivered.length === 2, 'a note that both were sent');
});

test('downlinks - a kept session has those that came meanwhile, and what arrived is noted', async () => {
  await open();
  const first = await login(scene.port, 'lns', { clean: false });
  await first.subscribeAsync(FILTER, { qos: 1 });
  await first.endAsync();
  scene.publish(messageOf('other 1'));
  scene.publish(messageOf('lns 2'));
  const came: string[] = [];
  const again = mqtt.connect(`mqtt://127.0.0.1:${scene.port}`, {
    ...{ username: 'lns', clientId: 'lns', password: SECRET, clean: false, reconnectPeriod: 0 },
  });
  again.on('message', (_topic, payload) => void came.push(`${payload}`));
  await until(() => scene.delivered.length > 0, 'a note that it arrived');
  expect([came, scene.delivered]).toEqual([['lns 2'], ['c-lns 2']]);
  await again.endAsync();
});

test('downlinks - nobody else may ask for them', async () => {
  await open();
  for (const who of ['bin-1', 'waste']) {
    const client = await login(scene.port, who);
    await expect(client.subscribeAsync(FILTER, { qos: 1 })).rejects.toThrow();
    await client.endAsync();
  }
});
