import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DevicesControl, Uplinks } from '../../../domain/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { transact } from '../../../store/index.ts';
import { cityControl, intakeBench, openIntake, openState, type Sent, testDir, write } from '../../kit/ingest/intake.ts';

const T0 = Date.UTC(2026, 2, 2);
const [PORT, PARK] = ['0101010101010101', '0202020202020202'];
let dir: string;
let store: JournalStore;
let version = 0;
beforeEach(() => {
  dir = testDir();
  store = new JournalStore(join(dir, 'journal.sqlite')).open();
  write(store, { kind: 'city', atMs: T0, body: cityControl() });
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

const devices = (control: Partial<DevicesControl>) =>
  write(store, {
    kind: 'devices',
    atMs: T0,
    body: { version: ++version, registered: [], revoked: [], ...control },
  });
const bind = (uplinks: Exclude<Uplinks, 'all'> | null) => devices({ publishers: [{ id: 'lns', uplinks }] });
const register = (more: Partial<DevicesControl> = {}) =>
  devices({
    registered: [
      { id: PORT, profile: 'bin', district: 'east', tags: { network: 'port' } },
      { id: PARK, profile: 'bin', district: 'west' },
    ],
    ...more,
  });
const uplink = (eui: string, application = 'a'): Sent => ({
  identity: 'lns',
  topic: `application/${application}/device/${eui}/event/up`,
  payload: JSON.stringify({ deviceInfo: { devEui: eui }, object: { a: 5 } }),
  receivedAt: T0,
});
/** The Things Stack names the device in the payload only. */
const stack = (eui: string): Sent => ({
  identity: 'lns',
  topic: 'v3/a@city/devices/roof/up',
  payload: JSON.stringify({
    end_device_ids: { device_id: 'roof', dev_eui: eui.toUpperCase() },
    uplink_message: { decoded_payload: { a: 5 } },
  }),
  receivedAt: T0,
});
const send = (...messages: Sent[]) => write(store, { kind: 'messages', atMs: T0, messages });

/** Reads everything; returns of each message null where it was decoded, or who pays for it, and why. */
function outcomes(path = join(dir, 'state.sqlite')): (string | null)[] {
  const db = openState(path);
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const { intake } = openIntake(db);
  const found = journal.after(0, 100).map((block) => intake.outcome(block));
  transact(db, () => intake.persist())();
  journal.close();
  db.close();
  return found.flatMap(({ tallies, refusals }) => [
    ...tallies.flatMap(({ decoded }) => Array.from({ length: decoded }, () => null)),
    ...refusals.map(({ holder, reason }) => `${holder}: ${reason}`),
  ]);
}

const FOREIGN = 'lns: not-your-device';

test.each<[string, Exclude<Uplinks, 'all'> | null, (string | null)[]]>([
  ['that is not bound publishes for every device', null, [null, null, null]],
  ['is bound to DevEUIs', { devices: [PORT.toUpperCase()] }, [null, null, FOREIGN]],
  ['is bound to a tag', { tags: { network: 'port' } }, [null, null, FOREIGN]],
  ['is bound to another tag', { tags: { network: 'park' } }, [FOREIGN, FOREIGN, FOREIGN]],
  ['is bound to its application', { applications: ['a'] }, [null, null, null]],
  ['is bound to another application', { applications: ['b'] }, [FOREIGN, FOREIGN, FOREIGN]],
])('publishers - a network server %s', (_what, bound, expected) => {
  register();
  bind(bound);
  send(uplink(PORT));
  send(stack(PORT));
  send(uplink(PARK));
  expect(outcomes()).toEqual(expected);
});

test('publishers - a key is bound from its record on, and so it is after a restart', () => {
  register();
  send(uplink(PARK));
  bind({ devices: [PORT] });
  send(uplink(PARK));
  expect(outcomes()).toEqual([null, FOREIGN]);
  send(uplink(PARK));
  bind(null);
  send(uplink(PARK));
  expect(outcomes().slice(2), 'read by another process').toEqual([FOREIGN, null]);
  expect(outcomes(join(dir, 'again.sqlite')), 'read from the beginning').toEqual([null, FOREIGN, FOREIGN, null]);
});

test('publishers - a name that nobody registered is refused as such, whatever the key is bound to', () => {
  register();
  bind({ devices: [PORT] });
  send(uplink('0909090909090909'));
  expect(outcomes()).toEqual(['lns: unknown-device']);
});

test('suspension - messages of a suspended device are refused until it is resumed', () => {
  register({ suspended: [PORT] });
  send(uplink(PORT));
  send(uplink(PARK));
  register();
  send(uplink(PORT));
  expect(outcomes()).toEqual([`${PORT}: device-suspended`, null, null]);
});

const GATEWAYS = cityControl({
  files: {
    'profiles.yaml': {
      bin: { title: { en: 'A', zh: '甲' }, metrics: ['a', 'b'], interval: '1m' },
      radio: {
        ...{ title: { en: 'A', zh: '甲' }, kind: 'gateway', metrics: ['a'], interval: '1m' },
        enrol: { devices: 'new-*', profile: 'bin', most: 2 },
      },
    },
  },
});

test('gateways - one whose profile is no gateway any more publishes for itself only', () => {
  const carried: Sent = {
    ...{ identity: 'gw-1', topic: 'devices/gw-1/children/bin-1/readings', receivedAt: T0 },
    payload: '{"metrics": {"a": 5}}',
  };
  write(store, { kind: 'city', atMs: T0, body: GATEWAYS });
  const bin = { id: 'bin-1', profile: 'bin', district: 'east', gateway: 'gw-1' };
  devices({ registered: [{ id: 'gw-1', profile: 'radio', district: 'east' }, bin] });
  send(carried);
  devices({ registered: [{ id: 'gw-1', profile: 'bin', district: 'east' }] });
  send(carried);
  expect(outcomes()).toEqual([null, 'gw-1: not-your-device']);
});

test('gateways - a gateway publishes for the devices under it from their record on, and for no others', () => {
  write(store, { kind: 'city', atMs: T0, body: GATEWAYS });
  const gw = { id: 'gw-1', profile: 'radio', district: 'east' };
  const bin = { id: 'bin-1', profile: 'bin', district: 'east' };
  const other = { ...bin, id: 'bin-2' };
  const carried = (child: string): Sent => ({
    ...{ identity: 'gw-1', topic: `devices/gw-1/children/${child}/readings`, receivedAt: T0 },
    payload: '{"metrics": {"a": 5}}',
  });
  devices({ registered: [gw, bin, other] });
  send(carried('bin-1'));
  devices({ registered: [{ ...bin, gateway: 'gw-1' }] });
  send(carried('bin-1'), carried('bin-2'));
  const own: Sent = { ...carried(''), identity: 'bin-1', topic: 'devices/bin-1/readings' };
  send(own);
  devices({ registered: [bin] });
  send(carried('bin-1'));
  const foreign = 'gw-1: not-your-device';
  expect(outcomes()).toEqual([foreign, null, foreign, null, foreign]);
});

test('devices - what they say beside readings is decoded in the order of the log, and balances', () => {
  devices({ registered: [{ id: 'bin-1', profile: 'bin', district: 'east' }] });
  const say = (leaf: string, payload: string): Sent => ({
    ...{ identity: 'bin-1', topic: `devices/bin-1/${leaf}`, payload, receivedAt: T0 },
  });
  send(
    say('results', '{"id": "c-1-0", "status": "done"}'),
    say('reported', '{"level": 40}'),
    say('results', '{"id": "c-1-0", "status": "so so"}'),
    say('reported', '[1]'),
    say('reported', JSON.stringify({ text: 'x'.repeat(9_000) })),
  );
  expect(outcomes()).toEqual([null, null, ...Array.from({ length: 3 }, () => 'bin-1: wrong-shape')]);
  const db = openState(join(dir, 'again.sqlite'));
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const { intake } = openIntake(db);
  const said = journal.after(0, 100).flatMap((block) => intake.outcome(block).said);
  journal.close();
  db.close();
  expect(said).toEqual([
    { device: 'bin-1', result: { id: 'c-1-0', status: 'done' } },
    { device: 'bin-1', reported: { level: 40 } },
  ]);
});

test('gateways - one asks for the devices that its profile enrols, once a block; nobody else does', () => {
  const intake = intakeBench();
  intake.city(GATEWAYS, T0);
  const known = [
    { id: 'gw-1', profile: 'radio', district: 'east' },
    { id: 'new-9', profile: 'bin', district: 'east' },
  ];
  intake.devices([...known, { id: 'bin-1', profile: 'bin', district: 'east' }], [], T0);
  intake.devices([], ['new-9'], T0);
  const carried = (child: string, identity = 'gw-1'): Sent => ({
    ...{ identity, topic: `devices/${identity}/children/${child}/readings`, receivedAt: T0 },
    payload: '{"metrics": {"a": 5}}',
  });
  const some = ['new-1', 'new-1', 'old-1', 'new-9', 'bin-1'].map((child) => carried(child));
  const { said, refusals } = intake.send([...some, carried('new-2', 'bin-1')]);
  expect(said).toEqual([{ device: 'gw-1', enrol: 'new-1' }]);
  expect(refusals.map(({ reason }) => reason)).toEqual(Array.from({ length: 6 }, () => 'not-your-device'));
  const many = Array.from({ length: 300 }, (_, i) => carried(`new-x${i}`));
  expect(intake.send(many).said).toHaveLength(100);
});
