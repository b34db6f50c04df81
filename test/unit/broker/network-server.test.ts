import { describe, expect, test } from 'vitest';
import {
  createAdmission,
  createPublisher,
  refusePublish,
  Subscribers,
  type TopicRefusal,
} from '../../../broker/index.ts';
import { KEY_ROLES, LamppostError, reachOf, SHARED } from '../../../domain/index.ts';
import { hashSecret, type Identity } from '../../../registry/index.ts';
import { MemorySink, type Scene, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const server: Identity = {
  kind: 'key',
  id: 'key-lns',
  key: { id: 'key-lns', name: 'ChirpStack', role: 'network-server', department: null },
};
const UPLINK = 'application/7/device/70b3d57ed0001234/event/up';

test.each<[string, TopicRefusal | null]>([
  [UPLINK, null],
  ['v3/air@ttn/devices/eui-70b3d57ed0001234/up', null],
  ['application/7/device/70b3d57ed0001234/event/join', 'unknown-topic'],
  ['application/7/device/70b3d57ed0001234/event/up/x', 'unknown-topic'],
  ['application//device/70b3d57ed0001234/event/up', 'unknown-topic'],
  ['x/application/7/device/70b3d57ed0001234/event/up', 'unknown-topic'],
  ['v3/air@ttn/devices/lamp/down/queued', 'unknown-topic'],
  ['v3/air@ttn/devices/lamp/down/ack', null],
  ['application/7/device/70b3d57ed0001234/event/ack', null],
  ['v3/devices/lamp/up', 'unknown-topic'],
  ['devices/bin-1/readings', 'unknown-topic'],
  ['events/tickets/waste/1', 'unknown-topic'],
  ['$SYS/x', 'reserved-topic'],
])('network server - publishing to %s: %s', (topic, refusal) => {
  expect(refusePublish(server, topic)).toBe(refusal);
});

test.each([
  '#',
  UPLINK,
  'application/#',
  'application/7/device/+/command/down/x',
  'v3/+/devices/+/down/queued',
  'live/#',
  'devices/+/status',
  'events/#',
])('network server - subscribing to %s is refused', (filter) => {
  expect(new Subscribers(() => null, { shared: SHARED, profiles: new Map() }).refuse(server, filter)).toBe(
    'network-servers-do-not-subscribe',
  );
});

test.each([
  'application/7/device/+/command/down',
  'application/+/device/+/command/#',
  'v3/air@ttn/devices/+/down/push',
])('network server - it may subscribe to downlinks: %s', (filter) => {
  const access = new Subscribers(() => null, { shared: SHARED, profiles: new Map() });
  expect(access.refuse(server, filter)).toBeNull();
  expect(access.refuse({ kind: 'device', id: 'x', profile: 'waste-bin' }, filter)).toBe('unknown-topic');
});

test('network server - no device and no other key publishes uplinks', () => {
  expect(refusePublish({ kind: 'device', id: '70b3d57ed0001234', profile: 'waste-bin' }, UPLINK)).toBe('unknown-topic');
  for (const role of KEY_ROLES.filter((one) => one !== 'network-server')) {
    const identity: Identity = { kind: 'key', id: 'k', key: { id: 'k', name: 'k', role, department: null } };
    expect(refusePublish(identity, UPLINK)).toBe('keys-do-not-publish');
  }
});

test('network server - over HTTP its key has fewer rights than a viewer', () => {
  expect(reachOf([{ role: 'network-server', department: null }], 'tickets.read')).toEqual([]);
});

function scene() {
  const sink = new MemorySink();
  sink.held = true;
  const refused: string[] = [];
  const admission = createAdmission(sink, (_identity, topic) => refused.push(topic));
  const publisher = createPublisher(server);
  const results: string[] = [];
  const publish = (topic: string) =>
    admission.admit(publisher, topic, Buffer.from('{}'), (error, why) =>
      results.push(`${topic}: ${error?.code ?? why ?? 'ok'}`),
    );
  return { sink, refused, admission, publisher, results, publish };
}

test('network server - its other events are acknowledged, counted and not journalled, and the connection stays', () => {
  const { sink, refused, admission, results, publish } = scene();
  const others = ['application/7/device/x/event/join', 'application/7/device/x/state', 'v3/a@ttn/devices/x/join'];
  for (const topic of others) publish(topic);
  expect(results).toEqual(others.map((topic) => `${topic}: unknown-topic`));
  expect(sink.taken).toEqual([]);
  expect(refused).toEqual([]);
  expect(admission.counts).toEqual({ admitted: 0, refused: 0, dropped: 3 });
});

test('network server - a dropped event is acknowledged behind the uplinks before it, and counts as in flight until then', () => {
  const { sink, admission, publisher, results, publish } = scene();
  publish(UPLINK);
  publish('application/7/device/x/event/join');
  publish(UPLINK);
  publish('application/7/device/x/event/txack');
  expect(results).toEqual([]);
  expect(publisher.inFlight).toBe(8);
  sink.settle(null, 1);
  expect(results).toEqual([`${UPLINK}: ok`, 'application/7/device/x/event/join: unknown-topic']);
  sink.settle();
  expect(results.at(-1)).toBe('application/7/device/x/event/txack: unknown-topic');
  expect(publisher.inFlight).toBe(0);
  expect(admission.counts).toEqual({ admitted: 2, refused: 0, dropped: 2 });
});

test('network server - a message to any other topic is dropped and counts as refused, as for other keys', () => {
  const { refused, admission, results, publish } = scene();
  publish('devices/bin-1/readings');
  expect(results).toEqual(['devices/bin-1/readings: unknown-topic']);
  expect(refused).toEqual(['devices/bin-1/readings']);
  expect(admission.counts).toEqual({ admitted: 0, refused: 1, dropped: 0 });
});

describe('messages that a bridge took from another broker', () => {
  const up = (n: number) => ({ topic: `application/1/device/eui-${n}/event/up`, payload: Buffer.from(`${n}`) });
  const key = { id: 'bridged', name: 'b', role: 'network-server', department: null } as const;
  const lns: Identity = { kind: 'key', id: 'bridged', key };

  async function bridged(messagesPerSecond: number): Promise<Scene> {
    const limited = await startBroker({ accounts: { device: { messagesPerSecond, bytesPerSecond: 0 }, profiles: {} } });
    limited.broker.credentials({ set: [{ identity: lns, hash: hashSecret('unknown to all') }], remove: [] });
    return limited;
  }

  test('broker - they are admitted in the name of the key, in their order; what it may not publish is dropped', async () => {
    const scene = await bridged(0);
    const messages = [up(1), { topic: 'devices/bin-1/readings', payload: Buffer.from('x') }, up(2)];
    expect(await scene.broker.carry('bridged', messages)).toEqual({
      settled: [null, 'unknown-topic', null],
      fault: null,
    });
    expect(scene.sink.taken.map(({ identity, payload }) => [identity, payload])).toEqual([
      ['bridged', '1'],
      ['bridged', '2'],
    ]);
    await expect(scene.broker.carry('admin', [up(3)])).rejects.toMatchObject({ code: 'forbidden' });
    await expect(scene.broker.carry('nobody', [up(3)])).rejects.toThrow('there is no key nobody');
    scene.broker.credentials({ set: [], remove: ['bridged'] });
    await expect(scene.broker.carry('bridged', [up(3)])).rejects.toMatchObject({ code: 'forbidden' });
    await scene.stop();
  });

  test('broker - past the limit of the key the rest waits, and is taken later', async () => {
    const scene = await bridged(1);
    const messages = Array.from({ length: 3_000 }, (_, n) => up(n));
    const { settled, fault } = await scene.broker.carry('bridged', messages);
    expect(settled.length).toBeLessThan(3_000);
    expect(fault).toMatchObject({ message: 'bridged sends more than it may' });
    expect(fault!.retryAfterMs).toBeGreaterThan(0);
    expect(scene.sink.taken.map(({ payload }) => payload)).toEqual(settled.map((_, n) => `${n}`));
    scene.nowMs += fault!.retryAfterMs + 60_000;
    expect((await scene.broker.carry('bridged', messages.slice(settled.length))).settled.length).toBeGreaterThan(0);
    await scene.stop();
  });

  test('broker - what the disk does not take is not settled, nor is anything behind it', async () => {
    const scene = await bridged(0);
    scene.sink.held = true;
    const carried = scene.broker.carry('bridged', [up(1), up(2), up(3)]);
    await until(() => scene.sink.taken.length === 3, 'three messages');
    scene.sink.settle(null, 1);
    scene.sink.settle(new LamppostError('journal-full', 'the journal is full', { retryable: true }), 1);
    scene.sink.settle();
    expect(await carried).toMatchObject({ settled: [null], fault: { message: 'the journal is full' } });
    await scene.stop();
  });
});
