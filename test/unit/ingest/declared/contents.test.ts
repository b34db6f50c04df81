import { deflateSync, gzipSync } from 'node:zlib';
import { encode as messagePack } from '@msgpack/msgpack';
import { encode as cbor } from 'cborg';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCity } from '../../../../city-model/index.ts';
import { compileFormats, decodePayload } from '../../../../ingest/index.ts';
import { withFile } from '../../../kit/city-model/kit.ts';
import { runs } from '../../../kit/runs.ts';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const PROTO = `syntax = "proto3"; package p;
message M { message In { sint32 t = 1; } enum S { OFF = 0; ON = 1; }
  float f = 1; repeated int32 list = 2; map<string, double> by = 3; S state = 4; In in = 5; fixed64 at = 6; M again = 7;
  string version = 8; }`;

/** Returns the reader of a format: what it made of a payload. */
function reader(format: object) {
  const control = withFile('formats.yaml', JSON.stringify({ x: format }));
  const { city, problems } = parseCity({
    ...control,
    files: [...control.files, { path: 'm.proto', text: PROTO }],
  });
  if (city === null) throw new Error(JSON.stringify(problems));
  const compiled = compileFormats(city).named('x')!;
  return (payload: Uint8Array | string) => decodePayload(compiled, Buffer.from(payload as string), NOW);
}

/** The values of each reading; of a refusal its reason and detail. */
function valuesOf(decoded: ReturnType<ReturnType<typeof reader>>): unknown {
  if ('reason' in decoded) return `${decoded.reason}: ${decoded.detail}`;
  return decoded.readings.map(({ metrics }) => metrics);
}

test.each<[string, object, Uint8Array | string, unknown]>([
  [
    'CBOR with integer keys',
    { content: 'cbor', flatten: '@' },
    cbor(
      new Map<unknown, unknown>([
        [1, 2.5],
        ['t', 3],
      ]),
    ),
    [{ 1: 2.5, t: 3 }],
  ],
  ['MessagePack', { content: 'messagepack', flatten: '@' }, messagePack({ a: { t: 21.5 } }), [{ 'a.t': 21.5 }]],
  [
    'CSV with a header',
    { content: 'csv', separator: ';', decimal: ',', flatten: '@' },
    't;h\n21,5;40\r\n"22,5";41\n',
    [
      { t: 21.5, h: 40 },
      { t: 22.5, h: 41 },
    ],
  ],
  ['CSV with columns', { content: 'csv', columns: ['t', 'name'], values: { t: 't' } }, '7,"a ""b"", c"', [{ t: 7 }]],
  ['key=value', { content: 'key-value', separator: '&', flatten: '@' }, 't=21.5&h=40&id=x', [{ t: 21.5, h: 40 }]],
  ['a number of its own', { content: 'text', values: { t: '@' } }, ' 21.5\n', [{ t: 21.5 }]],
  ['states as numbers', { values: { on: { at: 's', map: { ON: 1, OFF: 0 } } } }, '{"s":"OFF"}', [{ on: 0 }]],
  ['a scale', { values: { t: { at: 's', scale: 0.1, offset: -40 } } }, '{"s":615}', [{ t: 21.5 }]],
  [
    'bits and order',
    {
      content: 'hex',
      layout: {
        fields: [
          { name: 'a', type: 'u16', order: 'little', bits: [4, 4] },
          { name: 'b', type: 'i8' },
          { name: 'end', type: 'u8', at: -1 },
        ],
      },
    },
    '5102ff0009',
    [{ a: 5, b: -1, end: 9 }],
  ],
  [
    'a list keyed by an id, in any order',
    { entries: { of: 'messages[]', key: 'measurementId', value: 'measurementValue' } },
    '{"messages":[{"battery":1},{"measurementId":4098,"measurementValue":31.4},{"measurementId":4097,"measurementValue":"21.4"}]}',
    [{ 4098: 31.4, 4097: 21.4 }],
  ],
])('contents - %s', (_, format, payload, want) => {
  expect(valuesOf(reader(format)(payload))).toEqual(want);
});

test('contents - Protocol Buffers: numbers, lists, maps, enumerations, messages', () => {
  const read = reader({
    content: 'protobuf',
    proto: { file: 'm.proto', message: 'p.M' },
    flatten: '@',
    values: { on: { at: 'state', map: { ON: 1 } } },
  });
  const bytes = Buffer.from(
    '0d0000ac41' + '1202' + '0503' + '1a0c0a0161110000000000001440' + '2001' + '2a020803' + '99f80100',
    'hex',
  );
  const known = bytes.subarray(0, bytes.length - 4);
  expect(valuesOf(read(known))).toEqual([{ on: 1, f: 21.5, 'list.0': 5, 'list.1': 3, 'by.a': 5, 'in.t': -2 }]);
  expect(valuesOf(read(known.subarray(0, 3)))).toMatch(/^malformed: .*ends within a field/);
  expect(valuesOf(read(Buffer.from('08ff', 'hex')))).toMatch(/^malformed: .*wire type 0, not 5/);
  const deep = Array.from({ length: 40 }).reduce<Buffer>(
    (inner) => Buffer.concat([Buffer.from([0x3a, inner.length]), inner]),
    Buffer.alloc(0),
  );
  expect(valuesOf(read(deep))).toMatch(/^malformed: .*nested deeper than 16/);
});

test.each<[object | string, unknown, string]>([
  [{ at: 't', unit: 's' }, 1795885800, '2026-11-28T17:10:00.000Z'],
  [{ at: 't', unit: 'ns' }, '1795885800000000000', '2026-11-28T17:10:00.000Z'],
  [{ at: 't', unit: 'epoch' }, 1795885800, '2026-11-28T17:10:00.000Z'],
  [{ at: 't', unit: 'epoch' }, 1795885800.5, '2026-11-28T17:10:00.500Z'],
  [{ at: 't', unit: 'epoch' }, 1795885800000, '2026-11-28T17:10:00.000Z'],
  [{ at: 't', unit: 'epoch' }, '1795885800000000', '2026-11-28T17:10:00.000Z'],
  [{ at: 't', unit: 'epoch' }, '1795885800000000000', '2026-11-28T17:10:00.000Z'],
  [{ at: 't', unit: 'epoch' }, 86_400, '1970-01-02T00:00:00.000Z'],
  [{ at: 't', zone: 'Europe/Berlin' }, '2026-11-28T18:10:00', '2026-11-28T17:10:00.000Z'],
  [{ at: 't', unit: 'DD.MM.YYYY HH:mm:ss', zone: 'Europe/Berlin' }, '28.11.2026 18:10:00', '2026-11-28T17:10:00.000Z'],
  ['t', '2026-11-28 17:10:00Z', '2026-11-28T17:10:00.000Z'],
])('times - %o reads %s', (time, written, want) => {
  const decoded = reader({ time, flatten: '@', ignore: ['t'] })(JSON.stringify({ t: written, a: 1 }));
  if ('reason' in decoded) throw new Error(decoded.detail);
  const { ts } = decoded.readings[0]!;
  expect(new Date(ts as number).toISOString()).toBe(want);
});

test('contents - a time that does not exist stays as it was written, for the refusal', () => {
  const read = reader({ time: { at: 't', unit: 'DD.MM.YYYY' }, flatten: '@' });
  const decoded = read('{"t":"31.02.2026","a":1}');
  expect('readings' in decoded && decoded.readings[0]!.ts).toBe('31.02.2026');
});

const CONTENTS = ['json', 'cbor', 'messagepack', 'csv', 'key-value', 'ultralight', 'line-protocol', 'text'];

test('contents - whatever bytes come, the result is readings or a refusal, never an exception', () => {
  const readers = CONTENTS.map((content) =>
    reader({ content, flatten: '@', values: { a: 'a.b[0]' }, device: 'id', id: 'n' }),
  );
  const layout = { channels: { '01': [{ name: 'a', type: 'u16' }] }, fields: [{ name: 'f', type: 'u8' }] };
  readers.push(reader({ content: 'bytes', layout }), reader({ content: 'base64', layout }));
  readers.push(reader({ content: 'protobuf', proto: { file: 'm.proto', message: 'p.M' }, flatten: '@' }));
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.json().map((text) => Buffer.from(text)),
    fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(payload, (bytes) => {
      for (const read of readers) {
        const decoded = read(bytes);
        expect('reason' in decoded ? decoded.detail.length : decoded.readings.length).toBeLessThan(10_000);
      }
    }),
    { seed: 19, numRuns: runs(500) },
  );
});

test('contents - a hostile message is read within its bounds', () => {
  const nested = reader({ flatten: '@' })(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`);
  expect('readings' in nested && nested.rejections[0]!.detail).toContain('nested deeper');
  const wide = reader({ rows: 'r', flatten: '@' })(
    JSON.stringify({ r: Array.from({ length: 9_000 }, () => ({ a: 1 })) }),
  );
  expect(valuesOf(wide)).toContain('at most 8192 in one message');
  const large = reader({ content: 'messagepack', flatten: '@' })(Buffer.from('dd7fffffff', 'hex'));
  expect(valuesOf(large)).toContain('malformed');
  const bomb = reader({ content: 'messagepack', flatten: '@' })(Buffer.from('dcffff'.repeat(80_000), 'hex'));
  expect(valuesOf(bomb)).toContain('malformed');
  const filter = reader({ values: { a: "a[?b[?c == 'x']]" } })(
    JSON.stringify({ a: Array.from({ length: 600_000 }, () => 1) }),
  );
  expect(valuesOf(filter)).toContain('500000 items');
});

/** Beginnings, what is repeated to 250,000 characters, and ends: what slow patterns would try in many ways. */
const SLOW_TEXTS = [
  ...['1', ' ', '\\', '"', ',', ';', '|', '=', '\n', '1.', '1,', '1e', '-', 'a', 'a=b,', 'NaN,'].map((of) => [
    '',
    of,
    'x',
  ]),
  ...[
    ['"', 'a', ''],
    ['a x="', '\\"', ''],
    ['a,', 'b=c,', ' x=1'],
    ['2026-11-28T', '0', 'x'],
  ],
  ...[
    ['{"t":"', '2026-', '","a":1}'],
    ['{"a":"', '1', 'x"}'],
    ['{"a":', 'NaN,"b":', '1}'],
    ['[', 'NaN,', 'NaN]'],
  ],
] as const;
const LAYOUT = { fields: [{ name: 'a', type: 'u8' }] };

test.each<[string, object]>([
  ['csv', { columns: ['t', 'a'], values: { a: 'a' }, decimal: ',', time: { at: 't', unit: 'iso' } }],
  ['key-value', { flatten: '@', decimal: ',' }],
  ['ultralight', { flatten: '@', time: 'TimeInstant' }],
  ['line-protocol', { flatten: 'fields', time: { at: 'timestamp', unit: 'epoch' } }],
  ['text', { values: { a: '@' }, decimal: ',' }],
  ['hex', { layout: LAYOUT }],
  ['base64', { layout: LAYOUT }],
  ['json', { values: { a: "length(split(a, ',')) + to_number(a)" }, time: { at: 't', unit: 'iso' } }],
])('contents - no text in %s is catastrophic for its patterns', (content, more) => {
  const read = reader({ content, ...more });
  for (const [begin, repeated, end] of SLOW_TEXTS) {
    const text = begin + repeated.repeat(250_000 / repeated.length) + end;
    const before = process.cpuUsage();
    read(text);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000, `${begin}${repeated}…${end}`).toBeLessThan(3_000);
  }
});

test('contents - a channel that would be read for ever is a mistake of the format', () => {
  const layout = { channels: { '01': [{ name: 'a', type: 'u8', at: -8 }] } };
  expect(() => reader({ content: 'bytes', layout, flatten: '@' })).toThrow('counted from the end');
});

const bytes = (text: string) => Buffer.from(text, 'latin1');
const proto = { content: 'protobuf', proto: { file: 'm.proto', message: 'p.M' } };
const flat = { t: 't', bad: '"x\ufffd"', version: 'version' };
const inFields = { t: 'fields.t', bad: 'fields."x\ufffd"', version: 'fields.version' };
const double = (value: string) => `\x11\0\0\0\0\0\0${value}`;

test.each<[string, object, string]>([
  ['JSON', { values: flat }, '{"t":1,"x\xff":2,"version":"a\xffb"}'],
  ['CSV', { content: 'csv', values: flat }, 't,x\xff,version\n1,2,a\xffb'],
  ['key=value', { content: 'key-value', separator: ';', values: flat }, 't=1;x\xff=2;version=a\xffb'],
  ['UltraLight', { content: 'ultralight', values: flat }, 't|1|x\xff|2|version|a\xffb'],
  ['line protocol', { content: 'line-protocol', values: inFields }, 'm t=1,x\xff=2,version="a\xffb"'],
  ['CBOR', { content: 'cbor', values: flat }, '\xa3at\x01bx\xff\x02gversionca\xffb'],
  ['MessagePack', { content: 'messagepack', values: flat }, '\x83\xa1t\x01\xa2x\xff\x02\xa7version\xa3a\xffb'],
  [
    'Protocol Buffers',
    { ...proto, values: { t: 'by.t', bad: 'by."x\ufffd"', version: 'version' } },
    `\x1a\x0c\x0a\x01t${double('\xf0\x3f')}\x1a\x0d\x0a\x02x\xff${double('\x00\x40')}\x42\x03a\xffb`,
  ],
])(
  'formats - %s: bytes that are no UTF-8 spoil the name or text that they are in, and nothing else',
  (_, format, text) => {
    const decoded = reader(format)(bytes(text));
    const [found] = valuesOf(decoded) as [{ t: unknown; bad: unknown; version: unknown }];
    expect({ ...found, t: Number(found.t), bad: Number(found.bad) }).toEqual({ t: 1, bad: 2, version: 'a\ufffdb' });
    expect(decoded).toMatchObject({ rejections: [] });
  },
);

test('formats - MessagePack keeps bytes and long texts as they are', () => {
  const long = `${'é'.repeat(300)}`;
  const format = {
    content: 'messagepack',
    frame: { at: 'raw', encoding: 'hex' },
    layout: { fields: [{ name: 'a', type: 'u8' }] },
  };
  const read = reader({ ...format, values: { a: 'frame.a', name: 'name', zh: '"温度"' } });
  const payload = messagePack({ raw: new Uint8Array([7]), name: long, 温度: 21.5 });
  expect(valuesOf(read(payload))).toEqual([{ a: 7, name: long, zh: 21.5 }]);
});

const PLAIN = { flatten: '@' };
test.each<[string, object, string, unknown, readonly string[]]>([
  ['JSON', PLAIN, '{"t":1,"t":2,"h":3}', { t: 2, h: 3 }, ['ambiguous $.t']],
  [
    'MessagePack',
    { ...PLAIN, content: 'messagepack' },
    '\x83\xa1t\x01\xa1t\x02\xa1h\x03',
    { t: 2, h: 3 },
    ['ambiguous $'],
  ],
  ['key=value', { ...PLAIN, content: 'key-value', separator: ';' }, 't=1;t=2;h=3', { t: 1, h: 3 }, ['ambiguous $.t']],
  ['UltraLight', { ...PLAIN, content: 'ultralight' }, 't|1|t|2|h|3', { t: 1, h: 3 }, ['ambiguous $[0].t']],
  [
    'line protocol',
    { flatten: '@.fields', content: 'line-protocol' },
    'm t=1,t=2,h=3',
    { t: 1, h: 3 },
    ['ambiguous $[0].fields.t'],
  ],
  // The header and the columns of a format may name what nobody reads by one name.
  ['CSV', { ...PLAIN, content: 'csv' }, 't,t,h\n1,2,3', { t: 1, h: 3 }, []],
  // The last one counts, as its specification says.
  ['Protocol Buffers', { ...PLAIN, ...proto }, '\x0d\0\0\x80\x3f\x0d\0\0\0\x40', { f: 2 }, []],
])('formats - %s: of a name twice one value counts, and the other is refused', (_, format, text, values, refused) => {
  const decoded = reader(format)(bytes(text));
  expect(valuesOf(decoded)).toEqual([values]);
  if ('reason' in decoded) expect.fail(decoded.detail);
  expect(decoded.rejections.map(({ reason, path }) => `${reason} ${path}`)).toEqual(refused);
});

test('formats - a name twice with the same value is no fault', () => {
  expect(reader({ ...PLAIN, content: 'ultralight' })('t|1|t|1')).toMatchObject({ rejections: [] });
});

test('formats - CBOR with a key twice is malformed as a whole: such a map is not valid (RFC 8949 §5.6)', () => {
  const read = reader({ ...PLAIN, content: 'cbor' });
  expect(valuesOf(read(bytes('\xa2at\x01at\x02')))).toContain('malformed: not CBOR: ');
});

const TEXT_FORMATS: readonly object[] = [
  { ...PLAIN, content: 'json' },
  { ...PLAIN, content: 'csv' },
  { ...PLAIN, content: 'csv', columns: ['t'] },
  { ...PLAIN, content: 'key-value', separator: ';' },
  { ...PLAIN, content: 'ultralight' },
  { ...PLAIN, content: 'line-protocol' },
  { content: 'text', values: { t: '@' } },
];
const BINARY_FORMATS: readonly object[] = [
  { ...PLAIN, content: 'cbor' },
  { ...PLAIN, content: 'messagepack' },
  { ...PLAIN, ...proto },
];

test.each(TEXT_FORMATS)('formats - what is no text is refused as a whole, and named: %o', (format) => {
  const read = reader(format);
  expect(valuesOf(read(gzipSync('t=1')))).toContain('it looks like gzip; ');
  expect(valuesOf(read(deflateSync('t=1')))).toContain('it looks like zlib; ');
  expect(valuesOf(read(Buffer.from('t=1;h=2', 'utf16le')))).toContain('it looks like UTF-16; send UTF-8');
  expect(valuesOf(read(Buffer.from('\ufefft=1;h=2', 'utf16le')))).toContain('it looks like UTF-16; send UTF-8');
});

test.each(BINARY_FORMATS)('formats - a binary format that gets something packed names it: %o', (format) => {
  expect(valuesOf(reader(format)(gzipSync('t=1')))).toContain('it looks like gzip; ');
});
