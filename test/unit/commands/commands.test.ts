import { beforeEach, describe, expect, test } from 'vitest';
import {
  COMMAND_SCHEMA,
  type CommandRequest,
  CommandWriter,
  createCommandReader,
  type DesiredChange,
} from '../../../commands/index.ts';
import {
  type CommandSpec,
  type DesiredState,
  type DeviceCommand,
  driftOf,
  HOUR_MS,
  isoOf,
  LamppostError,
  MINUTE_MS,
  mergedState,
  type ParameterSpec,
  type Profile,
} from '../../../domain/index.ts';
import { createCommandQueue } from '../../../events/index.ts';
import { transact } from '../../../store/index.ts';
import { openMigrated } from '../../kit/store/new-state.ts';
import { serviceOf } from '../../kit/tickets/scene.ts';

const title = { en: 'A', zh: '甲' };
const spec = (given: Partial<ParameterSpec>): ParameterSpec => ({
  ...{ type: 'integer', min: null, max: null, enum: null, optional: false },
  ...given,
});
const DECADE = { automatic: true, validForMs: 3_650 * 24 * HOUR_MS };
const LIGHT: Profile = {
  ...{
    id: 'light',
    kind: 'device',
    title,
    metrics: ['power'],
    intervalMs: MINUTE_MS,
    clock: 'device',
    quality: false,
    departments: ['lighting'],
  },
  ...{ limits: { messagesPerSecond: null, bytesPerSecond: null }, invalid: new Map(), fields: new Map() },
  codecs: {},
  commands: new Map(
    Object.entries({
      dim: new Map(
        Object.entries({ level: spec({ min: 0, max: 100 }), ramp: spec({ type: 'number', optional: true }) }),
      ),
      mode: new Map(Object.entries({ to: spec({ type: 'string', enum: ['day', 'night'] }) })),
      restart: new Map<string, ParameterSpec>(),
    }).map(([id, parameters]) => [
      id,
      { id, title, parameters, automatic: id !== 'dim' && id !== 'restart', validForMs: HOUR_MS, downlink: null },
    ]),
  ),
};

const VALVE: Profile = {
  ...LIGHT,
  commands: new Map(
    Object.entries({ set: '01{open:u8}{level:i16le}', raw: null, tiny: '{level:u8}' }).map(([id, bytes]) => [
      id,
      {
        ...{ id, title, automatic: false, validForMs: HOUR_MS, downlink: { port: 10, bytes } },
        parameters: new Map(Object.entries({ open: spec({ type: 'boolean' }), level: spec({}) })),
      },
    ]),
  ),
};
const SHUT: CommandSpec = {
  ...{ id: 'shut', title, automatic: true, validForMs: HOUR_MS, parameters: new Map() },
  downlink: { port: 10, bytes: '00' },
};
const PROFILES = new Map([
  ['valve', { ...VALVE, commands: new Map([...VALVE.commands, ['shut', SHUT]]) }],
  ['light', LIGHT],
  ['decade', { ...LIGHT, commands: new Map([...LIGHT.commands].map(([id, one]) => [id, { ...one, ...DECADE }])) }],
]);

const SERVICES = new Map(
  Object.entries({
    dark: { name: 'restart', parameters: {} },
    night: { name: 'mode', parameters: { to: 'night' } },
    odd: { name: 'mode', parameters: { to: 'dusk' } },
    wet: { name: 'shut', parameters: {} },
    plain: null,
  }).map(([id, command]) => [id, serviceOf(id, { command })]),
);

function open() {
  const db = openMigrated(':memory:', [COMMAND_SCHEMA]);
  const commands: DeviceCommand[] = [];
  const desired: DesiredState[] = [];
  const resent: string[] = [];
  let n = 0;
  const profiles = new Map<string, string>([
    ['lamp-1', 'light'],
    ['lamp-2', 'light'],
    ['bin-1', 'bin'],
    ['lamp-3', 'decade'],
    ['70b3d57ed0001234', 'valve'],
  ]);
  const devEuis = new Map<string, string>();
  const writer = new CommandWriter({
    db,
    profileOf: (device) => profiles.get(device) ?? null,
    devEuiOf: (device) => devEuis.get(device),
    city: () => ({ profiles: PROFILES, services: SERVICES }),
    onCommand: (command) => void commands.push(command),
    onResent: (command) => void resent.push(command.id),
    onDesired: (state) => void desired.push(state),
  });
  const at = (atMs: number) => ({ by: 'anna', atMs, name: `${++n}-0` });
  return {
    db,
    devEuis,
    reader: createCommandReader(db),
    desired,
    resent,
    /** What was announced since the last look: `c-1-0 queued`. */
    news: () => commands.splice(0).map(({ id, state }) => `${id} ${state}`),
    send: (device: string, asked: Partial<CommandRequest>, atMs = 0) =>
      transact(db, () =>
        writer.send(
          device,
          { command: 'restart', parameters: {}, validUntilMs: null, qos: 1, ticket: null, ...asked },
          at(atMs),
        ),
      ),
    desire: (change: DesiredChange) => transact(db, () => writer.desire('lamp-1', change, at(0))),
    cancel: (device: string, id: string) => transact(db, () => writer.cancel(device, id, at(0))),
    answer: (device: string, id: string, status: 'done' | 'failed', message = 'so it is') =>
      writer.said({ device, result: { id, status, message } }, 7),
    writer,
    at,
    forget: (device: string) => profiles.delete(device),
  };
}

let state: ReturnType<typeof open>;
beforeEach(() => {
  state = open();
});

function refusalOf(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (error instanceof LamppostError) return { code: error.code, reason: error.reason, message: error.message };
    throw error;
  }
  return null;
}

test('command - is queued, sent and acknowledged, each once', () => {
  const { id, validUntil, departments, by } = state.send('lamp-1', { command: 'dim', parameters: { level: 40 } });
  expect({ id, validUntil, departments, by }).toEqual({
    ...{ id: 'c-1-0', validUntil: isoOf(HOUR_MS), departments: ['lighting'], by: 'anna' },
  });
  state.writer.delivered([id, 'c-9-9'], 5);
  state.writer.delivered([id], 6);
  state.answer('lamp-1', id, 'done');
  state.answer('lamp-1', id, 'failed');
  expect(state.news()).toEqual(['c-1-0 queued', 'c-1-0 sent', 'c-1-0 acknowledged']);
  expect(state.reader.get('lamp-1', id)).toMatchObject({
    state: 'acknowledged',
    message: 'so it is',
    updatedAt: isoOf(7),
  });
});

test('command - a device that responds before its PUBACK is noted has responded, and one that fails says why', () => {
  const { id } = state.send('lamp-1', {});
  state.answer('lamp-1', id, 'failed', 'no power');
  state.writer.delivered([id], 8);
  expect(state.news()).toEqual(['c-1-0 queued', 'c-1-0 failed']);
  expect(state.reader.get('lamp-1', id)).toMatchObject({ state: 'failed', message: 'no power' });
});

test('command - another device cannot respond to it', () => {
  const { id } = state.send('lamp-1', {});
  state.answer('lamp-2', id, 'done');
  expect(state.reader.get('lamp-1', id)!.state).toBe('queued');
  expect(state.reader.get('lamp-2', id)).toBeNull();
});

test('command - a newer one of the same name supersedes it, one of another name does not', () => {
  state.send('lamp-1', { command: 'dim', parameters: { level: 10 } });
  state.send('lamp-1', {});
  state.send('lamp-2', { command: 'dim', parameters: { level: 20 } });
  state.send('lamp-1', { command: 'dim', parameters: { level: 80 } });
  expect(state.news().slice(3)).toEqual(['c-1-0 superseded', 'c-4-0 queued']);
  expect(state.reader.open('lamp-1').map(({ id }) => id)).toEqual(['c-2-0', 'c-4-0']);
  expect([state.reader.isOver('c-1-0'), state.reader.isOver('c-4-0')]).toEqual([true, false]);
});

test('command - expires by the time of the log, and says whether the device had it', () => {
  const asked = { command: 'dim', parameters: { level: 1 }, validUntilMs: 1_000 };
  const [had, never] = [state.send('lamp-1', asked), state.send('lamp-2', asked)];
  state.writer.delivered([had.id], 1);
  expect([state.writer.isDue(999), state.writer.isDue(1_000)]).toEqual([false, true]);
  state.writer.doDue(1_000);
  expect(state.writer.isDue(1_000)).toBe(false);
  expect(state.reader.get('lamp-1', had.id)!.message).toBe('the device did not respond');
  expect(state.reader.get('lamp-2', never.id)!.message).toBe('the device did not take it');
  state.answer('lamp-1', had.id, 'done');
  expect(state.reader.get('lamp-1', had.id)!.state).toBe('expired');
});

test('command - what the profile does not declare is refused with what would be right', () => {
  const dim = (parameters: CommandRequest['parameters']) =>
    refusalOf(() => state.send('lamp-1', { command: 'dim', parameters }));
  expect(refusalOf(() => state.send('lamp-1', { command: 'dimm' }))).toMatchObject({
    ...{ code: 'invalid', reason: 'unknown-command', message: expect.stringContaining('did you mean "dim"?') },
  });
  expect(refusalOf(() => state.send('bin-1', {}))!.reason).toBe('unknown-command');
  expect(refusalOf(() => state.send('lamp-9', {}))!.code).toBe('not-found');
  for (const wrong of [
    {},
    { level: 1.5 },
    { level: 101 },
    { level: '40' },
    { level: 1, speed: 2 },
    { level: 1, ramp: true },
  ])
    expect(dim(wrong)!.reason, JSON.stringify(wrong)).toBe('wrong-parameters');
  expect(dim({ level: 101 })!.message).toContain('level is 101: it is an integer from 0 to 100');
  expect(refusalOf(() => state.send('lamp-1', { command: 'mode', parameters: { to: 'dusk' } }))!.message).toContain(
    'one of day, night',
  );
  expect(refusalOf(() => state.send('lamp-1', { validUntilMs: 5 }, 5))!.reason).toBe('not-valid');
  expect(state.news()).toEqual([]);
});

test('command - is cancelled once', () => {
  const { id } = state.send('lamp-1', {});
  expect(state.cancel('lamp-1', id).state).toBe('cancelled');
  expect(refusalOf(() => state.cancel('lamp-1', id))).toMatchObject({ code: 'conflict', reason: 'command-ended' });
  expect(refusalOf(() => state.cancel('lamp-2', id))!.code).toBe('not-found');
});

test('command - a hundred that have ended are kept for each device', () => {
  for (let i = 0; i < 150; i++) state.send('lamp-1', {});
  const { items, next } = state.reader.list('lamp-1', { limit: 60, after: null });
  expect([items.length, items[0]!.id]).toEqual([60, 'c-150-0']);
  expect(state.reader.list('lamp-1', { limit: 100, after: next }).items).toHaveLength(40);
});

test('command - is sent by itself only where the service names it and the profile says so, with right parameters', () => {
  const send = (device: string, service: string, name = state.at(0).name) =>
    state.writer.sendAutomatically(device, { id: 't-1-0', service }, { atMs: 0, by: 'rule:dark', name });
  expect(send('lamp-1', 'night')).toBeNull();
  expect(state.reader.get('lamp-1', 'c-1-0')).toMatchObject({
    command: 'mode',
    by: 'rule:dark',
    ticket: 't-1-0',
    state: 'queued',
  });
  for (const service of ['dark', 'plain', 'unknown']) expect(send('lamp-1', service), service).toBeNull();
  expect([send('bin-1', 'night'), send('lamp-9', 'night')]).toEqual([null, null]);
  // The alert that it was sent for has its ticket once more.
  expect(send('lamp-1', 'night', '1-0')).toBeNull();
  expect(state.news()).toEqual(['c-1-0 queued']);
});

test('command - that cannot be sent by itself throws nothing and says why: nobody asked for it', () => {
  const send = (device: string, service: string) =>
    state.writer.sendAutomatically(device, { id: 't-1-0', service }, { ...state.at(0), by: 'rule:dark' });
  expect(send('lamp-1', 'odd')).toMatch(/^the command mode was not sent: .*to/);
  expect(send('70b3d57ed0001234', 'wet')).toMatch(/^the command shut was not sent: no uplink of the device came yet/);
  expect(state.news()).toEqual([]);
});

test('command - is valid for a year at most, also where nobody says until when', () => {
  const at = { ...state.at(0), by: 'rule:dark' };
  expect(state.writer.sendAutomatically('lamp-3', { id: 't-1-0', service: 'dark' }, at)).toBeNull();
  expect(state.reader.get('lamp-3', `c-${at.name}`)!.validUntil).toBe(isoOf(366 * 24 * HOUR_MS));
});

test('reported - a refused state that is replayed is not newer than what came meanwhile', () => {
  const reported = () => state.reader.twin('lamp-1', []).reported;
  state.writer.said({ device: 'lamp-1', reported: { level: 1 }, replayedMs: 5 }, 20);
  expect(reported()).toEqual({ level: 1 });
  state.writer.said({ device: 'lamp-1', reported: { level: 2 } }, 9);
  state.writer.said({ device: 'lamp-1', reported: { level: 3 }, replayedMs: 8 }, 30);
  expect(reported()).toEqual({ level: 2 });
});

test('desired - counts its versions, and what the device does not report is drift', () => {
  expect(state.reader.twin('lamp-1', ['lighting'])).toMatchObject({
    version: 0,
    desired: null,
    reported: null,
    drift: [],
  });
  state.desire({ set: { level: 40, colour: { r: 1, 'a/b': [1] } }, patch: false });
  state.writer.said({ device: 'lamp-1', reported: { level: 30, colour: { r: 1 } } }, 9);
  expect(state.reader.twin('lamp-1', ['lighting'])).toMatchObject({
    ...{ version: 1, reportedAt: isoOf(9), drift: ['/level', '/colour/a~1b'], departments: ['lighting'] },
  });
  state.desire({ set: { level: 30, colour: { 'a/b': null } }, patch: true, version: 1 });
  expect(state.reader.twin('lamp-1', [])).toMatchObject({
    version: 2,
    desired: { level: 30, colour: { r: 1 } },
    drift: [],
  });
  expect(refusalOf(() => state.desire({ set: {}, patch: true, version: 1 }))).toMatchObject({
    ...{ code: 'precondition', reason: 'desired-changed' },
  });
  const large = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`n${i}`, i]));
  expect(refusalOf(() => state.desire({ set: large, patch: false }))!.reason).toBe('too-much');
});

test('revoked - nothing waits for a device that is gone, and another one of its name begins anew', () => {
  const { id } = state.send('lamp-1', {});
  state.desire({ set: { level: 1 }, patch: false });
  state.writer.revoked('lamp-1', state.at(3));
  expect(state.reader.get('lamp-1', id)).toMatchObject({ state: 'cancelled', message: 'the device was revoked' });
  expect(state.desired.at(-1)).toMatchObject({ device: 'lamp-1', desired: null, version: 2 });
  expect(state.reader.twin('lamp-1', [])).toMatchObject({ version: 0, desired: null });
  state.forget('lamp-1');
  state.writer.said({ device: 'lamp-1', reported: { level: 1 } }, 4);
  expect(state.reader.twin('lamp-1', []).reported).toBeNull();
});

test('merge patch - follows the examples of RFC 7396', () => {
  expect(mergedState({ a: 'b' }, { a: 'c' })).toEqual({ a: 'c' });
  expect(mergedState({ a: 'b', b: 'c' }, { a: null })).toEqual({ b: 'c' });
  expect(mergedState({ a: { b: 'c' } }, { a: { b: 'd', c: null } })).toEqual({ a: { b: 'd' } });
  expect(mergedState({ a: [1] }, { a: { b: { c: null } } })).toEqual({ a: { b: {} } });
  expect(driftOf({ a: { b: 1 } }, { a: 3 })).toEqual(['/a/b']);
});

describe('downlinks - commands to LoRaWAN devices go to the network server of their newest uplink', () => {
  const EUI = '70b3d57ed0001234';
  const chirpstack = { server: 'chirpstack', path: `application/7/device/${EUI}`, key: 'lns' } as const;
  const asked = { command: 'set', parameters: { open: true, level: -2 } };
  const bodyOf = ({ downlink }: DeviceCommand) => JSON.parse(downlink!.payload) as Record<string, unknown>;

  test('before its first uplink nobody knows where, and the refusal says so', () => {
    expect(refusalOf(() => state.send(EUI, asked))).toMatchObject({ reason: 'no-network-server' });
  });

  test('ChirpStack gets a confirmed item with a UUID, by which it is acknowledged', () => {
    state.writer.said({ device: EUI, network: chirpstack }, 1);
    const sent = state.send(EUI, asked);
    expect(sent.downlink).toMatchObject({ topic: `application/7/device/${EUI}/command/down`, key: 'lns' });
    const { reference } = sent.downlink!;
    expect(reference).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const data = Buffer.from([1, 1, 0xfe, 0xff]).toString('base64');
    expect(bodyOf(sent)).toEqual({ id: reference, devEui: EUI, confirmed: true, fPort: 10, data });
    expect(state.reader.downlinks('lns', 10)).toEqual([sent]);
    expect(state.reader.downlinks('other', 10)).toEqual([]);
    state.answer(EUI, reference, 'done', 'x');
    expect(state.reader.get(EUI, sent.id)).toMatchObject({ state: 'acknowledged' });
    expect(state.reader.downlinks(null, 10)).toEqual([]);
  });

  test('what the broker sends says how many seconds a command is valid: whole ones, none once it is over', () => {
    state.writer.said({ device: EUI, network: chirpstack }, 1);
    const { topic, payload } = state.send(EUI, asked, 1_000).downlink!;
    const dim = state.send('lamp-1', { validUntilMs: 61_000 }, 1_000);
    let nowMs = 1_000;
    const queue = createCommandQueue(state.db, { now: () => nowMs }, () => {});
    const left = () => [
      queue.secondsLeft(topic, payload),
      queue.secondsLeft('devices/lamp-1/commands', JSON.stringify({ id: dim.id, validUntil: dim.validUntil })),
    ];
    expect(left()).toEqual([3_600, 60]);
    nowMs = 60_500;
    expect(left()).toEqual([3_541, 1]);
    nowMs = 61_000;
    expect(left()[1]).toBe(0);
    expect(queue.secondsLeft('events/clock', payload)).toBeNull();
    expect(queue.secondsLeft(topic, 'that of another')).toBeNull();
  });

  test('where the hardware before was reached says nothing of other hardware, and what waits for it is cancelled', () => {
    state.writer.said({ device: EUI, network: chirpstack }, 1);
    const old = state.send(EUI, asked);
    const dim = state.send('lamp-1', { validUntilMs: 61_000 }, 1_000);
    state.devEuis.set(EUI, '70b3d57ed0005678');
    transact(state.db, () => state.writer.replaced(EUI, 2));
    transact(state.db, () => state.writer.replaced('lamp-1', 2));
    expect(state.reader.get(EUI, old.id)).toMatchObject({
      state: 'cancelled',
      message: 'other hardware has its place',
    });
    expect(state.reader.get('lamp-1', dim.id), 'it subscribes to its commands itself').toMatchObject({
      state: 'queued',
    });
    expect(refusalOf(() => state.send(EUI, asked))).toMatchObject({ reason: 'no-network-server' });
    const path = 'application/7/device/70b3d57ed0005678';
    state.writer.said({ device: EUI, network: { ...chirpstack, path, devEui: '70b3d57ed0005678' } }, 3);
    const sent = state.send(EUI, asked);
    expect(sent.downlink).toMatchObject({ topic: `${path}/command/down` });
    expect(bodyOf(sent)).toMatchObject({ devEui: '70b3d57ed0005678' });
  });

  test('The Things Stack gets a push, with the parameters where its own codec makes the bytes', () => {
    state.writer.said({ device: EUI, network: chirpstack }, 1);
    const path = 'v3/air@ttn/devices/roof';
    state.writer.said({ device: EUI, network: { server: 'things-stack', path, key: 'ttn' } }, 2);
    const sent = state.send(EUI, { ...asked, command: 'raw' });
    expect(sent.downlink).toMatchObject({ topic: `${path}/down/push`, key: 'ttn', reference: sent.id });
    expect(bodyOf(sent)).toEqual({
      downlinks: [
        {
          ...{ f_port: 10, confirmed: true, priority: 'NORMAL', correlation_ids: [`lamppost:${sent.id}`] },
          decoded_payload: { command: 'raw', open: true, level: -2 },
        },
      ],
    });
    state.answer(EUI, sent.id, 'failed');
    expect(state.reader.get(EUI, sent.id)).toMatchObject({ state: 'failed' });
  });

  test('a value that does not fit its bytes is refused, and nothing is queued', () => {
    state.writer.said({ device: EUI, network: chirpstack }, 1);
    const refused = refusalOf(() => state.send(EUI, { command: 'tiny', parameters: { open: true, level: 300 } }));
    expect(refused).toMatchObject({ reason: 'wrong-parameters' });
    expect(state.reader.open(EUI)).toEqual([]);
  });

  test('what its network server has is not sent again, and ends with its time', () => {
    state.writer.said({ device: EUI, network: chirpstack }, 1);
    const { id } = state.send(EUI, asked);
    state.writer.delivered([id], 5);
    expect(state.reader.downlinks(null, 10)).toEqual([]);
    state.writer.doDue(2 * HOUR_MS);
    expect(state.reader.get(EUI, id)).toMatchObject({ state: 'expired', message: 'the device did not respond' });
  });
});

test('commands - what a full queue dropped is sent once more, and only once', () => {
  const { id } = state.send('lamp-1', {});
  const second = state.send('lamp-1', { command: 'mode', parameters: { to: 'day' } });
  state.send('lamp-1', { command: 'dim', parameters: { level: 1 }, qos: 0 });
  state.writer.delivered([second.id], 1);
  state.writer.dropped('lamp-2');
  expect(state.resent).toEqual([]);
  state.writer.dropped('lamp-1');
  state.writer.dropped('lamp-1');
  expect(state.resent).toEqual([id]);
});

test('desired - it belongs to the departments that the device has now', () => {
  state.desire({ set: { level: 1 }, patch: false });
  expect(state.reader.twin('lamp-1', ['parks'])).toMatchObject({ version: 1, departments: ['parks'] });
});
