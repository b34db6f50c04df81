import { encode } from 'cborg';
import { describe, expect, test } from 'vitest';
import type { CityControl, Rejection } from '../../../domain/index.ts';
import type { Decoded } from '../../../ingest/index.ts';
import { formatOf } from '../../../ingest/index.ts';
import { edited, sample } from '../../kit/city-model/kit.ts';
import { fieldsOf, json, NOW, receiver } from '../../kit/ingest/formats.ts';

const senml = formatOf('d', 'devices/d/senml').format!;
const cbor = formatOf('d', 'devices/d/senml-cbor').format!;

const read = (pack: unknown) => senml.decode(json(pack), NOW);
function good(decoded: Decoded | Rejection): Decoded {
  if ('reason' in decoded) throw new Error(`${decoded.reason} at ${decoded.path}: ${decoded.detail}`);
  expect(decoded.rejections).toEqual([]);
  return decoded;
}
/** `[name, value, unit, ts]` of every field. */
const resolved = (pack: unknown) => fieldsOf(good(read(pack))).map((field) => field.slice(0, 4));
const ms = (seconds: number) => Math.round(seconds * 1000);

const OW = 'urn:dev:ow:10e2073a01080063';

test('senml - RFC 8428 §5.1.1, a single data point', () => {
  const pack = [{ n: OW, u: 'Cel', v: 23.1 }];
  expect(resolved(pack)).toEqual([[OW, 23.1, 'Cel', undefined]]);
});

test('senml - RFC 8428 §5.1.2, voltage and current now', () => {
  const pack = [
    { bn: `${OW}:`, n: 'voltage', u: 'V', v: 120.1 },
    { n: 'current', u: 'A', v: 1.2 },
  ];
  expect(resolved(pack)).toEqual([
    [`${OW}:voltage`, 120.1, 'V', undefined],
    [`${OW}:current`, 1.2, 'A', undefined],
  ]);
});

const SECONDS = `[
  {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,
   "bu":"A","bver":5,
   "n":"voltage","u":"V","v":120.1},
  {"n":"current","t":-5,"v":1.2},
  {"n":"current","t":-4,"v":1.3},
  {"n":"current","t":-3,"v":1.4},
  {"n":"current","t":-2,"v":1.5},
  {"n":"current","t":-1,"v":1.6},
  {"n":"current","v":1.7}
]`;
const SECONDS_RESOLVED = [
  ['urn:dev:ow:10e2073a0108006:voltage', 120.1, 'V', 1276020076001],
  ['urn:dev:ow:10e2073a0108006:current', 1.7, 'A', 1276020076001],
  ...[1.2, 1.3, 1.4, 1.5, 1.6].map((value, i) => [
    'urn:dev:ow:10e2073a0108006:current',
    value,
    'A',
    1276020071001 + i * 1000,
  ]),
];

test('senml - RFC 8428 §5.1.2, a current each second, the unit and the time from base fields', () => {
  expect(resolved(JSON.parse(SECONDS))).toEqual(SECONDS_RESOLVED);
});

test('senml - RFC 8428 §5.1.2, a stream of one name', () => {
  const rest = [21.3, 21.4, 21.4, 21.5, 21.5, 21.5, 21.6, 21.7].map((v, i) => ({ t: 10 * (i + 1), v }));
  const pack = [{ bn: OW, bt: 1.320067464e9, bu: '%RH', v: 21.2 }, ...rest];
  expect(resolved(pack).map(([, value, , ts]) => [value, ts])).toEqual(
    [21.2, 21.3, 21.4, 21.4, 21.5, 21.5, 21.5, 21.6, 21.7].map((v, i) => [v, 1320067464000 + i * 10_000]),
  );
});

const MOBILE = [
  { bn: OW, bt: 1.320067464e9, bu: '%RH', v: 20 },
  { u: 'lon', v: 24.30621 },
  { u: 'lat', v: 60.07965 },
  { t: 60, v: 20.3 },
  { u: 'lon', t: 60, v: 24.30622 },
  { u: 'lat', t: 60, v: 60.07965 },
  { t: 120, v: 20.7 },
  { u: 'lon', t: 120, v: 24.30623 },
  { u: 'lat', t: 120, v: 60.07966 },
  { u: '%EL', t: 150, v: 98 },
  { t: 180, v: 21.2 },
  { u: 'lon', t: 180, v: 24.30628 },
  { u: 'lat', t: 180, v: 60.07967 },
];
/** §5.1.4 prints it resolved. */
const MOBILE_RESOLVED: [string, number, number][] = [
  ['%RH', 1.320067464e9, 20],
  ['lon', 1.320067464e9, 24.30621],
  ['lat', 1.320067464e9, 60.07965],
  ['%RH', 1.320067524e9, 20.3],
  ['lon', 1.320067524e9, 24.30622],
  ['lat', 1.320067524e9, 60.07965],
  ['%RH', 1.320067584e9, 20.7],
  ['lon', 1.320067584e9, 24.30623],
  ['lat', 1.320067584e9, 60.07966],
  ['%EL', 1.320067614e9, 98],
  ['%RH', 1.320067644e9, 21.2],
  ['lon', 1.320067644e9, 24.30628],
  ['lat', 1.320067644e9, 60.07967],
];

test('senml - RFC 8428 §5.1.3 resolves to §5.1.4: one name at one time in three units, and none overwrites another', () => {
  const expected = MOBILE_RESOLVED.map(([unit, t, value]) => [OW, value, unit, ms(t)]);
  expect(resolved(MOBILE)).toEqual(expected);
  expect(resolved(MOBILE_RESOLVED.map(([u, t, v]) => ({ n: OW, u, t, v })))).toEqual(expected);
});

test('senml - RFC 8428 §5.1.5, several types of data', () => {
  const pack = [
    { bn: `${OW}:`, n: 'temp', u: 'Cel', v: 23.1 },
    { n: 'label', vs: 'Machine Room' },
    { n: 'open', vb: false },
    { n: 'nfv-reader', vd: 'aGkgCg' },
  ];
  const decoded = good(read(pack));
  expect(decoded.readings, 'records of one time are one reading').toHaveLength(1);
  expect(fieldsOf(decoded)).toEqual([
    [`${OW}:temp`, 23.1, 'Cel', undefined, '$[0].v'],
    [`${OW}:label`, 'Machine Room', null, undefined, '$[1].vs'],
    [`${OW}:open`, false, null, undefined, '$[2].vb'],
    [`${OW}:nfv-reader`, 'aGkgCg', null, undefined, '$[3].vd'],
  ]);
});

test('senml - RFC 8428 §5.1.6, a new base name keeps the earlier base time', () => {
  const pack = [
    { bn: '2001:db8::2/', bt: 1.320078429e9, n: 'temperature', u: 'Cel', v: 25.2 },
    { n: 'humidity', u: '%RH', v: 30 },
    { bn: '2001:db8::1/', n: 'temperature', u: 'Cel', v: 12.3 },
    { n: 'humidity', u: '%RH', v: 67 },
  ];
  expect(resolved(pack)).toEqual([
    ['2001:db8::2/temperature', 25.2, 'Cel', 1320078429000],
    ['2001:db8::2/humidity', 30, '%RH', 1320078429000],
    ['2001:db8::1/temperature', 12.3, 'Cel', 1320078429000],
    ['2001:db8::1/humidity', 67, '%RH', 1320078429000],
  ]);
});

test('senml - RFC 8428 §5.1.7, a record of base fields alone, and times 100 ms ahead', () => {
  const thermostat = [
    { bn: `${OW}:` },
    { n: 'temp', u: 'Cel', v: 23.1 },
    { n: 'heat', u: '/', v: 1 },
    { n: 'fan', u: '/', v: 0 },
  ];
  expect(resolved(thermostat).map(([name]) => name)).toEqual([`${OW}:temp`, `${OW}:heat`, `${OW}:fan`]);
  const lights = [
    { bt: 1.320078429e9, bu: '/', n: '2001:db8::3', v: 0.5 },
    { n: '2001:db8::4', v: 0.5 },
    { n: '2001:db8::3', t: 0.1, v: 0 },
    { n: '2001:db8::4', t: 0.1, v: 0 },
  ];
  expect(resolved(lights)).toEqual([
    ['2001:db8::3', 0.5, '/', 1320078429000],
    ['2001:db8::4', 0.5, '/', 1320078429000],
    ['2001:db8::3', 0, '/', 1320078429100],
    ['2001:db8::4', 0, '/', 1320078429100],
  ]);
});

const DUMP = `
87 a7 21 78 1b 75 72 6e 3a 64 65 76 3a 6f 77 3a
31 30 65 32 30 37 33 61 30 31 30 38 30 30 36 3a
22 fb 41 d3 03 a1 5b 00 10 62 23 61 41 20 05 00
67 76 6f 6c 74 61 67 65 01 61 56 02 fb 40 5e 06
66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06
24 02 fb 3f f3 33 33 33 33 33 33 a3 00 67 63 75
72 72 65 6e 74 06 23 02 fb 3f f4 cc cc cc cc cc
cd a3 00 67 63 75 72 72 65 6e 74 06 22 02 fb 3f
f6 66 66 66 66 66 66 a3 00 67 63 75 72 72 65 6e
74 06 21 02 f9 3e 00 a3 00 67 63 75 72 72 65 6e
74 06 20 02 fb 3f f9 99 99 99 99 99 9a a3 00 67
63 75 72 72 65 6e 74 06 00 02 fb 3f fb 33 33 33
33 33 33`;

test('senml - RFC 8428 §6, the CBOR example has the same result as the JSON example', () => {
  const decoded = good(cbor.decode(Buffer.from(DUMP.replace(/\s/g, ''), 'hex'), NOW));
  expect(fieldsOf(decoded).map((field) => field.slice(0, 4))).toEqual(SECONDS_RESOLVED);
  expect(decoded).toEqual(read(JSON.parse(SECONDS)));
});

/** A pack in CBOR: numbers as keys where the key of the object is one. */
const packed = (...records: (readonly [number | string, unknown])[][]) =>
  Buffer.from(encode(records.map((record) => new Map(record))));

test('senml - CBOR reads decimal fractions, integers beyond 2^53 and bytes', () => {
  // 4([-2, 2315]) is 23.15 (RFC 8949 §3.4.4)
  const fraction = Buffer.from('81a200617402c4822119090b', 'hex');
  expect(fieldsOf(good(cbor.decode(fraction, NOW)))[0]).toEqual(['t', 23.15, null, undefined, '$[0].v']);
  const large = packed([
    [0, 'a'],
    [2, 2n ** 60n],
  ]);
  expect(fieldsOf(good(cbor.decode(large, NOW)))[0]![1]).toBe(2 ** 60);
  const bytes = packed([
    [0, 'a'],
    [8, new Uint8Array([1, 2])],
  ]);
  expect(fieldsOf(good(cbor.decode(bytes, NOW)))[0]![1]).toEqual(Buffer.from([1, 2]));
});

test('senml - CBOR accepts an indefinite array, and unknown fields whatever is tagged in them', () => {
  const stream = Buffer.from('9fa20061740217ff', 'hex');
  expect(fieldsOf(good(cbor.decode(stream, NOW)))[0]).toEqual(['t', 23, null, undefined, '$[0].v']);
  // {0: "t", 2: 1, "x": 0("2013")}
  const tagged = Buffer.from('81a300617402016178c06432303133', 'hex');
  expect(fieldsOf(good(cbor.decode(tagged, NOW)))).toHaveLength(1);
});

test.each<[string, Buffer, string, string]>([
  ['text for a label that is an integer', packed([['n', 'a']]), '$[0]', 'the label "n" is written 0 in CBOR'],
  ['an integer that is no label', packed([[9, 1]]), '$[0]', '9 is no label'],
  ['an object where the array should be', Buffer.from(encode(new Map([[0, 'a']]))), '$', 'a SenML pack is an array'],
  [
    'text in a number',
    packed([
      [0, 'a'],
      [2, '1'],
    ]),
    '$[0].v',
    '"1" found; v is a number',
  ],
  ['a fraction that is none', Buffer.from('81a200617402c48121', 'hex'), '$[0].v', 'an object found; v is a number'],
])('senml - CBOR with %s is refused', (_, payload, path, detail) => {
  expect(cbor.decode(payload, NOW)).toEqual({
    reason: 'wrong-shape',
    path,
    detail: expect.stringContaining(detail) as unknown,
  });
});

test.each([
  ['nothing', ''],
  ['half a record', '81a20061'],
  ['bytes behind the pack', '81a20061740217ff'],
  ['a label twice', '81a30061740061750217'],
  ['a map that ends behind a label', '81bf00617402ff'],
  ['nested arrays', '81'.repeat(50_000)],
  ['nested tags', 'c1'.repeat(50_000)],
  ['nested indefinite maps', 'bf00'.repeat(50_000)],
  ['an array that announces 2^53 items', '9b0020000000000000'],
])('senml - %s is not CBOR, and says so', (_, hex) => {
  const decoded = cbor.decode(Buffer.from(hex, 'hex'), NOW);
  expect(decoded).toMatchObject({ reason: 'malformed', path: expect.stringMatching(/^\$/) as unknown });
});

test.each(['81', 'c1', 'bf00', 'a100', '9f'])(
  'senml - CBOR nested by %s is refused at 16 levels, before the stack overflows',
  (hex) => {
    const decoded = cbor.decode(Buffer.from(hex.repeat(50_000), 'hex'), NOW);
    expect(decoded).toMatchObject({ reason: 'malformed', detail: 'not CBOR: nested deeper than 16 levels' });
  },
);

test('senml - CBOR of a few levels in an unknown field is ignored', () => {
  const pack = packed([
    [0, 'a'],
    [2, 1],
    ['x', [[[[new Map([['y', [1]]])]]]]],
    ['z', []],
  ]);
  expect(fieldsOf(good(cbor.decode(pack, NOW)))).toHaveLength(1);
});

test('senml - CBOR floats that are not numbers are refused as not-a-number, each at its record', () => {
  const pack = packed(
    [
      [0, 'temperature'],
      [2, Number.NaN],
    ],
    [
      [0, 'humidity'],
      [2, 40],
    ],
    [
      [0, 'pm25'],
      [2, Number.POSITIVE_INFINITY],
    ],
  );
  const { values, rejections } = receiver('air-quality')(cbor, pack);
  expect(values).toEqual([['humidity', 40, NOW]]);
  expect(rejections.map(({ reason, path }) => [reason, path])).toEqual([
    ['not-a-number', '$[0].v'],
    ['not-a-number', '$[2].v'],
  ]);
});

test.each([
  ['no time is now', undefined, 0, undefined],
  ['a little ago', undefined, -5.5, NOW - 5500],
  ['a little ahead', undefined, 0.02, NOW + 20],
  ['the last relative second', undefined, 2 ** 28 - 1, NOW + (2 ** 28 - 1) * 1000],
  ['the first absolute second', undefined, 2 ** 28, 268435456000],
  ['a sum that is relative', 100, -100.25, NOW - 250],
  ['a sum that becomes absolute', 2 ** 28 - 10, 10, 268435456000],
  ['microseconds', 1.7e9, 0.0005, 1_700_000_000_001],
])('senml - times: %s', (_, bt, t, expected) => {
  expect(resolved([{ bn: 'a', ...(bt === undefined ? {} : { bt }), t, v: 1 }])).toEqual([['a', 1, null, expected]]);
});

test('senml - base value and base sum are added, each part counts as zero where it is missing', () => {
  const pack = [
    { bn: 'm/', bv: 20, bs: 100, n: 'a', v: 1.5 },
    { n: 'b', s: 5 },
    { n: 'c', vs: 'x' },
    { bv: 0, n: 'd', v: 0 },
    { bs: -1, n: 'e', v: 0, u: 'W' },
  ];
  expect(fieldsOf(good(read(pack))).map(([name, value, unit]) => [name, value, unit])).toEqual([
    ['m/a', 21.5, null],
    ['m/a.sum', 100, null],
    ['m/b.sum', 105, null],
    ['m/c', 'x', null],
    ['m/c.sum', 100, null],
    ['m/d', 0, null],
    ['m/d.sum', 100, null],
    ['m/e', 0, 'W'],
    // §4.2: the unit of the value times seconds
    ['m/e.sum', -1, 'W.s'],
  ]);
});

const FAULTS: [string, unknown, string, string][] = [
  ['an object', { n: 'a', v: 1 }, '$', 'an object found; a SenML pack is an array'],
  ['an empty array', [], '$', 'at least one record'],
  ['a version of the future', [{ bver: 11, n: 'a', v: 1 }], '$[0].bver', 'version 11 is not known'],
  [
    'mixed versions',
    [
      { n: 'a', v: 1 },
      { bver: 5, n: 'b', v: 1 },
    ],
    '$[1].bver',
    'version 5 behind version 10',
  ],
  ['a broken version', [{ bver: 1.5, n: 'a', v: 1 }], '$[0].bver', '1.5 found; a version is a positive integer'],
  ['a text version', [{ bver: '5', n: 'a', v: 1 }], '$[0].bver', 'a version is a positive integer'],
  [
    'a field that must be understood',
    [
      { n: 'a', v: 1 },
      { n: 'b', v: 1, bct_: '60' },
    ],
    '$[1]',
    '"bct_" must be understood',
  ],
  ['a base name that is a number', [{ bn: 5, n: 'a', v: 1 }], '$[0].bn', '5 found; bn is a string'],
  [
    'a base time that is a text',
    [
      { n: 'a', v: 1 },
      { bt: '1', n: 'a', v: 1 },
    ],
    '$[1].bt',
    'bt is a number',
  ],
  ['an endless base name', [{ bn: 'a'.repeat(300), v: 1 }], '$[0].bn', 'longer than 256'],
  ['an endless base unit', [{ bu: 'a'.repeat(300), n: 'a', v: 1 }], '$[0].bu', 'longer than 64'],
  ['no name', [{ v: 1 }], '$[0].n', 'neither n nor bn'],
  ['an empty name', [{ n: '', v: 1 }], '$[0].n', 'neither n nor bn'],
  ['a name with a space', [{ n: 'a b', v: 1 }], '$[0].n', '"a b" found'],
  ['a name that begins with a slash', [{ bn: '/3303/0/', n: '5700', v: 1 }], '$[0].n', 'begins with a letter or digit'],
  ['an endless name', [{ n: 'a'.repeat(300), v: 1 }], '$[0].n', 'at most 256'],
  ['no value', [{ n: 'a' }], '$[0]', 'one of v, vs, vb, vd, or the sum s'],
  ['no value in spite of a base value', [{ bv: 1, n: 'a' }], '$[0]', 'no value'],
  ['two values', [{ n: 'a', v: 1, vb: true }], '$[0]', 'v and vb found'],
  ['a text for a number', [{ n: 'a', v: '1' }], '$[0].v', '"1" found; v is a number'],
  ['a number for a text', [{ n: 'a', vs: 1 }], '$[0].vs', '1 found; vs is a string'],
  ['a number for a boolean', [{ n: 'a', vb: 1 }], '$[0].vb', 'vb is a boolean'],
  ['data with padding', [{ n: 'a', vd: 'aGkgCg==' }], '$[0].vd', 'vd is base64url without padding'],
  ['null for a value', [{ n: 'a', v: null }], '$[0].v', 'null found; v is a number'],
  ['a text for the time', [{ n: 'a', v: 1, t: '0' }], '$[0].t', 't is a number'],
  ['a text for the update time', [{ n: 'a', v: 1, ut: '0' }], '$[0].ut', 'ut is a number'],
  ['a record that is null', [null], '$[0]', 'null found; a record is an object'],
  ['an empty record', [{}], '$[0]', 'no value'],
];

test.each(FAULTS)('senml - %s is refused', (_, pack, path, detail) => {
  expect(read(pack)).toEqual({ reason: 'wrong-shape', path, detail: expect.stringContaining(detail) as unknown });
});

test('senml - a faulty record does not stop the others', () => {
  const decoded = read([{ n: 'a', v: 1 }, { n: 'b' }, null, { n: 'c', v: 2 }]) as Decoded;
  expect(fieldsOf(decoded).map(([name, value, , , path]) => [name, value, path])).toEqual([
    ['a', 1, '$[0].v'],
    ['c', 2, '$[3].v'],
  ]);
  expect(decoded.rejections.map(({ path }) => path)).toEqual(['$[1]', '$[2]']);
});

test('senml - base fields of a faulty record apply to the records after it', () => {
  const decoded = read([
    { bn: 'x/', n: 'a b', v: 1 },
    { n: 'c', v: 2 },
  ]) as Decoded;
  expect(fieldsOf(decoded).map(([name]) => name)).toEqual(['x/c']);
});

test.each([
  ['version 10', [{ bver: 10, n: 'a', v: 1 }]],
  [
    'version 10 named late',
    [
      { n: 'a', v: 1 },
      { bver: 10, n: 'b', v: 1 },
    ],
  ],
  ['secondary units, version 26 of RFC 9100', [{ bver: 26, n: 'a', u: 'hPa', v: 1 }]],
  ['unknown fields', [{ n: 'a', v: 1, foo: { deep: [1] }, bfoo: 2, ut: 60 }]],
  ['base fields alone', [{ bn: 'a', bct: '60' }]],
])('senml - %s is accepted', (_, pack) => {
  good(read(pack));
});

test('senml - what is not JSON is malformed; what is not UTF-8 is refused where it is', () => {
  expect(senml.decode(Buffer.from('[{"n":'), NOW)).toMatchObject({ reason: 'malformed', path: '$' });
  expect(senml.decode(Buffer.from('[{"n":"\xff","v":1}]', 'latin1'), NOW)).toMatchObject({
    reason: 'wrong-shape',
    path: '$[0].n',
  });
});

const air = (pack: unknown) => receiver('air-quality')(senml, json(pack));

test.each([
  'temperature',
  'bin-1/temperature',
  'urn:dev:ow:10e2073a01080063:temperature',
  'urn:dev:mac:0024befffe804ff1_temperature',
  'urn:dev:os:32473-123456:outside/temperature',
])('senml - %s is the temperature of the device', (name) => {
  expect(air([{ n: name, u: 'Cel', v: 21.5 }])).toEqual({ values: [['temperature', 21.5, NOW]], rejections: [] });
});

test('senml - a metric with an underscore is not split after it', () => {
  const traffic = receiver('traffic');
  const decoded = traffic(senml, json([{ n: 'urn:dev:ow:10e2:travel_time', u: 's', v: 60 }]));
  expect(decoded.values).toEqual([['travel_time', 60, NOW]]);
});

test('senml - an ending that two names of a pack share maps neither: a longer ending is needed', () => {
  const { values, rejections } = air([
    { bn: 'bin-1/', n: 'in/temperature', u: 'Cel', v: 21 },
    { n: 'out/temperature', u: 'Cel', v: 5 },
    { n: 'humidity', v: 40 },
  ]);
  expect(values).toEqual([['humidity', 40, NOW]]);
  expect(rejections.map(({ reason, path }) => [reason, path])).toEqual([
    ['unknown-metric', '$[0].v'],
    ['unknown-metric', '$[1].v'],
  ]);
});

test('senml - the same name twice at one time is two readings, as it was sent', () => {
  const decoded = good(
    read([
      { n: 'a', v: 1 },
      { n: 'a', v: 2 },
    ]),
  );
  expect(decoded.readings.map(({ path, metrics }) => [path, metrics.a])).toEqual([
    ['$[0]', 1],
    ['$[1]', 2],
  ]);
});

test('senml - the unit of the record takes precedence, in any unit of the quantity', () => {
  const { values, rejections } = air([
    { bn: 'bin-1:', n: 'temperature', u: 'K', v: 294.65 },
    { n: 'humidity', u: '/', v: 0.57 },
    { n: 'pm25', u: 'kg/m3', v: 1.25e-8 },
    { n: 'pm10', u: 'Pa', v: 5 },
    { n: 'no2', u: 'furlong', v: 5 },
  ]);
  expect(values).toEqual([
    ['temperature', 21.5, NOW],
    ['humidity', 57, NOW],
    ['pm25', 12.5, NOW],
  ]);
  expect(rejections).toEqual([
    { reason: 'wrong-unit', path: '$[3].v', detail: '"Pa" measures pressure, ug/m3 measures mass concentration' },
    { reason: 'unknown-unit', path: '$[4].v', detail: 'no conversion from "furlong" to ug/m3 is known' },
  ]);
});

test('senml - texts, data and unmapped booleans are refused as no numbers, a time beyond the city at its record', () => {
  const { values, rejections } = air([
    { n: 'temperature', vs: 'warm' },
    { n: 'humidity', vb: true },
    { n: 'pm25', vd: 'aGk' },
    { n: 'pm10', v: 5, t: -30 * 86_400 },
  ]);
  expect(values).toEqual([]);
  expect(rejections.map(({ reason, path }) => [reason, path])).toEqual([
    ['not-a-number', '$[0].vs'],
    ['not-a-number', '$[1].vb'],
    ['not-a-number', '$[2].vd'],
    ['too-old', '$[3].t'],
  ]);
});

test('senml - a pack of 1,000 records is 1,000 readings, in JSON as in CBOR', () => {
  const times = Array.from({ length: 1_000 }, (_, i) => i - 999);
  const written = times.map((t, i) => ({ ...(i === 0 && { bn: 'current', bu: 'A', bt: NOW / 1000 }), t, v: i / 8 }));
  // RFC 8428 §6: bn is -2, bu -4, bt -3, t 6 and v 2.
  const packed = times.map(
    (t, i) =>
      new Map<number, unknown>([
        ...(i === 0
          ? ([
              [-2, 'current'],
              [-4, 'A'],
              [-3, NOW / 1000],
            ] as const)
          : []),
        [6, t],
        [2, i / 8],
      ]),
  );
  const expected = times.map((t, i) => ['current', i / 8, 'A', NOW + t * 1000]);
  const fields = (decoded: Decoded | Rejection) => fieldsOf(good(decoded)).map((field) => field.slice(0, 4));
  const inTime = (rows: unknown[][]) => rows.toSorted((a, b) => Number(a[3]) - Number(b[3]));
  expect(inTime(fields(read(written)))).toEqual(expected);
  expect(inTime(fields(cbor.decode(Buffer.from(encode(packed)), NOW)))).toEqual(expected);
});

describe('senml - one name in several quantities (RFC 8428 §5.1.3)', () => {
  const NAME = 'urn:dev:ow:10e2073a01080063:humidity';
  const RH = { bn: NAME, bt: -200, bu: '%RH', v: 20 };
  const EL = { u: '%EL', t: 150, v: 98 };
  const moving = [RH, EL, { v: 21.2, t: 180 }];
  const reversed = [
    { bn: NAME, bt: -200, bu: '%EL', v: 98 },
    { u: '%RH', t: 150, v: 20 },
    { u: '%RH', v: 21.2, t: 180 },
  ];
  const placed = [RH, { u: 'lon', v: 24.3 }, { u: 'lat', v: 60.1 }, { v: 21.2, t: 180 }];
  const asCbor = (pack: readonly Record<string, unknown>[]) => {
    const labels: Record<string, number> = { bn: -2, bt: -3, bu: -4, u: 1, v: 2, t: 6 };
    return packed(
      ...pack.map((record) => Object.entries(record).map(([key, value]) => [labels[key]!, value] as const)),
    );
  };
  const read = (control: CityControl, pack: readonly Record<string, unknown>[], format = senml) => {
    const payload = format === senml ? json(pack) : asCbor(pack);
    const { values, rejections } = receiver('lorawan-climate', { control })(format, payload);
    return [values.map(([metric, value]) => [metric, value]), rejections.map(({ reason }) => reason)];
  };
  const DAMP = [
    ['humidity', 20],
    ['humidity', 21.2],
  ];

  test('a battery level is no humidity, in whatever order and encoding', () => {
    for (const format of [senml, cbor]) {
      expect(read(sample, moving, format)).toEqual([DAMP, ['wrong-unit']]);
      expect(read(sample, reversed, format)).toEqual([DAMP, ['wrong-unit']]);
      expect(read(sample, placed, format)).toEqual([DAMP, ['wrong-unit', 'wrong-unit']]);
    }
    expect(read(sample, [{ n: NAME, u: '%EL', v: 98 }])).toEqual([[], ['wrong-unit']]);
  });

  test('where the city does not say which percentage it is, the first quantity of the name counts', () => {
    const plain = edited('metrics.yaml', 'unit: "%RH"', 'unit: "%"');
    expect(read(plain, moving)).toEqual([DAMP, ['wrong-unit']]);
    expect(read(plain, [{ n: NAME, u: '%RH', v: 20 }])).toEqual([[['humidity', 20]], []]);
    // Units of one quantity are converted, as ever.
    expect(
      read(plain, [
        { n: NAME, u: '%RH', v: 20 },
        { n: NAME, t: -1, u: '%', v: 21 },
      ])[1],
    ).toEqual([]);
  });

  test('a profile maps a name by its unit, also where the pack has one quantity only', () => {
    const fields = '    "humidity %EL": { metric: battery }\n    "humidity lon": ignore\n    firmware: ignore';
    const mapped = edited('profiles.yaml', '    firmware: ignore', fields);
    expect(read(mapped, moving)).toEqual([[DAMP[0], ['battery', 98], DAMP[1]], []]);
    expect(read(mapped, [{ n: NAME, u: '%EL', v: 98 }])).toEqual([[['battery', 98]], []]);
    expect(read(mapped, placed)).toEqual([DAMP, ['wrong-unit']]);
  });
});
