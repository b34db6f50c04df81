import fc from 'fast-check';
import { expect, test } from 'vitest';
import { declaredTopics, refusePublish, Subscribers, type TopicRefusal } from '../../../broker/index.ts';
import { type Key, SHARED } from '../../../domain/index.ts';
import type { Identity } from '../../../registry/index.ts';
import { runs } from '../../kit/runs.ts';

const device: Identity = { kind: 'device', id: 'bin-1', profile: 'waste-bin' };
const keyOf = (role: Key['role'], department: string | null): Identity => ({
  kind: 'key',
  id: 'key-1',
  key: { id: 'key-1', name: 'k', role, department },
});
const subscribers = new Subscribers(() => null, { shared: SHARED, profiles: new Map() });
const refuseSubscribe = (identity: Identity, filter: string) => subscribers.refuse(identity, filter);
const admin = keyOf('admin', null);
const city = keyOf('viewer', null);
const app = keyOf('citizen-app', null);
const waste = keyOf('operator', 'waste');

test.each<[Identity, string, TopicRefusal | null]>([
  [device, 'devices/bin-1/readings', null],
  [device, 'devices/bin-1/senml', null],
  [device, 'devices/bin-1/senml-cbor', null],
  [device, 'devices/bin-2/readings', 'not-your-device'],
  [device, 'devices/bin-1/status', 'unknown-topic'],
  [device, 'devices/bin-1/rejections', 'unknown-topic'],
  [device, 'devices/bin-1/readings/', 'unknown-topic'],
  [device, 'devices/bin-1/readings/x', 'unknown-topic'],
  [device, '/devices/bin-1/readings', 'unknown-topic'],
  [device, 'devices/bin-1/results', null],
  [device, 'devices/bin-1/reported', null],
  [device, 'devices/bin-1/commands', 'unknown-topic'],
  [device, 'devices/bin-1/children/lid-1/readings', null],
  [device, 'devices/bin-1/children/lid-1/results', null],
  [device, 'devices/bin-1/children/lid-1/status', 'unknown-topic'],
  [device, 'devices/bin-1/children//readings', 'unknown-topic'],
  [device, 'devices/bin-1/children/lid-1', 'unknown-topic'],
  [device, 'devices/bin-1/children/a/children/b/readings', 'unknown-topic'],
  [device, 'devices/bin-2/children/lid-1/readings', 'not-your-device'],
  [device, 'devices/bin-1', 'unknown-topic'],
  [device, 'DEVICES/bin-1/readings', 'unknown-topic'],
  [device, 'live/harbour/bin-1', 'unknown-topic'],
  [device, 'events/alerts/x/y', 'unknown-topic'],
  [device, '$SYS/x/new/clients', 'reserved-topic'],
  [admin, 'devices/bin-1/readings', 'keys-do-not-publish'],
  [admin, 'events/tickets/waste/1', 'keys-do-not-publish'],
  [app, 'devices/bin-1/readings', 'keys-do-not-publish'],
  [app, 'application/1/device/2/event/up', 'keys-do-not-publish'],
])('publish - %o to %s: %s', (identity, topic, refusal) => {
  expect(refusePublish(identity, topic)).toBe(refusal);
});

const declared = declaredTopics({
  names: ['tasmota', 'geo', 'board'],
  topics: [
    { topic: 'tele/{device}/SENSOR', device: '{device}' },
    { topic: 'site/{gate}/{part}', device: '{gate}-{part}' },
    { topic: 'v1/me/telemetry', device: '' },
    { topic: 'radio/{gateway}/{device}', device: '{device}' },
    { topic: '$aws/things/{device}/shadow', device: '{device}' },
  ],
});
const server = keyOf('network-server', null);

test.each<[Identity, string, TopicRefusal | null]>([
  [device, 'tele/bin-1/SENSOR', null],
  [device, 'tele/bin-2/SENSOR', 'not-your-device'],
  [device, 'tele/bin-1/STATE', 'unknown-topic'],
  [device, 'site/bin/1', null],
  [device, 'site/bin/2', 'not-your-device'],
  [device, 'v1/me/telemetry', null],
  [device, 'radio/bin-1/lid-1', null],
  [device, 'radio/bin-2/lid-1', 'not-your-device'],
  [device, '$aws/things/bin-1/shadow', null],
  [device, '$aws/things/bin-2/shadow', 'not-your-device'],
  [device, '$aws/things/bin-1/other', 'reserved-topic'],
  [device, 'devices/bin-1/tasmota', null],
  [device, 'devices/bin-2/tasmota', 'not-your-device'],
  [device, 'devices/bin-1/tasmoto', 'unknown-topic'],
  [device, 'http/geo', 'unknown-topic'],
  [server, 'tele/bin-2/SENSOR', null],
  [server, 'http/geo', null],
  [server, 'http/geography', 'unknown-topic'],
  [server, 'devices/bin-1/tasmota', 'unknown-topic'],
  [admin, 'tele/bin-1/SENSOR', 'keys-do-not-publish'],
  [app, 'http/geo', 'keys-do-not-publish'],
])('publish - %o to %s of a declared format: %s', (identity, topic, refusal) => {
  expect(refusePublish(identity, topic, declared)).toBe(refusal);
});

test.each<[Identity, string, TopicRefusal | null]>([
  [device, 'devices/bin-1/rejections', null],
  [device, 'devices/bin-1/status', null],
  [device, 'devices/bin-1/readings', 'unknown-topic'],
  [device, 'devices/bin-2/rejections', 'not-your-device'],
  [device, 'devices/+/rejections', 'not-your-device'],
  [device, 'devices/bin-1/#', 'unknown-topic'],
  [device, 'devices/bin-1/+', 'unknown-topic'],
  [device, '#', 'unknown-topic'],
  [device, '+/bin-1/rejections', 'unknown-topic'],
  [device, 'live/#', 'unknown-topic'],
  [device, '$SYS/#', 'reserved-topic'],
  [admin, '#', null],
  [admin, 'devices/+/rejections', null],
  [admin, '$SYS/#', 'reserved-topic'],
  [city, 'live/#', null],
  [city, 'tickets/waste/#', null],
  [city, 'devices/+/status', null],
  [city, 'devices/+/rejections', 'unknown-topic'],
  [waste, 'tickets/waste/#', null],
  [waste, 'events/tickets/waste/+', null],
  [waste, 'events/alerts/#', null],
  [waste, 'tickets/roads/#', 'not-your-department'],
  [waste, 'tickets/+/1', 'not-your-department'],
  [waste, 'tickets/#', 'not-your-department'],
  [waste, 'events/#', 'not-your-department'],
  [waste, 'events/+/roads/1', 'not-your-department'],
  [waste, '#', 'unknown-topic'],
  [waste, '+/roads/1', 'unknown-topic'],
  ...['#', 'live/#', 'tickets/waste/1', 'events/alerts/#', 'devices/+/status'].map(
    (filter): [Identity, string, TopicRefusal] => [app, filter, 'citizen-apps-do-not-subscribe'],
  ),
])('subscribe - %o to %s: %s', (identity, filter, refusal) => {
  expect(refuseSubscribe(identity, filter)).toBe(refusal);
});

/** MQTT 3.1.1 §4.7. */
function matches(filter: readonly string[], topic: readonly string[]): boolean {
  const [level, ...rest] = filter;
  if (level === '#') return true;
  if (level === undefined || topic.length === 0) return level === undefined && topic.length === 0;
  return (level === '+' || level === topic[0]) && matches(rest, topic.slice(1));
}

test('subscribe - no filter of a device or a department reaches a topic that it could not have asked for by name', () => {
  const names = ['devices', 'events', 'tickets', 'live', 'alerts', 'bin-1', 'bin-2', 'waste', 'roads', 'status'];
  const level = fc.constantFrom(...names, 'rejections', 'readings', '');
  const topics = fc.array(level, { minLength: 1, maxLength: 5 });
  // A filter is a topic with some levels replaced, so that the two often match.
  const wild = fc.array(fc.constantFrom('keep', 'keep', '+', 'other'), { minLength: 5, maxLength: 5 });
  const asked = fc.tuple(topics, wild, level, fc.option(fc.nat({ max: 4 }), { nil: null }));
  fc.assert(
    fc.property(fc.constantFrom(device, waste), asked, (identity, [topic, replace, other, hash]) => {
      const levels = topic.map((name, i) => ({ keep: name, '+': '+', other })[replace[i]!]!);
      const filter = hash === null ? levels : [...levels.slice(0, hash), '#'];
      if (!matches(filter, topic) || refuseSubscribe(identity, filter.join('/')) !== null) return;
      expect(refuseSubscribe(identity, topic.join('/')), `${filter.join('/')} reaches ${topic.join('/')}`).toBeNull();
    }),
    { numRuns: runs(20_000) },
  );
});
