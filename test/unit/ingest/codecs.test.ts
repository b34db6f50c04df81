import { describe, expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import type { CityControl } from '../../../domain/index.ts';
import { CodecBudget } from '../../../ingest/codecs/budget.ts';
import { codecsOfProfile } from '../../../ingest/codecs/index.ts';
import { tryFormat } from '../../../ingest/index.ts';
import { sample } from '../../kit/city-model/kit.ts';
import { NOW } from '../../kit/ingest/formats.ts';
import { intakeBench } from '../../kit/ingest/intake.ts';

const EUI = '70b3d57ed0001234';
const FIELDS = 'temperature: { metric: temperature }\n    "*": ignore';
const profileWith = (codec: string) => `
coded:
  title: { en: Coded, zh: 编解码 }
  metrics: [temperature]
  interval: 15m
  codec: ${codec}
  fields:
    ${FIELDS}
`;

/** Returns the sample city with a profile that has codecs, and their files. */
function controlOf(codec: string, codecs: Readonly<Record<string, string>>): CityControl {
  const files = sample.files.map((file) =>
    file.path === 'profiles.yaml' ? { ...file, text: file.text + profileWith(codec) } : file,
  );
  const programs = Object.entries(codecs).map(([name, text]) => ({ path: `codecs/${name}`, text }));
  return { version: 'coded', files: [...files, ...programs] };
}
const cityOf = (...args: Parameters<typeof controlOf>) => parseCity(controlOf(...args));

/** Sends a frame of ChirpStack through a codec. */
function decodedBy(text: string, more: object = {}) {
  const { city, problems } = cityOf('vendor.js', { 'vendor.js': text });
  if (city === null) throw new Error(formatProblems(problems));
  const body = {
    deviceInfo: { devEui: EUI },
    devAddr: '00189440',
    fCnt: 1,
    fPort: 2,
    data: 'ANcB',
    ...more,
  };
  return tryFormat(city, {
    topic: `application/7/device/${EUI}/event/up`,
    payload: Buffer.from(JSON.stringify(body)),
    sender: 'lns',
    profile: 'coded',
    receivedAtMs: NOW,
  });
}

const returning = (expression: string) =>
  `function decodeUplink(input) { return { data: { temperature: ${expression} }, warnings: [], errors: [] }; }`;
const valueBy = (text: string, more?: object) => decodedBy(text, more).readings[0]?.values[0]?.value;
const refusedBy = (text: string) => decodedBy(text).refused.map(({ reason, path, detail }) => [reason, path, detail]);

test('codecs - a raw frame is decoded by the codec of its profile, before what the network server made of it', () => {
  const codec = returning('(input.bytes[0] << 8 | input.bytes[1]) / 10 + input.fPort');
  expect(valueBy(codec)).toBe(23.5);
  expect(valueBy(codec, { object: { temperature: 1 } })).toBe(23.5);
  const { readings } = decodedBy(codec);
  expect(readings).toMatchObject([{ path: '$.object', values: [{ path: '$.object.temperature', found: '23.5' }] }]);
});

test('codecs - an uplink of The Things Stack is decoded in the same way, and one without a frame is none', () => {
  const { city } = cityOf('vendor.js', { 'vendor.js': returning('input.bytes.length') });
  const sent = (uplink: object) =>
    tryFormat(city!, {
      topic: 'v3/air@ttn/devices/roof/up',
      payload: Buffer.from(JSON.stringify({ end_device_ids: { dev_eui: EUI }, uplink_message: uplink })),
      sender: 'lns',
      profile: 'coded',
      receivedAtMs: NOW,
    });
  expect(sent({ f_port: 1, frm_payload: 'AQID' }).readings[0]!.values[0]!.value).toBe(3);
  expect(sent({ f_port: 1 })).toMatchObject({ readings: [], refused: [] });
});

test('codecs - intake reads a block by the codec of each device, and a consumer that lags reads the same', () => {
  const intake = intakeBench();
  intake.city(controlOf('vendor.js', { 'vendor.js': returning('input.bytes[1] / 10') }), NOW);
  intake.devices([{ id: EUI, profile: 'coded', district: 'harbour' }], [], NOW);
  const payload = JSON.stringify({ deviceInfo: { devEui: EUI }, devAddr: '00189440', fCnt: 1, data: 'ANcB' });
  const sent = { identity: 'lns', topic: `application/7/device/${EUI}/event/up`, payload, receivedAt: NOW };
  const outcome = intake.send([sent, sent]);
  expect(outcome.tallies).toMatchObject([{ device: EUI, decoded: 2, stored: 1, duplicate: 1 }]);
  expect(intake.rows(outcome)).toEqual(intake.rows(intake.again(3)));
  expect(intake.rows(outcome)).toHaveLength(1);
  expect(JSON.stringify(intake.rows(outcome))).toContain('21.5');
});

test('codecs - the DevEUI chooses among several: the whole one, then the longest beginning', () => {
  const codecs = { 'a.js': returning('1'), 'b.js': returning('2'), 'c.js': returning('3') };
  const by = (written: string) => {
    const { city, problems } = cityOf(written, codecs);
    if (city === null) throw new Error(formatProblems(problems));
    const payload = Buffer.from(JSON.stringify({ deviceInfo: {}, data: 'AQ==' }));
    const topic = `application/7/device/${EUI}/event/up`;
    const tried = tryFormat(city, { topic, payload, sender: 'lns', profile: 'coded', receivedAtMs: NOW });
    return tried.readings[0]?.values[0]?.value ?? tried.refused[0]?.reason;
  };
  expect(by(`{ "*": a.js, "70b3*": b.js, ${EUI}: c.js }`)).toBe(3);
  expect(by('{ "*": a.js, "70b3*": b.js, "70*": c.js }')).toBe(2);
  expect(by('{ "*": a.js, "8*": b.js }')).toBe(1);
  expect(by('{ "8*": b.js }')).toBe('not-decoded');
});

test('codecs - a refusal names the file, also where another one has the same text; a frame is short', () => {
  const codecs = { 'vendor.js': 'function decodeUplink() { throw new Error("no"); }' };
  const payload = Buffer.from(JSON.stringify({ deviceInfo: {}, data: 'AQ==' }));
  const topic = `application/7/device/${EUI}/event/up`;
  const by = (name: string) => {
    const { city } = cityOf(name, { ...codecs, 'same.js': codecs['vendor.js'] });
    return tryFormat(city!, { topic, payload, sender: 'lns', profile: 'coded', receivedAtMs: NOW }).refused[0]!.detail;
  };
  expect([by('vendor.js'), by('same.js')]).toEqual(['vendor.js: Error: no', 'same.js: Error: no']);
  const long = decodedBy(returning('1'), { data: 'A'.repeat(4_000) });
  expect(long.refused[0]!.detail).toBe('vendor.js: the frame has 3000 bytes, more than 1024');
});

test('codecs - the same frame gives the same values: no state, no clock, no chance, no zone', () => {
  expect(valueBy(`var calls = 0; ${returning('++calls')}`)).toBe(1);
  expect(valueBy(`var calls = 0; ${returning('++calls')}`)).toBe(1);
  expect(valueBy(returning('Date.now() - input.recvTime.getTime()'))).toBe(0);
  expect(valueBy(returning('new Date().getTime() - input.recvTime.getTime()'))).toBe(0);
  expect(valueBy(returning('Math.random()'))).toBe(0.5);
  expect(valueBy(returning('new Date(2026, 0, 1, 12).getHours() + new Date().getTimezoneOffset()'))).toBe(12);
  expect(valueBy(returning('new Date(2026, 0, 1) - Date.UTC(2026, 0, 1)'))).toBe(0);
});

test.each([
  ['process', 'typeof process'],
  ['require', 'typeof require'],
  ['fetch', 'typeof fetch'],
  ['a way to the host', "typeof globalThis.constructor.constructor('return this')().process"],
  ['the time of the machine', 'typeof performance'],
])('codecs - there is no %s in the sandbox', (_, expression) => {
  expect(valueBy(returning(`${expression} === 'undefined' ? 1 : 0`))).toBe(1);
});

test.each([
  ['errors', 'function decodeUplink() { return { errors: ["port 9 is unknown"] }; }', 'port 9 is unknown'],
  ['an exception', 'function decodeUplink() { throw new Error("too short"); }', 'Error: too short'],
  ['no data', 'function decodeUplink() { return {}; }', 'it returned no object "data"'],
  ['nothing', 'function decodeUplink() {}', 'it returned nothing'],
  ['too much', 'function decodeUplink() { return { data: { a: "x".repeat(70000) } }; }', 'more than 65536 characters'],
])('codecs - a codec that returns %s is a refusal of the frame that says so', (_, text, why) => {
  const [[reason, path, detail]] = refusedBy(text) as [[string, string, string]];
  expect([reason, path]).toEqual(['not-decoded', '$.data']);
  expect(detail).toContain('vendor.js: ');
  expect(detail).toContain(why);
});

describe('codecs - a hostile codec harms nobody', () => {
  const ends = (body: string) => `function decodeUplink() { ${body} return { data: {} }; }`;
  const sound = returning('7');

  test.each([
    ['an endless loop', 'for (;;) {}', 'interrupted'],
    ['an endless loop that catches', 'for (;;) { try { for (;;) {} } catch (e) {} }', 'interrupted'],
    ['a catastrophic pattern', `/^(a+)+$/.test('${'a'.repeat(60)}b');`, 'interrupted'],
    ['endless recursion', 'function f() { return f() + 1; } f();', 'stack overflow'],
    ['one huge text', '"x".repeat(1e9);', 'out of memory'],
    ['huge memory', 'var s = "x".repeat(1e6); var a = []; for (;;) a.push(s + a.length);', 'out of memory'],
    ['memory in many parts', 'var a = []; for (;;) a.push("x".repeat(1000) + a.length);', 'out of memory'],
  ])('%s ends, and the next frames are decoded', (_, body, why) => {
    expect(refusedBy(ends(body))[0]![2]).toContain(why);
    expect(valueBy(sound)).toBe(7);
  });

  test('what never comes back is ended from outside, once: the next frame of that device is refused unread', () => {
    const busy = ends('var s = "a".repeat(2e6) + "b"; for (;;) s.indexOf("ab!");');
    const [[reason, path, detail]] = refusedBy(busy) as [[string, string, string]];
    expect([reason, path]).toEqual(['codec-too-slow', '$.data']);
    expect(detail).toContain('took more than 2000 ms');
    expect(refusedBy(busy)[0]![2]).toContain('frames of this device took too long');
    expect(valueBy(sound)).toBe(7);
  });

  test('one that stays within the bound of each frame is held back by what they take together', () => {
    const slow = ends('var s = "a".repeat(1e5); for (var i = 0; i < 700; i++) s.indexOf("ab" + i);');
    const decode = (text: string, device: string, nowMs = NOW) =>
      codecsOfProfile(
        cityOf('vendor.js', { 'vendor.js': text }).city!.profiles.get('coded')!,
        new Map([['vendor.js', text]]),
      )!(device, nowMs)!.decode({ bytes: new Uint8Array(3), port: 1, receivedAtMs: NOW });
    let coded = decode(slow, 'd-0');
    while (!('fault' in coded)) coded = decode(slow, 'd-0');
    expect(coded).toMatchObject({ fault: expect.stringContaining('frames of this device took'), isTooSlow: true });
    expect(decode(slow, 'd-1')).toEqual({ data: {} });
    expect(decode(slow, 'd-0', NOW + 3_600_000), 'by the time of the log').toEqual({ data: {} });
    expect(decode(`${slow}\n`, 'd-0'), 'its file has changed').toEqual({ data: {} });
    expect(valueBy(sound)).toBe(7);
  });
});

describe('codecs - the time that a codec may take', () => {
  const took = (budget: CodecBudget, device: string, ms: number, nowMs: number) => {
    const by = budget.usedUpBy(device, nowMs);
    if (by === null) budget.charge(device, ms, nowMs);
    return by;
  };

  test('frames as sound codecs take them are not counted, however many come at once', () => {
    const [short, long] = [new CodecBudget(''), new CodecBudget(' '.repeat(200 * 1_024))];
    for (let i = 0; i < 100_000; i++) {
      expect(took(short, 'a', 10, 0)).toBeNull();
      expect(took(long, 'a', 60, 0)).toBeNull();
    }
    for (let i = 0; i < 100; i++) took(short, 'a', 60, 0);
    expect(short.usedUpBy('a', 0)).toBe('device');
  });

  test('a device that has slow frames waits for 7 minutes after each, and never holds back the others', () => {
    const budget = new CodecBudget('');
    let frames = 0;
    for (let second = 0; second < 24 * 3_600; second++) {
      if (took(budget, 'slow', 2_000, second * 1_000) === null) frames++;
      expect(took(budget, 'sound', 1, second * 1_000)).toBeNull();
    }
    expect(frames).toBeGreaterThan(200);
    expect(frames).toBeLessThan(230);
  });

  test('where every device has slow frames, two are tried, and then one each 7 minutes', () => {
    const budget = new CodecBudget('');
    const tried: number[] = [];
    for (let second = 0; second < 3_600; second++)
      if (took(budget, `slow-${second}`, 2_000, second * 1_000) === null) tried.push(second);
    expect(tried.slice(0, 2)).toEqual([0, 1]);
    expect(tried.length).toBeLessThan(13);
    expect(budget.usedUpBy('sound', 3_600_000 + 500_000), 'it has recovered').toBeNull();
  });
});

test.each([
  ['vendr.js', { 'vendor.js': returning('1') }, 'profiles.yaml:', 'codecs/vendr.js: did you mean "vendor.js"?'],
  [
    'vendor.js',
    { 'vendor.js': 'function decodeUplink() {\n  return {;\n}' },
    'codecs/vendor.js:2:1',
    'Unexpected token',
  ],
  ['vendor.js', { 'vendor.js': 'function decode() {}' }, 'codecs/vendor.js:1:1', 'decodeUplink'],
  ['{ xyz: vendor.js }', { 'vendor.js': returning('1') }, 'profiles.yaml:', 'DevEUI in lower-case hex'],
])('codecs - a mistake stops the city with its place: codec %s', (codec, codecs, place, message) => {
  const problems = formatProblems(cityOf(codec, codecs).problems);
  expect(problems).toContain(place);
  expect(problems).toContain(message);
});
