import { encode } from 'cborg';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCity } from '../../../city-model/index.ts';
import { REASONS } from '../../../domain/index.ts';
import { Checked, checkReading, compileChecks, type Format, formatOf } from '../../../ingest/index.ts';
import { sample } from '../../kit/city-model/kit.ts';
import { json, metricTable, NOW } from '../../kit/ingest/formats.ts';

const EUI = '70b3d57ed0001234';
const TOPICS = {
  native: 'devices/d/readings',
  'senml-json': 'devices/d/senml',
  'senml-cbor': 'devices/d/senml-cbor',
  'sensor-community': 'devices/d/sensor-community',
  chirpstack: `application/7/device/${EUI}/event/up`,
  'things-stack': 'v3/a@t/devices/d/up',
};
const formats = Object.values(TOPICS).map((topic) => formatOf('lns', topic).format!);

const city = parseCity(sample).city!;
const metrics = metricTable();
const profiles = [...compileChecks(city, metrics).values()];

/** Checks what must be true of any payload. Returns the result, for comparison. */
function receive(format: Format, payload: Buffer): unknown {
  const decoded = format.decode(payload, NOW);
  const device = format.deviceOf?.(payload) ?? null;
  expect(device === null || /^[0-9a-f]{16}$/.test(device)).toBe(true);
  if ('reason' in decoded) {
    mustBeARefusal(decoded);
    return decoded;
  }
  const out = new Checked();
  out.rejections.push(...decoded.rejections);
  const values: unknown[] = [];
  for (const checks of profiles) {
    for (const raw of decoded.readings) {
      checkReading(raw, checks, NOW, out);
      for (let i = 0; i < out.length; i++) {
        const { min, max } = city.metrics.get(metrics.idOf(out.metric[i]!))!;
        if (!(out.value[i]! >= min && out.value[i]! <= max)) throw new Error(`${out.value[i]} is not in ${min}…${max}`);
        values.push([out.metric[i], out.value[i], out.ts]);
      }
      if (new Set(out.metric.slice(0, out.length)).size !== out.length) throw new Error('a metric twice in a reading');
    }
  }
  for (const rejection of out.rejections) mustBeARefusal(rejection);
  return [values, out.rejections, decoded.uplink];
}

function mustBeARefusal({ reason, path, detail }: { reason: string; path: string; detail: string }): void {
  const wrong = !Object.hasOwn(REASONS, reason) || !path.startsWith('$') || detail === '';
  // Short enough for a page, whatever the payload.
  if (wrong || path.length > 5_000 || detail.length > 700) throw new Error(`${reason} ${path} ${detail}`);
}

const bytes = fc.uint8Array({ maxLength: 200 }).map((one) => Buffer.from(one));

const WORDS = [
  ...['n', 'v', 'u', 't', 'bn', 'bt', 'bv', 'bs', 'bver', 'vs', 'vb', 'vd', 's', 'ut', 'x_', 'metrics', 'ts', 'object'],
  ...['objectJSON', 'time', 'rxInfo', 'deviceInfo', 'fCnt', 'devAddr', 'data', 'uplink_message', 'decoded_payload'],
  ...['end_device_ids', 'dev_eui', 'sensordatavalues', 'value_type', 'value', 'temperature', 'SDS_P1', 'air', '*'],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'length', '0', ''],
];
const word = fc.oneof(fc.constantFrom(...WORDS), fc.string({ maxLength: 8 }));
const leaf = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.string(),
  fc.constantFrom('Cel', '%RH', 'Pa', '2026-03-01T12:00:00Z', '12.5', 'devices/d', NOW, NOW / 1000, 2 ** 28, 1e308),
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie('tree'), { maxLength: 6 }),
    fc.array(fc.tuple(word, tie('tree')), { maxLength: 8 }).map(objectOf),
  ),
}));

/** An object as JSON.parse creates it: `__proto__` is an ordinary key. */
function objectOf(entries: readonly (readonly [string, unknown])[]): unknown {
  const object = {};
  for (const [key, value] of entries)
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  return object;
}

const key = fc.oneof(fc.integer({ min: -8, max: 10 }), word);
const { item } = fc.letrec<{ item: unknown }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.uint8Array({ maxLength: 8 }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.array(tie('item'), { maxLength: 6 }),
    fc.array(fc.tuple(key, tie('item')), { maxLength: 8 }).map((entries) => new Map(entries)),
  ),
}));
const cbor = item.map((value) => Buffer.from(encode(value)));

const VALID: Buffer[] = [
  json({ ts: NOW, metrics: { temperature: 21.5, pm25: 12 } }),
  json([{ metrics: { fill: 50 } }, { ts: '2026-03-01T11:00:00Z', metrics: { battery: 90 } }]),
  json([
    { bn: 'urn:dev:ow:10e2:', bt: NOW / 1000, bu: 'Cel', n: 'temperature', v: 21.5 },
    { n: 'humidity', u: '%RH', t: -60, v: 40, s: 5 },
    { n: 'label', vs: 'x' },
  ]),
  Buffer.from(
    encode([
      new Map<number, unknown>([
        [-2, 'd:'],
        [-3, 100],
        [0, 'temperature'],
        [1, 'Cel'],
        [2, 21.5],
      ]),
      new Map<number, unknown>([
        [0, 'open'],
        [4, true],
        [6, -5],
      ]),
    ]),
  ),
  json({ esp8266id: '1', sensordatavalues: [{ value_type: 'SDS_P1', value: '12.3' }] }),
  json({
    time: '2026-03-01T11:59:58.775023242+00:00',
    deviceInfo: { devEui: EUI },
    devAddr: '00',
    fCnt: 4,
    data: 'AQ==',
    object: { air: { temperature: 21.5 } },
  }),
  json({ devEUI: 'x', data: 'AQ==', objectJSON: '{"air":{"temperature":21}}', rxInfo: [{ time: null }] }),
  json({
    end_device_ids: { dev_eui: EUI },
    uplink_message: { f_cnt: 4, session_key_id: 'x', decoded_payload: { battery_level: 0.5 } },
  }),
];

/** A valid message with a few bytes replaced, removed, repeated or inserted. */
const mutated = fc
  .tuple(
    fc.constantFrom(...VALID),
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.uint8Array({ minLength: 1, maxLength: 4 })), { maxLength: 4 }),
  )
  .map(([valid, changes]) => changes.reduce(change, valid));

function change(message: Buffer, [seed, kind, patch]: [number, number, Uint8Array]): Buffer {
  const at = seed % (message.length + 1);
  const [head, tail] = [message.subarray(0, at), message.subarray(at)];
  if (kind === 0) return Buffer.concat([head, tail.subarray(patch.length)]);
  if (kind === 1) return Buffer.concat([head, patch, tail]);
  if (kind === 2) return Buffer.concat([head, patch, tail.subarray(patch.length)]);
  return Buffer.concat([head, message.subarray(Math.max(0, at - 8), at), tail]);
}

/** A valid JSON message with one of its parts replaced by another. */
const transplanted = fc
  .tuple(fc.constantFrom(...VALID.filter((one) => one[0] === 0x7b || one[0] === 0x5b)), fc.nat(), tree)
  .map(([valid, seed, part]) => {
    const places: [Record<string, unknown>, string][] = [];
    const body = JSON.parse(valid.toString(), function (name, value) {
      places.push([this as Record<string, unknown>, name]);
      return value;
    });
    const [parent, name] = places[seed % places.length]!;
    if (name === '') return json(part) ?? valid;
    parent[name] = part;
    return json(body);
  });

describe.each(formats.map((format) => [format.name, format] as const))('fuzz', (name, format) => {
  test.each<[string, fc.Arbitrary<Buffer>]>([
    ['random bytes', bytes],
    ['random JSON', tree.map(json)],
    ['random CBOR', cbor],
    ['messages with changed bytes', mutated],
    ['messages with changed parts', transplanted],
  ])(`fuzz - ${name}: %s are readings or refusals, and the same at every replay`, (_, payloads) => {
    fc.assert(
      fc.property(payloads, (payload) => {
        const first = receive(format, payload);
        expect(receive(format, Buffer.from(payload))).toEqual(first);
        expect(Object.keys(Object.prototype)).toEqual([]);
        expect(({} as { metrics?: unknown }).metrics).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  const deep = (open: string, close: string, times: number) => Buffer.from(open.repeat(times) + close.repeat(times));
  test.each<[string, Buffer]>([
    ['JSON arrays', deep('[', ']', 100_000)],
    ['JSON objects', deep('{"a":', '}', 40_000)],
    [
      'arrays in a native value',
      Buffer.concat([Buffer.from('{"metrics":{"temperature":'), deep('[', ']', 100_000), Buffer.from('}}')]),
    ],
    [
      'objects in a native time',
      Buffer.concat([Buffer.from('{"metrics":{"temperature":1},"ts":'), deep('[', ']', 100_000), Buffer.from('}')]),
    ],
    [
      'arrays in a SenML record',
      Buffer.concat([Buffer.from('[{"n":"a","v":'), deep('[', ']', 100_000), Buffer.from('}]')]),
    ],
    [
      'arrays in a station value',
      Buffer.concat([
        Buffer.from('{"sensordatavalues":[{"value_type":"x","value":'),
        deep('[', ']', 100_000),
        Buffer.from('}]}'),
      ]),
    ],
    [
      'arrays in an object of ChirpStack',
      Buffer.concat([Buffer.from('{"object":{"a":'), deep('[', ']', 100_000), Buffer.from('}}')]),
    ],
    [
      'arrays in a payload of The Things Stack',
      Buffer.concat([
        Buffer.from('{"uplink_message":{"decoded_payload":{"a":'),
        deep('[', ']', 100_000),
        Buffer.from('}}}'),
      ]),
    ],
    ['CBOR arrays', Buffer.alloc(256 * 1024, 0x81)],
    ['CBOR maps', Buffer.from('a100'.repeat(100_000), 'hex')],
    ['CBOR tags', Buffer.alloc(256 * 1024, 0xc4)],
  ])(`fuzz - ${name}: a bomb of nested %s harms nobody`, (_, payload) => {
    receive(format, payload);
  });
});

describe('fuzz - the largest messages are read in a time that does not delay others', () => {
  const BOUND_MS = 3_000;
  const records = Array.from({ length: 10_000 }, (_, i) => ({ n: 'd/temperature', u: 'K', t: -i, v: 294.65 }));
  const cborRecords = records.map(
    ({ n, u, t, v }) =>
      new Map<number, unknown>(Object.entries([n, u, v, t]).map(([i, one]) => [[0, 1, 2, 6][Number(i)]!, one])),
  );
  const wide = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`field${i}`, i]));

  test.each<[string, string, Buffer, number]>([
    ['10,000 SenML records', TOPICS['senml-json'], json(records), 10_000],
    ['10,000 SenML records in CBOR', TOPICS['senml-cbor'], Buffer.from(encode(cborRecords)), 10_000],
    [
      '10,000 records of 10,000 names',
      TOPICS['senml-json'],
      json(records.map(({ v }, i) => ({ n: `a:b:c:d:e:f:g:h:i:j:${i}/x`, v }))),
      0,
    ],
    [
      '10,000 records behind a long base',
      TOPICS['senml-json'],
      json(records.map(({ v }, i) => (i === 0 ? { bn: 'a:'.repeat(128), bu: 'K'.repeat(64), n: 'a', v } : { v }))),
      0,
    ],
    ['20,000 native readings', TOPICS.native, json(Array(20_000).fill({ metrics: { temperature: 1 } })), 20_000],
    ['20,000 unknown fields', TOPICS.native, json({ metrics: wide(20_000) }), 0],
    [
      '20,000 values of a station',
      TOPICS['sensor-community'],
      json({ sensordatavalues: Array.from({ length: 20_000 }, (_, i) => ({ value_type: `x${i}`, value: '1' })) }),
      0,
    ],
    ['20,000 fields of a codec', TOPICS.chirpstack, json({ object: wide(20_000) }), 0],
    [
      'a list of 100,000 in a codec',
      TOPICS['things-stack'],
      json({ uplink_message: { decoded_payload: { a: Array(100_000).fill(1) } } }),
      0,
    ],
    ['a name of 250,000 characters', TOPICS.native, json({ metrics: { ['x'.repeat(250_000)]: 1 } }), 0],
    ['a text of 250,000 characters', TOPICS.native, json({ metrics: { temperature: 'x'.repeat(250_000) } }), 0],
  ])('%s', (_, topic, payload, stored) => {
    const started = performance.now();
    const { format } = formatOf('lns', topic);
    const decoded = format!.decode(payload, NOW);
    const out = new Checked();
    let values = 0;
    if (!('reason' in decoded)) {
      out.rejections.push(...decoded.rejections);
      for (const raw of decoded.readings) {
        checkReading(raw, profiles.find(({ profile }) => profile === 'air-quality')!, NOW, out);
        values += out.length;
      }
    }
    const took = performance.now() - started;
    expect(values).toBe(stored);
    for (const rejection of out.rejections) mustBeARefusal(rejection);
    expect(took).toBeLessThan(BOUND_MS);
  });
});
