import type { Packet } from 'mqtt-packet';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fiveLogin, keyOf, type RawClient, rawLogin, type Scene, startBroker } from '../../kit/broker/kit.ts';
import { acknowledge, payloads, subscribe } from '../../kit/broker/sessions.ts';
import { until } from '../../kit/wait.ts';

const COMMANDS = 'devices/bin-1/commands';
const DOWNLINK = 'application/7/device/70b3d57ed0001234/command/down';
let scene: Scene;
/** How long each command is valid, s. */
let left: Record<string, number>;
beforeEach(async () => {
  left = { a: 60, b: 5, c: 60 };
  const downlink = (_topic: string, payload: string) => ({ id: payload, key: 'lns' });
  scene = await startBroker({
    secondsLeft: (_topic, payload) => left[idOf(payload)] ?? null,
    downlinks: { downlinks: () => [], downlink },
  });
});
afterEach(() => scene.stop());

const idOf = (payload: string) => (payload.startsWith('{') ? (JSON.parse(payload) as { id: string }).id : payload);
function send(...ids: string[]): void {
  for (const id of ids) scene.publish({ topic: COMMANDS, payload: JSON.stringify({ id }), qos: 1, retain: false });
}
const KEPT = { properties: { sessionExpiryInterval: 600 } };
const got = (client: RawClient) =>
  client.got('publish').map(({ payload, properties }) => [idOf(`${payload}`), properties?.messageExpiryInterval]);

test('expiry - a command has the seconds that are left of it, also where it waited in a session', async () => {
  const client = await fiveLogin(scene.port, 'bin-1', KEPT);
  await subscribe(client, COMMANDS);
  send('a', 'b');
  await until(() => got(client).length === 2, 'both');
  expect(got(client)).toEqual([
    ['a', 60],
    ['b', 5],
  ]);
  for (const { messageId } of client.got('publish')) acknowledge(client, messageId!);
  client.send({ cmd: 'disconnect' } as Packet);
  await client.closed;
  send('c');
  left.c = 41;
  const back = await fiveLogin(scene.port, 'bin-1', { ...KEPT, clean: false });
  await until(() => got(back).length === 1, 'what had waited');
  expect(got(back)).toEqual([['c', 41]]);
});

test('expiry - what has expired is not sent, and counts neither as on its way nor as arrived', async () => {
  const client = await fiveLogin(scene.port, 'bin-1', {
    properties: { sessionExpiryInterval: 600, receiveMaximum: 1 },
  });
  await subscribe(client, COMMANDS);
  // The second one waits in the translation until the first is acknowledged.
  send('a', 'b', 'c');
  await until(() => got(client).length === 1, 'the first');
  left.b = 0;
  acknowledge(client, client.got('publish')[0]!.messageId!);
  await until(() => got(client).length === 2, 'the third');
  expect(got(client)[1]).toEqual(['c', 60]);
  acknowledge(client, client.got('publish')[1]!.messageId!);
  await until(() => scene.broker.counts().queued === 0, 'nothing that waits');
  await until(() => scene.delivered.includes('c'), 'what arrived');
  expect(scene.delivered).not.toContain('b');
});

test('expiry - downlinks have it, and events do not; a client of MQTT 3.1.1 gets no properties', async () => {
  scene.broker.credentials({ set: [keyOf('lns', 'network-server')], remove: [] });
  const server = await fiveLogin(scene.port, 'lns');
  await subscribe(server, 'application/+/device/+/command/#');
  const city = await fiveLogin(scene.port, 'city');
  await subscribe(city, 'events/#');
  const old = await rawLogin(scene.port, 'bin-1');
  await subscribe(old, COMMANDS);
  scene.publish({ topic: DOWNLINK, payload: 'a', qos: 1, retain: false });
  scene.publish({ topic: 'events/commands/bin-1/a', payload: '{"id":"a"}', qos: 1, retain: false });
  send('a');
  await until(() => got(server).length + got(city).length + payloads(old).length === 3, 'three messages');
  expect([got(server), got(city)]).toEqual([[['a', 60]], [['a', undefined]]]);
});
