import { describe, expect, test } from 'vitest';
import type { Rejection } from '../../../domain/index.ts';
import { type Decoded, formatOf } from '../../../ingest/index.ts';
import { sample, withFile } from '../../kit/city-model/kit.ts';
import { fieldsOf, json, NOW, receiver } from '../../kit/ingest/formats.ts';
import { intakeBench } from '../../kit/ingest/intake.ts';

const EUI = '70b3d57ed0001234';
const chirpstack = formatOf('lns', `application/7/device/${EUI}/event/up`).format!;
const things = formatOf('lns', `v3/air@ttn/devices/eui-${EUI}/up`).format!;
const climate = receiver('lorawan-climate');

function good(decoded: Decoded | Rejection): Decoded {
  if ('reason' in decoded) throw new Error(`${decoded.reason} at ${decoded.path}: ${decoded.detail}`);
  return decoded;
}

const OBJECT = { air: { temperature: 21.5, humidity: 40, pressure: 101.3 }, battery_level: 0.87, firmware: '1.2' };

/** As ChirpStack 4 sends it. */
const V4 = {
  deduplicationId: '3ac7e3c4-4401-4b8d-9386-a5c902f9202d',
  time: '2026-03-01T11:59:58.775023242+00:00',
  deviceInfo: {
    tenantId: '52f14cd4-c6f1-4fbd-8f87-4025e1d49242',
    applicationId: '17c82e96-be03-4f38-aef3-f83d48582d97',
    deviceProfileName: 'climate',
    deviceName: 'roof',
    devEui: EUI,
    tags: { key: 'value' },
  },
  devAddr: '00189440',
  adr: true,
  dr: 1,
  fCnt: 42,
  fPort: 2,
  confirmed: false,
  data: 'AQIDBA==',
  object: OBJECT,
  rxInfo: [{ gatewayId: '0016c001f153a14c', rssi: -36, snr: 10.5, location: { latitude: 1, longitude: 2 } }],
  txInfo: { frequency: 868300000 },
};

/** As ChirpStack 3 sends it: bytes in base64, the object as a text. */
const V3 = {
  applicationID: '123',
  applicationName: 'climate',
  deviceName: 'roof',
  devEUI: 'cLPVftAAEjQ=',
  rxInfo: [
    { gatewayID: 'AAAA', time: null, rssi: -60 },
    { gatewayID: 'AAAB', time: '2026-03-01T11:59:57.5Z', rssi: -60 },
  ],
  txInfo: { frequency: 868100000 },
  adr: true,
  dr: 5,
  fCnt: 10,
  fPort: 5,
  data: 'AQIDBA==',
  objectJSON: JSON.stringify(OBJECT),
  tags: {},
  devAddr: 'ABiUQA==',
};

/** As The Things Stack 3 sends it. */
const TTS = {
  end_device_ids: {
    device_id: 'roof',
    application_ids: { application_id: 'air' },
    dev_eui: '70B3D57ED0001234',
    join_eui: '0000000000000000',
    dev_addr: '00BCB929',
  },
  correlation_ids: ['as:up:01E0'],
  received_at: '2026-03-01T11:59:59.412Z',
  uplink_message: {
    session_key_id: 'AXA50tHUGUucp0Of9Z6N7A==',
    f_port: 15,
    f_cnt: 7,
    frm_payload: 'AQIDBA==',
    decoded_payload: OBJECT,
    rx_metadata: [{ gateway_ids: { gateway_id: 'gtw1' }, time: '2020-02-12T15:15:00Z', rssi: -35 }],
    settings: { time: '2020-02-12T15:15:00Z', frequency: '868300000' },
    received_at: '2026-03-01T11:59:59.205123456Z',
    locations: { user: { latitude: 37.9, longitude: -121.1 } },
  },
};

const VALUES = (ts: number) => [
  ['temperature', 21.5, ts],
  ['humidity', 40, ts],
  ['pressure', 1013, ts],
  ['battery', 87, ts],
];

test('chirpstack - an uplink of version 4 becomes readings of its device, in the units of the city', () => {
  expect(climate(chirpstack, json(V4))).toEqual({
    values: VALUES(Date.parse('2026-03-01T11:59:58.775Z')),
    rejections: [],
  });
});

test('chirpstack - an uplink of version 3 has the same result, at the time of its gateway', () => {
  expect(climate(chirpstack, json(V3))).toEqual({
    values: VALUES(Date.parse('2026-03-01T11:59:57.5Z')),
    rejections: [],
  });
});

test('things stack - an uplink becomes readings, at the time of the network server and not of a gateway', () => {
  expect(climate(things, json(TTS))).toEqual({
    values: VALUES(Date.parse('2026-03-01T11:59:59.205Z')),
    rejections: [],
  });
});

test('lorawan - the id of the device is its DevEUI in lower-case hex, whoever published', () => {
  expect(formatOf('lns', 'application/7/device/70B3D57ED0001234/event/up').device).toBe(EUI);
  expect(things.deviceOf!(json(TTS))).toBe(EUI);
  expect(chirpstack.deviceOf).toBeUndefined();
});

test.each([
  ['no JSON', Buffer.from('{')],
  ['no ids', json({ uplink_message: {} })],
  ['no DevEUI', json({ end_device_ids: { device_id: 'roof' } })],
  ['a DevEUI that is none', json({ end_device_ids: { dev_eui: '70B3D57ED000123' } })],
  ['a DevEUI that is a number', json({ end_device_ids: { dev_eui: 1234567890123456 } })],
  ['an array', json([])],
])('things stack - %s names no device', (_, payload) => {
  expect(things.deviceOf!(payload)).toBeNull();
});

test.each([
  ['application/7/device/x/event/up', 'chirpstack'],
  ['v3/a@t/devices/d/up', 'things-stack'],
  ['v3/a/devices/d/up', 'things-stack'],
  ['devices/d/readings', 'native'],
  ['devices/d/senml', 'senml-json'],
  ['devices/d/senml-cbor', 'senml-cbor'],
  ['devices/d/sensor-community', 'sensor-community'],
  ['application/7/device/x/event/join', undefined],
  ['application/7/device/x/event/up/more', undefined],
  ['v3/a@t/devices/d/up/more', undefined],
  ['v3/a@t/devices/d/join', undefined],
  ['devices/d/toString', undefined],
  ['devices/d/__proto__', undefined],
  ['devices/d/readings/more', undefined],
  ['devices/d', undefined],
  ['', undefined],
])('formats - the topic %s is read as %s', (topic, name) => {
  expect(formatOf('k', topic).format?.name).toBe(name);
});

const without = <T extends object>(value: T, ...keys: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
const uplink = (message: object) => ({ ...TTS, uplink_message: message });

test.each<[string, typeof things, unknown, string | undefined]>([
  ['ChirpStack 4', chirpstack, V4, '00189440:42:2:AQIDBA=='],
  ['ChirpStack 3', chirpstack, V3, 'ABiUQA==:10:5:AQIDBA=='],
  [
    'ChirpStack without fCnt, which proto3 leaves out when it is 0',
    chirpstack,
    without(V4, 'fCnt'),
    '00189440:0:2:AQIDBA==',
  ],
  ['ChirpStack without its frame', chirpstack, { ...V4, data: '', object: { t: 1 } }, '00189440:42:2:{"t":1}'],
  ['ChirpStack before 3.11, which has no session', chirpstack, without(V4, 'devAddr'), ':42:2:AQIDBA=='],
  ['ChirpStack with neither session nor counter', chirpstack, without(V4, 'devAddr', 'fCnt'), undefined],
  ['ChirpStack with a broken counter', chirpstack, { ...V4, fCnt: '42' }, undefined],
  ['The Things Stack', things, TTS, 'AXA50tHUGUucp0Of9Z6N7A==:7:15:AQIDBA=='],
  [
    'The Things Stack at 0',
    things,
    uplink(without(TTS.uplink_message, 'f_cnt')),
    'AXA50tHUGUucp0Of9Z6N7A==:0:15:AQIDBA==',
  ],
  [
    'The Things Stack without the key of its session',
    things,
    uplink(without(TTS.uplink_message, 'session_key_id')),
    '00BCB929:7:15:AQIDBA==',
  ],
])('lorawan - the uplink of %s is identified by session, counter and content', (_, format, body, expected) => {
  expect(good(format.decode(json(body), NOW)).uplink).toBe(expected);
});

test('lorawan - an uplink without a time gets the time of receipt', () => {
  expect(climate(chirpstack, json(without(V4, 'time'))).values[0]![2]).toBe(NOW);
  expect(climate(chirpstack, json({ ...V4, time: null })).values[0]![2]).toBe(NOW);
  const message = without(TTS.uplink_message, 'received_at');
  expect(climate(things, json(uplink(message))).values[0]![2]).toBe(Date.parse(TTS.received_at));
  expect(climate(things, json(without(uplink(message), 'received_at'))).values[0]![2]).toBe(NOW);
});

test('lorawan - a wrong time is refused at its place, once per stored field', () => {
  const { values, rejections } = climate(chirpstack, json({ ...V4, time: '2026-02-30T00:00:00Z' }));
  expect(values).toEqual([]);
  expect(rejections.map(({ reason, path }) => [reason, path])).toEqual(Array(4).fill(['bad-timestamp', '$.time']));
});

test.each<[string, typeof things, unknown, string, string, string]>([
  ['ChirpStack without a codec', chirpstack, without(V4, 'object'), 'not-decoded', '$.data', 'payload codec'],
  ['ChirpStack whose codec made nothing', chirpstack, { ...V4, object: {} }, 'not-decoded', '$.data', 'why it failed'],
  ['ChirpStack 3 without a codec', chirpstack, { ...V3, objectJSON: '' }, 'not-decoded', '$.data', 'payload codec'],
  [
    'The Things Stack without a formatter',
    things,
    uplink(without(TTS.uplink_message, 'decoded_payload')),
    'not-decoded',
    '$.uplink_message.frm_payload',
    'formatter',
  ],
  ['a simulated uplink', things, { ...TTS, simulated: true }, 'simulated', '$.simulated', 'no device measured'],
  ['an object that is a list', chirpstack, { ...V4, object: [1] }, 'wrong-shape', '$.object', 'an array found'],
  ['an objectJSON that is none', chirpstack, { ...V3, objectJSON: '{' }, 'malformed', '$.objectJSON', 'not JSON'],
  [
    'an objectJSON that is a number',
    chirpstack,
    { ...V3, objectJSON: '5' },
    'wrong-shape',
    '$.objectJSON',
    'a number found',
  ],
  ['no uplink of ChirpStack at all', chirpstack, { hello: 1 }, 'wrong-shape', '$', 'not an uplink'],
  ['a list for an uplink', chirpstack, [V4], 'wrong-shape', '$', 'an array found'],
  [
    'another message of The Things Stack',
    things,
    without(TTS, 'uplink_message'),
    'wrong-shape',
    '$.uplink_message',
    'nothing found',
  ],
  [
    'a decoded payload that is a text',
    things,
    uplink({ ...TTS.uplink_message, decoded_payload: 'x' }),
    'wrong-shape',
    '$.uplink_message.decoded_payload',
    'a string found',
  ],
])('lorawan - %s is refused, and why', (_, format, body, reason, path, detail) => {
  expect(format.decode(json(body), NOW)).toEqual({
    reason,
    path,
    detail: expect.stringContaining(detail) as unknown,
  });
});

test('lorawan - a frame that carries MAC commands only is valid', () => {
  const empty = { readings: [], rejections: [] };
  expect(chirpstack.decode(json(without(V4, 'object', 'data', 'fPort')), NOW)).toEqual(empty);
  expect(chirpstack.decode(json(without(V3, 'objectJSON', 'data')), NOW)).toEqual(empty);
  expect(things.decode(json(uplink({ session_key_id: 'x', f_cnt: 1 })), NOW)).toEqual(empty);
});

test('lorawan - objects are flattened to dotted paths, lists by index', () => {
  const object = {
    probes: [{ level: 1 }, { level: 2 }],
    ok: true,
    name: 'x',
    none: null,
    'odd key': 3,
    empty: {},
    list: [],
  };
  const decoded = good(chirpstack.decode(json({ ...V4, object }), NOW));
  expect(fieldsOf(decoded).map(([name, value, , , path]) => [name, value, path])).toEqual([
    ['probes.0.level', 1, '$.object.probes[0].level'],
    ['probes.1.level', 2, '$.object.probes[1].level'],
    ['ok', true, '$.object.ok'],
    ['name', 'x', '$.object.name'],
    ['none', null, '$.object.none'],
    ['odd key', 3, '$.object["odd key"]'],
  ]);
  expect(decoded.rejections).toEqual([]);
});

test('lorawan - two leaves of one dotted name: the first is kept, the second refused', () => {
  const decoded = good(chirpstack.decode(json({ ...V4, object: { 'a.b': 1, a: { b: 2 } } }), NOW));
  expect(decoded.readings[0]!.metrics).toEqual({ 'a.b': 1 });
  expect(decoded.rejections).toEqual([
    { reason: 'ambiguous', path: '$.object.a.b', detail: 'the field "a.b" is also at $.object["a.b"]' },
  ]);
});

test('lorawan - depth, number and length of fields are bounded', () => {
  const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`f${i}`, i]));
  const read = (object: unknown) => good(chirpstack.decode(json({ ...V4, object }), NOW));
  expect(read(nested(16)).rejections).toEqual([]);
  expect(read(nested(17)).rejections).toMatchObject([
    { reason: 'wrong-shape', detail: 'nested deeper than 16 levels' },
  ]);
  expect(Object.keys(read(many).readings[0]!.metrics)).toHaveLength(1_024);
  expect(read(many).rejections).toMatchObject([{ reason: 'wrong-shape', path: '$.object.f1024' }]);
  const long = read({ ['x'.repeat(100_000)]: { ['y'.repeat(100_000)]: 1 }, z: 1 });
  expect(long.readings[0]!.metrics).toEqual({ z: 1 });
  expect(long.rejections).toMatchObject([{ reason: 'wrong-shape', detail: 'the name is longer than 256 characters' }]);
  expect(long.rejections[0]!.path.length).toBeLessThan(300);
});

test('lorawan - the refusal of a field out of range has the value as sent and in the unit of the city', () => {
  const { rejections } = climate(chirpstack, json({ ...V4, object: { battery_level: 87 } }));
  expect(rejections).toEqual([
    {
      reason: 'out-of-range',
      path: '$.object.battery_level',
      detail: '87 found, 8700 %EL; battery lies within 0 to 100 %EL',
    },
  ]);
});

test('lorawan - numbers that a codec writes as texts are numbers; texts that are none stay refused', () => {
  const control = mappedTo({ temp_SOIL: 'temperature', water_SOIL: 'humidity', Bat: 'battery' });
  const object = { Bat: '3,6', TempC_DS18B20: '0.0', water_SOIL: '0.00', temp_SOIL: '30.11', conduct_SOIL: 0 };
  const { values, rejections } = receiver('mapped', { control })(chirpstack, json({ ...V4, object }));
  expect(values.map(([metric, value]) => [metric, value])).toEqual([
    ['humidity', 0],
    ['temperature', 30.11],
  ]);
  expect(rejections).toMatchObject([{ reason: 'not-a-number', path: '$.object.Bat' }]);
});

test('lorawan - an item of a list is named by its members, wherever in the list it is', () => {
  const at = (id: number) => `messages[measurementId=${id}].measurementValue`;
  const read = receiver('mapped', { control: mappedTo({ [at(4097)]: 'temperature', [at(4098)]: 'humidity' }) });
  const battery = { type: 'upload_battery', battery: 100 };
  const air = { type: 'report_telemetry', measurementId: 4097, measurementValue: 21.4 };
  const damp = { type: 'report_telemetry', measurementId: 4098, measurementValue: 31.4 };
  const sent = (messages: unknown) => {
    const { values, rejections } = read(things, json(uplink({ decoded_payload: { valid: true, err: 0, messages } })));
    return [
      Object.fromEntries(values.map(([metric, value]) => [metric, value])),
      rejections.map(({ reason }) => reason),
    ];
  };
  const both = { temperature: 21.4, humidity: 31.4 };
  expect(sent([air, damp])).toEqual([both, []]);
  expect(sent([battery, damp, air])).toEqual([both, []]);
  expect(sent([air, damp, { ...air, measurementValue: 9 }])).toEqual([both, ['ambiguous']]);
});

test('lorawan - an item of a list within a list, and one with very many members, have bounded names', () => {
  const object = {
    a: [[{ id: 'x', list: [{ n: 1, v: 5 }] }]],
    b: [Object.fromEntries(ids(500).map((id) => [id, id]))],
  };
  const [reading] = good(chirpstack.decode(json({ ...V4, object }), NOW)).readings;
  expect(reading!.aliases!['a.0.0.list.0.v']).toContain('a.0[id=x].list[n=1].v');
  for (const names of Object.values(reading!.aliases!)) expect(names.length).toBeLessThanOrEqual(24);
});

const ids = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`);

/** The sample city with a profile of three metrics whose fields are these. */
function mappedTo(fields: Readonly<Record<string, string>>) {
  const lines = Object.entries(fields).map(([name, metric]) => `    ${JSON.stringify(name)}: { metric: ${metric} }\n`);
  const head = 'mapped:\n  title: { en: A, zh: 甲 }\n  metrics: [temperature, humidity, battery]\n  interval: 1m\n';
  return withFile('profiles.yaml', `${head}  fields:\n${lines.join('')}    "*": ignore\n`);
}

describe('lorawan - which frames are the same', () => {
  const MINUTE = 60_000;
  const frame = (temperature: number, atMs: number, more: object = {}) => ({
    identity: EUI,
    topic: `application/7/device/${EUI}/event/up`,
    payload: json({
      deviceInfo: { devEui: EUI },
      devAddr: '01020304',
      fCnt: 0,
      time: new Date(NOW + atMs).toISOString(),
      object: { air: { temperature } },
      ...more,
    }).toString(),
    receivedAt: NOW,
  });
  /** Returns how many readings of frames are stored and how many are duplicates. */
  function counted(...frames: readonly ReturnType<typeof frame>[]) {
    const intake = intakeBench();
    intake.city(sample, NOW);
    intake.devices([{ id: EUI, profile: 'lorawan-climate', district: 'harbour' }], [], NOW);
    const tallies = frames.flatMap((one) => intake.send([one]).tallies);
    return [tallies.reduce((sum, { stored }) => sum + stored, 0), tallies.reduce((sum, one) => sum + one.duplicate, 0)];
  }

  test('lorawan - a counter that starts again brings new readings; a frame that is delivered again brings none', () => {
    const [first, second] = [frame(20, -120 * MINUTE), frame(30, -60 * MINUTE)];
    expect(counted(first, second, second)).toEqual([2, 1]);
    // The same content after a restart of an hour later, and another one within a minute.
    expect(counted(frame(20, -120 * MINUTE), frame(20, -60 * MINUTE))).toEqual([2, 0]);
    expect(counted(frame(20, -2 * MINUTE), frame(21, -MINUTE))).toEqual([2, 0]);
  });

  test('lorawan - a frame that another gateway received, also 48 s later, is the same', () => {
    const data = 'AQIDBA==';
    const early = frame(20, -MINUTE, { data, deduplicationId: 'a', rxInfo: [{ gatewayId: '1' }] });
    const late = frame(20, -MINUTE + 48_000, { data, deduplicationId: 'b', rxInfo: [{ gatewayId: '2' }] });
    expect(counted(early, late)).toEqual([1, 1]);
    expect(counted(late, early)).toEqual([1, 1]);
    expect(counted(early, frame(20, -11 * MINUTE - 1_000, { data }))).toEqual([2, 0]);
    expect(counted(early, frame(20, -30_000, { data: 'AQIDBQ==' }))).toEqual([2, 0]);
    expect(counted(early, frame(20, -30_000, { data, fCnt: 1 }))).toEqual([2, 0]);
    expect(counted(early, frame(20, -30_000, { data, devAddr: '01020305' }))).toEqual([2, 0]);
  });

  test('lorawan - of a counter that starts again and again each frame is compared with those of its own time', () => {
    const frames = [-180, -120, -60].map((minutes) => frame(20, minutes * MINUTE));
    expect(counted(...frames, ...frames.map((_, i) => frame(20, (i - 3) * 60 * MINUTE + 1_000)))).toEqual([3, 3]);
  });
});

describe('lorawan - the way back', () => {
  const uplink = (over: Partial<{ identity: string; topic: string }> = {}) => ({
    ...{ identity: 'lns', topic: `application/7/device/${EUI}/event/up`, receivedAt: NOW },
    payload: JSON.stringify({ deviceInfo: { devEui: EUI }, object: { temperature: 1 } }),
    ...over,
  });
  const opened = () => {
    const intake = intakeBench();
    intake.city(sample, NOW);
    intake.devices([{ id: EUI, profile: 'lorawan-climate', district: 'harbour' }], [], NOW);
    return intake;
  };

  test('where downlinks go is said with the first uplink and when it changes, and the same when it is read again', () => {
    const intake = opened();
    const first = intake.send([uplink(), uplink()]);
    const path = `application/7/device/${EUI}`;
    expect(first.said).toEqual([{ device: EUI, network: { server: 'chirpstack', path, key: 'lns' } }]);
    expect(intake.send([uplink()]).said).toEqual([]);
    const other = {
      deviceInfo: { devEui: EUI },
      end_device_ids: { dev_eui: EUI },
      uplink_message: { decoded_payload: { a: 1 } },
    };
    const moved = {
      ...uplink({ identity: 'ttn', topic: 'v3/air@ttn/devices/roof/up' }),
      payload: JSON.stringify(other),
    };
    const network = { server: 'things-stack', path: 'v3/air@ttn/devices/roof', key: 'ttn' };
    expect(intake.send([moved]).said).toEqual([{ device: EUI, network }]);
    intake.persist();
    intake.restart();
    expect(intake.again(3).said).toEqual(first.said);
    expect(intake.again(4).said).toEqual([]);
  });

  test.each([
    ['application/7/device/X/event/ack', { queueItemId: 'u-1', acknowledged: true }, { id: 'u-1', status: 'done' }],
    ['application/7/device/X/event/ack', { queueItemId: 'u-1', acknowledged: false }, { id: 'u-1', status: 'failed' }],
    [
      'v3/a/devices/roof/down/ack',
      { downlink_ack: { correlation_ids: ['x', 'lamppost:c-1-0'] } },
      { id: 'c-1-0', status: 'done' },
    ],
    [
      'v3/a/devices/roof/down/nack',
      { correlation_ids: ['lamppost:c-1-0'], downlink_nack: {} },
      { id: 'c-1-0', status: 'failed' },
    ],
    [
      'v3/a/devices/roof/down/failed',
      { downlink_failed: { downlink: { correlation_ids: ['lamppost:c-1-0'] }, error: { message_format: 'too long' } } },
      { id: 'c-1-0', status: 'failed', message: 'too long' },
    ],
  ])('what became of a downlink comes on %s', (topic, body, result) => {
    const intake = opened();
    const payload = JSON.stringify({ end_device_ids: { dev_eui: EUI.toUpperCase() }, ...body });
    const outcome = intake.send([{ identity: 'lns', topic: topic.replace('X', EUI), payload, receivedAt: NOW }]);
    expect(outcome.said).toMatchObject([{ device: EUI, result }]);
    expect(outcome.refusals).toEqual([]);
  });

  test('the end of a downlink that is not ours says nothing', () => {
    const payload = JSON.stringify({ end_device_ids: { dev_eui: EUI }, downlink_ack: { correlation_ids: ['as:1'] } });
    const outcome = opened().send([{ identity: 'lns', topic: 'v3/a/devices/r/down/ack', payload, receivedAt: NOW }]);
    expect([outcome.said, outcome.refusals]).toEqual([[], []]);
  });
});
