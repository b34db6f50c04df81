import { expect, test } from 'vitest';
import { type Connection, refuseForward } from '../../../broker/connection.ts';
import { refusePublish, Subscribers } from '../../../broker/index.ts';
import {
  type Grant,
  KEY_ROLES,
  mayAny,
  type Permission,
  reaches,
  reachOf,
  type Sharing,
} from '../../../domain/index.ts';
import type { Identity } from '../../../registry/index.ts';

const OWNERS = new Map([
  ['waste-bin', ['waste']],
  ['gauge', ['water']],
]);
const PROFILES = new Map([
  ['bin-1', 'waste-bin'],
  ['gauge-1', 'gauge'],
]);

/** Who asks: every role of the city and of a department; a device is in `access.test.ts`. */
const GRANTS = KEY_ROLES.flatMap((role): Grant[] => [
  { role, department: null },
  { role, department: 'waste' },
  { role, department: 'waste', scopes: ['devices.read'] },
]);
const identityOf = (grant: Grant): Identity => ({ kind: 'key', id: 'k', key: { id: 'k', name: 'k', ...grant } });
const nameOf = ({ role, department, scopes = [] }: Grant) =>
  [role, 'of', department ?? 'the city', ...scopes].join(' ');

/** Topics, with what one needs to read them: a permission, and whose the topic is (null: the whole city's). */
const TOPICS: readonly (readonly [topic: string, permission: Permission, owner: string | null])[] = [
  ['live/east/bin-1', 'readings.read', 'waste'],
  ['live/east/gauge-1', 'readings.read', 'water'],
  ['live/east/gone', 'readings.read', null],
  ['live/#', 'readings.read', null],
  ['events/tickets/waste/t-1', 'events.read', 'waste'],
  ['events/tickets/water/t-1', 'events.read', 'water'],
  ['events/tickets/+/t-1', 'events.read', null],
  ['events/sessions/k', 'events.read', null],
  ['events/#', 'events.read', null],
  ['tickets/waste/t-1', 'tickets.read', 'waste'],
  ['tickets/water/t-1', 'tickets.read', 'water'],
  ['tickets/#', 'tickets.read', null],
  ['#', 'events.read', null],
  ['devices/bin-1/rejections', 'devices.listen', null],
  ['devices/+/commands', 'devices.listen', null],
  ['anything/else', 'devices.listen', null],
];
/** Those that do not depend on whose they are. */
const FOR_ALL: readonly (readonly [topic: string, permission: Permission])[] = [
  ['devices/bin-1/status', 'devices.read'],
];

const CITIES: readonly Sharing[] = [
  { readings: true, alerts: true },
  { readings: false, alerts: false },
];

/** Whether a message on a topic is sent to a subscriber. */
function forwards(identity: Identity, topic: string, access: Subscribers): boolean {
  const connection = { publisher: { identity }, edge: { five: null } } as unknown as Connection;
  const client = { conn: { destroyed: false, writableLength: 0 } } as Parameters<typeof refuseForward>[1];
  return refuseForward(connection, client, topic, 1, access) === null;
}

test.each(GRANTS.flatMap((grant) => CITIES.map((shared) => [nameOf(grant), shared, grant] as const)))(
  'mqtt - %s subscribes to and gets what the table says, where the city shares %o',
  (_, shared, grant) => {
    const access = new Subscribers((device) => PROFILES.get(device) ?? null, { shared, profiles: OWNERS });
    const identity = identityOf(grant);
    const expectAccess = (topic: string, isAllowed: boolean) => {
      expect(access.refuse(identity, topic) === null, topic).toBe(isAllowed);
      expect(forwards(identity, topic, access), `forward ${topic}`).toBe(isAllowed);
    };
    const listens = reachOf([grant], 'devices.listen') === 'city';
    for (const [topic, permission, owner] of TOPICS) {
      const isAllowed = reaches(reachOf([grant], permission, shared), owner);
      expectAccess(topic, isAllowed || (topic === '#' && listens));
    }
    for (const [topic, permission] of FOR_ALL) expectAccess(topic, reachOf([grant], permission) === 'city');
    const alerts = reachOf([grant], 'events.read');
    expectAccess('events/alerts/r/g', alerts === 'city' || (alerts.length > 0 && shared.alerts));
  },
);

test.each(GRANTS.map((grant) => [nameOf(grant), grant] as const))(
  'mqtt - %s publishes what the table says',
  (_, grant) => {
    const identity = identityOf(grant);
    const uplink = 'application/1/device/70b3d57ed0001234/event/up';
    expect(refusePublish(identity, uplink) === null).toBe(mayAny([grant], 'uplinks.publish'));
    for (const topic of [...TOPICS.map(([one]) => one), 'devices/bin-1/readings', '$SYS/x'])
      expect(refusePublish(identity, topic), topic).not.toBeNull();
  },
);

const GETS = ['rejections', 'status', 'commands', 'desired'];
const SENDS = ['readings', 'senml', 'senml-cbor', 'sensor-community', 'results', 'reported'];

test.each(CITIES)(
  'mqtt - a device sends and gets what is its own, and nothing of another one, where the city shares %o',
  (shared) => {
    const access = new Subscribers((device) => PROFILES.get(device) ?? null, { shared, profiles: OWNERS });
    const device: Identity = { kind: 'device', id: 'bin-1', profile: 'waste-bin' };
    const own = [...GETS, ...SENDS, 'anything'].map((leaf) => [`devices/bin-1/${leaf}`, leaf] as const);
    const others = [...GETS, ...SENDS].map((leaf) => [`devices/gauge-1/${leaf}`, ''] as const);
    const shown = TOPICS.filter(([topic]) => !topic.startsWith('devices/bin-1/')).map(
      ([topic]) => [topic, ''] as const,
    );
    for (const [topic, leaf] of [...own, ...others, ...shown]) {
      expect(refusePublish(device, topic) === null, `publish ${topic}`).toBe(SENDS.includes(leaf));
      expect(access.refuse(device, topic) === null, `subscribe ${topic}`).toBe(GETS.includes(leaf));
      expect(forwards(device, topic, access), `forward ${topic}`).toBe(GETS.includes(leaf));
    }
  },
);

test('mqtt - a city that is read again changes what a connected key gets', () => {
  const identity = identityOf({ role: 'viewer', department: 'waste' });
  const access = new Subscribers((device) => PROFILES.get(device) ?? null, { shared: CITIES[0]!, profiles: OWNERS });
  expect(access.refuse(identity, 'live/east/gauge-1')).toBeNull();
  access.apply({ shared: CITIES[1]!, profiles: OWNERS });
  expect(access.refuse(identity, 'live/east/gauge-1')).toBe('not-your-department');
  access.apply({ shared: CITIES[1]!, profiles: new Map([['gauge', ['waste']]]) });
  expect(access.refuse(identity, 'live/east/gauge-1')).toBeNull();
});
