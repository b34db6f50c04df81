import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Device, DeviceSaid, DevicesControl, ReplayItem } from '../../../domain/index.ts';
import { createLedgerReader } from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { transact } from '../../../store/index.ts';
import { cityControl, openIntake, openState, type Sent, testDir, write } from '../../kit/ingest/intake.ts';

const T0 = Date.UTC(2026, 2, 2);
const [OLD, NEW, NEWER] = ['0101010101010101', '0202020202020202', '0303030303030303'];
let dir: string;
let store: JournalStore;
let version = 0;
let written = 0;
const next = () => ++written;
beforeEach(() => {
  dir = testDir();
  written = 0;
  store = new JournalStore(join(dir, 'journal.sqlite')).open();
  write(store, { kind: 'city', atMs: T0, body: cityControl() });
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

const devices = (control: Partial<DevicesControl>) =>
  write(store, { kind: 'devices', atMs: T0, body: { version: ++version, registered: [], revoked: [], ...control } });
const register = (id: string, more: Partial<Device> = {}) =>
  devices({ registered: [{ id, profile: 'bin', district: 'east', ...more }] });
const send = (...messages: Sent[]) => write(store, { kind: 'messages', atMs: T0, messages });

/** Frames are new unless a counter is given. */
const uplink = (eui: string, fCnt = next()): Sent => ({
  identity: 'lns',
  topic: `application/7/device/${eui}/event/up`,
  payload: JSON.stringify({
    deviceInfo: { devEui: eui },
    ...{ devAddr: '00bb', fCnt, fPort: 2, data: 'AQI=', object: { a: 5 } },
    time: new Date(T0 - next() * 1_000).toISOString(),
  }),
  receivedAt: T0,
});
/** The Things Stack names the device in the payload only. */
const stack = (eui: string): Sent => ({
  identity: 'lns',
  topic: 'v3/a@city/devices/roof/up',
  payload: JSON.stringify({
    end_device_ids: { device_id: 'roof', dev_eui: eui.toUpperCase() },
    received_at: new Date(T0 - next() * 1_000).toISOString(),
    uplink_message: { decoded_payload: { a: 5 }, f_cnt: next() },
  }),
  receivedAt: T0,
});

/** Reads everything: the device of each value that was stored, or who pays for what was refused, of whom, and why. */
function outcomes(path = join(dir, 'state.sqlite'), said: DeviceSaid[] = []): string[] {
  const db = openState(path);
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const { intake } = openIntake(db);
  const found = journal.after(0, 100).map((block) => intake.outcome(block));
  transact(db, () => intake.persist())();
  journal.close();
  db.close();
  for (const one of found) said.push(...one.said);
  return found.flatMap(({ readings, tallies, refusals, replays }) => [
    ...readings.device.slice(0, readings.length).map((device) => device!.id),
    ...tallies.flatMap(({ device, duplicate }) => Array.from({ length: duplicate }, () => `${device}: duplicate`)),
    ...[...refusals, ...replays.flatMap((one) => one.refusals)].map(
      ({ holder, device, reason }) => `${holder} of ${device}: ${reason}`,
    ),
  ]);
}

const REPLACED = `${OLD} of ${OLD}: hardware-replaced`;

test('hardware - messages of the new hardware are those of the device from the record on, of the old one no more', () => {
  register(OLD);
  send(uplink(OLD), stack(OLD), uplink(NEW), stack(NEW));
  register(OLD, { devEui: NEW });
  send(uplink(OLD), stack(OLD), uplink(NEW), stack(NEW));
  const unknown = `lns of ${NEW}: unknown-device`;
  const expected = [OLD, OLD, unknown, unknown, OLD, OLD, REPLACED, REPLACED];
  expect(outcomes()).toEqual(expected);
  expect(outcomes(), 'read by another process').toEqual(expected);
  expect(outcomes(join(dir, 'again.sqlite')), 'read from the beginning').toEqual(expected);
});

test('hardware - what was replaced itself is refused beside its device, also after a restart', () => {
  register(OLD);
  register(OLD, { devEui: NEW });
  register(OLD, { devEui: NEWER });
  send(uplink(OLD), uplink(NEW), uplink(NEWER));
  const expected = [OLD, REPLACED, REPLACED];
  expect(outcomes()).toEqual(expected);
  expect(outcomes(), 'read by another process').toEqual(expected);
});

test('hardware - the old one is back in its place, and the other one is refused', () => {
  register(OLD);
  register(OLD, { devEui: NEW });
  register(OLD);
  send(uplink(OLD), stack(NEW));
  expect(outcomes()).toEqual([OLD, REPLACED]);
});

test('hardware - a repaired one has another place, under the id of the device there', () => {
  register(OLD);
  register(OLD, { devEui: NEW });
  register('quay', { devEui: OLD });
  send(uplink(OLD), stack(OLD), uplink(NEW));
  expect(outcomes()).toEqual(['quay', 'quay', OLD]);
});

test('hardware - that of a revoked device is nobody’s, and can be registered for itself', () => {
  register(OLD);
  register(OLD, { devEui: NEW });
  devices({ revoked: [OLD] });
  send(uplink(NEW));
  register(NEW);
  send(uplink(NEW));
  expect(outcomes()).toEqual([`lns of ${NEW}: unknown-device`, NEW]);
});

test.each([
  ['the id of the device', { devices: [OLD] }, [OLD, OLD]],
  ['the DevEUI of the new hardware only', { devices: [NEW] }, ['lns', 'lns']],
  ['a tag of the device', { tags: { network: 'port' } }, [OLD, OLD]],
  ['an application', { applications: ['7'] }, [OLD, 'lns']],
])('hardware - a key that is bound to %s may publish for the device, not for its hardware', (_what, uplinks, who) => {
  register(OLD, { devEui: NEW, tags: { network: 'port' } });
  devices({ publishers: [{ id: 'lns', uplinks }] });
  send(uplink(NEW));
  send(stack(NEW));
  expect(outcomes()).toEqual(who.map((one) => (one === OLD ? OLD : `lns of ${OLD}: not-your-device`)));
});

test('hardware - a frame of the new hardware is no repetition of one of the old, and is one of its own', () => {
  register(OLD);
  send(uplink(OLD, 1), uplink(OLD, 1));
  register(OLD, { devEui: NEW });
  send(uplink(NEW, 1));
  send(uplink(NEW, 1));
  expect(outcomes()).toEqual([OLD, `${OLD}: duplicate`, OLD, `${OLD}: duplicate`]);
});

test('hardware - a device that sends itself is named by its id, and no other device speaks for its hardware', () => {
  register('quay', { devEui: NEW });
  register('other');
  const own = (identity: string, topic: string): Sent => ({
    ...{ identity, topic, receivedAt: T0 },
    payload: JSON.stringify({ ts: T0 - next() * 1_000, metrics: { a: 5 } }),
  });
  send(own('quay', 'devices/quay/readings'));
  send({ ...uplink(NEW), identity: 'other' }, { ...stack(NEW), identity: 'other' });
  send(own('gw', `devices/gw/children/${NEW}/readings`));
  expect(outcomes()).toEqual([
    'quay',
    ...['other of quay: not-your-device', 'other of other: not-your-device'],
    `gw of ${NEW}: unknown-device`,
  ]);
});

test('hardware - what came before its record is replayed for the device, and what the old one sent is refused again', () => {
  register(OLD);
  register(NEWER);
  devices({ revoked: [NEWER] });
  const early = [uplink(NEW), stack(NEW), uplink(NEWER), stack(OLD), uplink(OLD)];
  send(...early.slice(0, 3));
  register(OLD, { devEui: NEW });
  send(...early.slice(3));
  const item = ({ topic, payload, receivedAt }: Sent, device: string, position: number): ReplayItem => ({
    ...{ device, topic, receivedAt, position, payload: Buffer.from(payload as string).toString('base64') },
    entries: [{ ordinal: 0, scope: 'message', reading: null, path: '$' }],
  });
  const again = (from: number, of: readonly string[]) => {
    const items = of.map((device, i) => item(early[from + i]!, device, from + i + 1));
    store.appendReplay(Buffer.from(JSON.stringify({ items })), items.length, T0);
  };
  again(0, [NEW, NEW]);
  again(3, [OLD, OLD]);
  register('quay', { devEui: NEWER });
  again(2, [NEWER]);
  const unknown = [NEW, NEW].map((one) => `lns of ${one}: unknown-device`);
  expect(outcomes()).toEqual([
    ...[...unknown, `${NEWER} of ${NEWER}: unknown-device`, REPLACED, REPLACED],
    ...[OLD, OLD, REPLACED, REPLACED, 'quay'],
  ]);
});

test('hardware - what waits for the history counts for the device, by its id and by all hardware that it had', () => {
  register(OLD);
  register(OLD, { devEui: NEW });
  outcomes();
  const own = { identity: OLD, topic: `devices/${OLD}/readings`, payload: '{}', receivedAt: T0 };
  send(uplink(OLD), uplink(NEW), stack(NEW), own, uplink(NEWER));
  const db = openState(join(dir, 'state.sqlite'));
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const ledger = createLedgerReader(db, journal);
  expect(ledger.read(OLD)!.messages).toMatchObject({ received: 4, pending: 4 });
  expect(ledger.read(NEW)).toBeNull();
  expect(ledger.read(NEWER)!.messages.pending).toBe(1);
  journal.close();
  db.close();
});

test('hardware - where its downlinks go is said anew with its first uplink, though the path is the same', () => {
  register(OLD);
  send(stack(OLD), stack(OLD));
  register(OLD, { devEui: NEW });
  send(stack(NEW), stack(NEW));
  register(OLD);
  send(stack(OLD));
  const said: DeviceSaid[] = [];
  outcomes(undefined, said);
  const network = { server: 'things-stack', path: 'v3/a@city/devices/roof', key: 'lns' };
  expect(said).toEqual([
    { device: OLD, network },
    { device: OLD, network: { ...network, devEui: NEW } },
    { device: OLD, network },
  ]);
});
