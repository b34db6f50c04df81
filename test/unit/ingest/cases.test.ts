import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatOf } from '../../../ingest/index.ts';
import { json, receiver } from '../../kit/ingest/formats.ts';

interface Case {
  readonly name: string;
  /** Base64. */
  readonly payload: string;
  readonly values: readonly number[];
  readonly refused: readonly string[];
}

const FILE = join(import.meta.dirname, 'cases/native.json');
const { receivedAt, cases } = JSON.parse(readFileSync(FILE, 'utf8')) as { receivedAt: number; cases: Case[] };

const native = formatOf('d', 'devices/d/readings').format!;
const senml = formatOf('d', 'devices/d/senml').format!;
const station = formatOf('d', 'devices/d/sensor-community').format!;
const air = receiver('air-quality', { now: receivedAt });
const climate = receiver('lorawan-climate', { now: receivedAt });

const found = ({ values, rejections }: ReturnType<typeof air>) => ({
  values: values.map(([, value]) => value),
  refused: rejections.map(({ reason }) => reason),
});

describe('native JSON, case by case', () => {
  test.each(cases.map((one) => [one.name, one] as const))('cases - %s', (_, { payload, values, refused }) => {
    expect(found(air(native, Buffer.from(payload, 'base64')))).toEqual({ values, refused });
  });
});

describe('one bad value never stops its message', () => {
  test.each([
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['-Infinity', '-Infinity'],
    ['what C prints for no number', '-nan(ind)'],
    ['what Python prints for nothing', 'None'],
    ['a number with a plus', '+5'],
    ['a number without a zero', '.5'],
    ['a number with a zero too many', '05'],
    ['nothing', ''],
    ['a text with a line break', '"a\nb"'],
  ])('cases - %s is refused where it is, and the value beside it kept', (_, text) => {
    const { values, rejections } = air(native, Buffer.from(`{"metrics":{"pm25":${text},"temperature":21.5}}`));
    expect(values).toEqual([['temperature', 21.5, receivedAt]]);
    expect(rejections).toMatchObject([{ reason: 'not-a-number', path: '$.metrics.pm25' }]);
  });

  test('cases - of an array, only the value that is none is refused', () => {
    const text = '[{"metrics":{"pm25":NaN}},{"metrics":{"pm25":1,"no2":Infinity}},{"metrics":{"pm10":2}}]';
    const { values, rejections } = air(native, Buffer.from(text));
    expect(values.map(([metric]) => metric)).toEqual(['pm25', 'pm10']);
    expect(rejections.map(({ path }) => path)).toEqual(['$[0].metrics.pm25', '$[1].metrics.no2']);
  });

  test('cases - a byte order mark before a good message is passed over, in every JSON format', () => {
    const mark = Buffer.from([0xef, 0xbb, 0xbf]);
    const marked = (body: unknown) => Buffer.concat([mark, json(body)]);
    expect(air(native, marked({ metrics: { pm25: 1 } })).values).toHaveLength(1);
    expect(air(senml, marked([{ n: 'pm25', v: 1 }])).values).toHaveLength(1);
    const push = { sensordatavalues: [{ value_type: 'pm25', value: '1' }] };
    expect(air(station, marked(push))).toMatchObject({ values: [['pm25', 1, receivedAt]], rejections: [] });
  });

  test('cases - NUL bytes behind a message do not cost it, and its sender gets a notice', () => {
    const padded = (body: unknown) => Buffer.concat([json(body), Buffer.alloc(9)]);
    const { values, rejections } = air(senml, padded([{ n: 'pm25', v: 1 }]));
    expect(values).toHaveLength(1);
    expect(rejections).toMatchObject([{ reason: 'malformed', path: '$', detail: expect.stringContaining('(9)') }]);
  });

  test('cases - NaN in SenML and in the object of a codec is refused where it is', () => {
    const pack = Buffer.from('[{"n":"temperature","u":"Cel","v":21},{"n":"humidity","u":"%RH","v":NaN}]');
    const { values, rejections } = climate(senml, pack);
    expect(values.map(([metric]) => metric)).toEqual(['temperature']);
    expect(rejections).toMatchObject([{ reason: 'wrong-shape', path: '$[1].v' }]);
    const chirpstack = formatOf('lns', 'application/7/device/70b3d57ed0001234/event/up').format!;
    const uplink = Buffer.from('{"deviceInfo":{},"object":{"air":{"temperature":21,"humidity":NaN}}}');
    expect(climate(chirpstack, uplink)).toMatchObject({
      values: [['temperature', 21, receivedAt]],
      rejections: [{ reason: 'not-a-number', path: '$.object.air.humidity' }],
    });
  });

  test('cases - a key twice: the last value counts as ever, and the first is not lost without a word', () => {
    const read = (text: string) => air(native, Buffer.from(text));
    expect(read('[{"metrics":{"pm25":1,"pm25":2}},{"metrics":{"pm10":3}}]')).toMatchObject({
      values: [
        ['pm25', 2, receivedAt],
        ['pm10', 3, receivedAt],
      ],
      rejections: [{ reason: 'ambiguous', path: '$[0].metrics.pm25' }],
    });
    expect(read('{"metrics":{"pm25":1,"pm25":1}}').rejections).toEqual([]);
    expect(read('{"metrics":{"pm25":1,"a:b":":\\":"}}').rejections).toMatchObject([{ reason: 'unknown-metric' }]);
    // Each fault has a path: without a bound the paths of this message would have gigabytes.
    const pairs = Array.from({ length: 20_000 }, (_, i) => `"a":${i}`).join();
    const { rejections } = read(`{"metrics":{"${'k'.repeat(100_000)}":{${pairs}}}}`);
    expect(rejections.length).toBeLessThan(100);
  });

  test('cases - bytes that are no UTF-8 spoil the name they are in and nothing else, in every JSON format', () => {
    const bytes = (text: string) => Buffer.from(text, 'latin1');
    expect(found(air(native, bytes('{"metrics":{"pm25":1,"x\xff":2}}')))).toEqual({
      values: [1],
      refused: ['unknown-metric'],
    });
    expect(found(air(senml, bytes('[{"n":"pm25","v":1},{"n":"x\xff","v":2}]')))).toEqual({
      values: [1],
      refused: ['wrong-shape'],
    });
    const push = '{"sensordatavalues":[{"value_type":"pm25","value":"1"},{"value_type":"x\xff","value":"2"}]}';
    expect(found(air(station, bytes(push)))).toEqual({ values: [1], refused: ['unknown-metric'] });
  });
});

describe('what cannot be read is named', () => {
  test.each([
    ['1f8b0800000000000003ab56ca4d2d29ca4c2e56b2aa562a', 'gzip'],
    ['789cab56ca4d2d29', 'zlib'],
    ['fffe7b002200', 'UTF-16'],
    ['7b0022006d00', 'UTF-16'],
    ['007b0022006d', 'UTF-16'],
    ['a1676d657472696373', 'CBOR'],
    ['82a16e61', 'CBOR or MessagePack'],
    ['0a0361626310011d00002041', 'Protocol Buffers'],
    [Buffer.from('<r>1</r>').toString('hex'), 'XML'],
    [Buffer.from("{'metrics':{'pm25':1}}").toString('hex'), 'Python'],
    [Buffer.from('{"metrics":{"a":1}}\n{"metrics":{"a":2}}').toString('hex'), 'several JSON texts'],
    [Buffer.from('pm25=1&pm10=2').toString('hex'), 'a form'],
    [Buffer.from('pm25;1;2').toString('hex'), 'CSV'],
    [Buffer.from('0a0b0c0d0e').toString('hex'), 'hexadecimal'],
    ['', 'nothing at all'],
  ])('cases - %s looks like %s', (hex, name) => {
    expect(native.decode(Buffer.from(hex, 'hex'), receivedAt)).toMatchObject({
      reason: 'malformed',
      detail: expect.stringContaining(name),
    });
  });
});

describe('times', () => {
  const at = (ts: unknown) => air(native, json({ ts, metrics: { pm25: 1 } }));

  test.each([
    [receivedAt / 1_000, 'too-old', 'seconds'],
    [receivedAt * 1_000, 'in-the-future', 'microseconds'],
    [receivedAt * 1_000_000, 'in-the-future', 'nanoseconds'],
    [String(receivedAt), 'bad-timestamp', 'without quotes'],
    [String(Math.floor(receivedAt / 1_000)), 'bad-timestamp', 'seconds'],
  ])('cases - the time %s is refused as %s, with a hint: %s', (ts, reason, hint) => {
    expect(at(ts).rejections).toMatchObject([{ reason, detail: expect.stringContaining(hint) }]);
  });

  test('cases - SenML has seconds: milliseconds are refused, and that is what the hint says', () => {
    const { rejections } = air(senml, json([{ n: 'pm25', v: 1, t: receivedAt }]));
    const detail = expect.stringContaining('these look like milliseconds, seconds are expected') as unknown;
    expect(rejections).toMatchObject([{ reason: 'in-the-future', path: '$[0].t', detail }]);
    expect(air(senml, json([{ n: 'pm25', v: 1, t: receivedAt / 1_000 }])).rejections).toEqual([]);
  });

  test('cases - t and z in lower case are as good (RFC 3339 §5.6)', () => {
    expect(at('2026-11-28t17:11:02z').values).toEqual([['pm25', 1, Date.parse('2026-11-28T17:11:02Z')]]);
  });

  test('cases - a leap second is the first second of the next month, and is nowhere else', () => {
    const year = receiver('air-quality', { now: Date.parse('2017-01-01T00:00:30Z') });
    const ts = (text: string) => year(native, json({ ts: text, metrics: { pm25: 1 } })).values[0]?.[2];
    expect(ts('2016-12-31T23:59:60Z')).toBe(Date.parse('2017-01-01T00:00:00Z'));
    expect(ts('2017-01-01T01:59:60.5+02:00')).toBe(Date.parse('2017-01-01T00:00:00.5Z'));
    expect(ts('2016-12-30T23:59:60Z')).toBeUndefined();
    expect(ts('2016-12-31T22:59:60Z')).toBeUndefined();
    expect(ts('2016-12-31T23:59:61Z')).toBeUndefined();
  });

  test('cases - of the times of several gateways the plausible one is taken, the nearest first', () => {
    const chirpstack = formatOf('lns', 'application/7/device/70b3d57ed0001234/event/up').format!;
    const iso = (ms: number) => new Date(receivedAt + ms).toISOString();
    const time = (body: object) =>
      climate(chirpstack, json({ devEUI: 'x', objectJSON: '{"air":{"temperature":21}}', ...body })).values[0]?.[2];
    const year1 = '0001-01-01T00:00:00Z';
    expect(time({ rxInfo: [{ time: year1 }, { time: iso(-500) }] })).toBe(receivedAt - 500);
    expect(time({ rxInfo: [{ time: iso(-8 * 3_600_000) }, { time: iso(-500) }, { time: 'soon' }] })).toBe(
      receivedAt - 500,
    );
    expect(time({ time: year1, rxInfo: [{ gwTime: year1, nsTime: iso(-300) }] })).toBe(receivedAt - 300);
    expect(time({ time: iso(-4_000), rxInfo: [{ time: iso(-500) }] })).toBe(receivedAt - 4_000);
    expect(time({ rxInfo: [{ time: year1 }] })).toBeUndefined();
    const things = formatOf('lns', 'v3/a@t/devices/d/up').format!;
    const message = { decoded_payload: { air: { temperature: 21 } }, received_at: year1 };
    expect(climate(things, json({ received_at: iso(-200), uplink_message: message })).values[0]?.[2]).toBe(
      receivedAt - 200,
    );
  });
});
