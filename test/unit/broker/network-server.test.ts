import { expect, test } from 'vitest';
import {
  createAdmission,
  createPublisher,
  refusePublish,
  refuseSubscribe,
  type TopicRefusal,
} from '../../../broker/index.ts';
import { KEY_ROLES } from '../../../domain/index.ts';
import type { Identity } from '../../../registry/index.ts';
import { MemorySink } from '../../kit/broker/kit.ts';

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
  'application/7/device/+/command/down',
  'live/#',
  'devices/+/status',
  'events/#',
])('network server - subscribing to %s is refused', (filter) => {
  expect(refuseSubscribe(server, filter)).toBe('network-servers-do-not-subscribe');
});

test('network server - no device and no other key publishes uplinks', () => {
  expect(refusePublish({ kind: 'device', id: '70b3d57ed0001234', profile: 'waste-bin' }, UPLINK)).toBe('unknown-topic');
  for (const role of KEY_ROLES.filter((one) => one !== 'network-server')) {
    const identity: Identity = { kind: 'key', id: 'k', key: { id: 'k', name: 'k', role, department: null } };
    expect(refusePublish(identity, UPLINK)).toBe('keys-do-not-publish');
  }
});

test('network server - over HTTP its key has fewer rights than a viewer', () => {
  expect(KEY_ROLES.indexOf('network-server')).toBeLessThan(KEY_ROLES.indexOf('viewer'));
});

function scene() {
  const sink = new MemorySink();
  sink.held = true;
  const refused: string[] = [];
  const admission = createAdmission(sink, (_, topic) => refused.push(topic));
  const publisher = createPublisher(server);
  const results: string[] = [];
  const publish = (topic: string) =>
    admission.admit(publisher, topic, Buffer.from('{}'), (error) => results.push(`${topic}: ${error?.code ?? 'ok'}`));
  return { sink, refused, admission, publisher, results, publish };
}

test('network server - its other events are acknowledged, counted and not journalled, and the connection stays', () => {
  const { sink, refused, admission, results, publish } = scene();
  const others = ['application/7/device/x/event/join', 'application/7/device/x/state', 'v3/a@ttn/devices/x/join'];
  for (const topic of others) publish(topic);
  expect(results).toEqual(others.map((topic) => `${topic}: ok`));
  expect(sink.taken).toEqual([]);
  expect(refused).toEqual([]);
  expect(admission.counts).toEqual({ admitted: 0, refused: 0, dropped: 3 });
});

test('network server - a dropped event is acknowledged behind the uplinks before it, and counts as in flight until then', () => {
  const { sink, admission, publisher, results, publish } = scene();
  publish(UPLINK);
  publish('application/7/device/x/event/ack');
  publish(UPLINK);
  publish('application/7/device/x/event/txack');
  expect(results).toEqual([]);
  expect(publisher.inFlight).toBe(8);
  sink.settle(null, 1);
  expect(results).toEqual([`${UPLINK}: ok`, 'application/7/device/x/event/ack: ok']);
  sink.settle();
  expect(results.at(-1)).toBe('application/7/device/x/event/txack: ok');
  expect(publisher.inFlight).toBe(0);
  expect(admission.counts).toEqual({ admitted: 2, refused: 0, dropped: 2 });
});

test('network server - any other topic is forbidden, as for other keys', () => {
  const { refused, admission, results, publish } = scene();
  publish('devices/bin-1/readings');
  expect(results).toEqual(['devices/bin-1/readings: forbidden']);
  expect(refused).toEqual(['devices/bin-1/readings']);
  expect(admission.counts).toEqual({ admitted: 0, refused: 1, dropped: 0 });
});
