import { expect, test } from 'vitest';
import { bodyOfPart, createTextReader, formatOf, importParts, liveOf } from '../../../ingest/index.ts';
import { codeOfText } from '../../../ingest/texts.ts';
import { json, NOW, receiver } from '../../kit/ingest/formats.ts';
import { cityControl, intakeBench, native as message } from '../../kit/ingest/intake.ts';

const native = formatOf('d', 'devices/d/readings').format!;
const senml = formatOf('d', 'devices/d/senml').format!;
const chirpstack = formatOf('ns', 'application/a/device/d/event/up').format!;

const title = { en: 'A', zh: '甲' };
const control = cityControl({
  files: {
    'metrics.yaml': { a: { title, kind: 'text' }, b: { title, unit: 'ug/m3', min: 0, max: 1000 } },
    'profiles.yaml': { bin: { title, metrics: ['a', 'b'], interval: '1m' } },
  },
});
const bin = receiver('bin', { control });

test.each([
  ['JSON', native, json({ metrics: { a: 'v1.10', b: 4 } })],
  [
    'SenML',
    senml,
    json([
      { n: 'a', vs: 'v1.10' },
      { n: 'b', u: 'ug/m3', v: 4 },
    ]),
  ],
  ['a network server', chirpstack, json({ deviceInfo: { devEui: '01' }, object: { a: 'v1.10', b: 4 } })],
])('texts - a text of %s is stored as its number', (_, format, payload) => {
  const { values, rejections } = bin(format, payload);
  expect(rejections).toEqual([]);
  expect(values).toEqual(expect.arrayContaining([['a', codeOfText('v1.10'), NOW]]));
  expect(values).toHaveLength(2);
});

test.each([
  [1.1, 'wrong-shape', '1.1 found; a is a text'],
  [true, 'wrong-shape', 'true found; a is a text'],
  [null, 'wrong-shape', 'null found; a is a text'],
  ['x'.repeat(257), 'out-of-range', '257 characters found; a is a text of at most 256'],
])('texts - %j is refused, and the value beside it is kept', (given, reason, detail) => {
  const found = bin(native, json({ metrics: { a: given, b: 4 } }));
  expect(found.values).toEqual([['b', 4, NOW]]);
  expect(found.rejections).toEqual([{ reason, path: '$.metrics.a', detail }]);
});

test('texts - their numbers have at most fifteen digits, and are the same everywhere', () => {
  const codes = ['', 'a', 'v1.10', '阀门 🚰'].map(codeOfText);
  for (const code of codes) expect(Number(code.toPrecision(15))).toBe(code);
  expect(codes).toEqual([...new Set(codes)]);
  expect(codeOfText('v1.10')).toBe(664_944_660_982_545);
});

function bench() {
  const intake = intakeBench();
  intake.city(control, NOW);
  intake.devices([{ id: 'd', profile: 'bin', district: 'east' }], [], NOW);
  return intake;
}

const sent = (a: string, ts: number) => message('d', JSON.stringify({ ts, metrics: { a, b: 1 } }), NOW);

test('texts - the same text is a duplicate, another one replaces it; both are known by their numbers, also after a crash', () => {
  const intake = bench();
  const T = NOW - 1_000;
  intake.send([sent('one', T)]);
  expect(intake.send([sent('one', T)]).tallies).toMatchObject([{ stored: 0, duplicate: 2 }]);
  expect(intake.send([sent('two', T)]).tallies).toMatchObject([{ stored: 1, replaced: 1, duplicate: 1 }]);
  intake.persist();
  const lost = intake.send([sent('three', T + 1)]);
  const textOf = () => ['one', 'two', 'three'].map((text) => createTextReader(intake.db)(codeOfText(text)));
  expect(textOf()).toEqual(['one', 'two', null]);
  intake.restart();
  intake.again(lost.block.seq);
  intake.persist();
  expect(textOf()).toEqual(['one', 'two', 'three']);
});

test('texts - a live message has the text itself', () => {
  const intake = bench();
  const outcome = intake.send([sent('v1.10', NOW - 1_000)]);
  const [live] = liveOf([outcome], intake.metrics, (metric) => metric === 'a');
  expect(JSON.parse(String(live!.payload))).toMatchObject({ metrics: { a: 'v1.10', b: 1 } });
});

test('texts - an import takes them', () => {
  const intake = bench();
  const how = { device: 'd', precision: 'ms', firstLine: 1, rules: false, file: '', states: ['a'] } as const;
  const [part] = importParts(Buffer.from(`ts,a,b\n${NOW - 9_000},"v1, ""x""",2\n`), { ...how, format: 'csv' });
  const action = {
    ...{ id: 'i', actor: { kind: 'key', id: 'k', role: 'admin', department: null } as const },
    ...{ address: null, key: null, command: { do: 'readings.import' } },
  };
  const outcome = intake.import(bodyOfPart(part!, action), NOW);
  expect(intake.replaced(outcome)).toContainEqual(['d', 'a', NOW - 9_000, codeOfText('v1, "x"')]);
  expect(outcome.texts).toEqual(new Map([[codeOfText('v1, "x"'), 'v1, "x"']]));
});

test('texts - those that no reading has any more are forgotten', () => {
  const intake = bench();
  intake.send([sent('one', NOW - 1_000)]);
  intake.persist();
  intake.intake.forgetTexts(NOW);
  expect(createTextReader(intake.db)(codeOfText('one'))).toBe('one');
  intake.intake.forgetTexts(NOW + 3 * 86_400_000);
  expect(createTextReader(intake.db)(codeOfText('one'))).toBeNull();
});
