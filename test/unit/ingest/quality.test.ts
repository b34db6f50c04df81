import { expect, test } from 'vitest';
import { parseCity } from '../../../city-model/index.ts';
import { bodyOfPart, compileFormats, formatOf, importParts } from '../../../ingest/index.ts';
import { edited } from '../../kit/city-model/kit.ts';
import { json, NOW, receiver } from '../../kit/ingest/formats.ts';
import { cityControl, intakeBench, native as sentBy } from '../../kit/ingest/intake.ts';

const title = { en: 'A', zh: '甲' };
const control = cityControl({
  files: { 'profiles.yaml': { bin: { title, metrics: ['a', 'b'], interval: '1m', quality: true } } },
});

const ADMIN = { kind: 'key', id: 'k', role: 'admin', department: null } as const;
const ACTION = { id: 'i', actor: ADMIN, address: null, key: null, command: { do: 'readings.import' } };

function bench() {
  const made = intakeBench();
  made.city(control, NOW);
  made.devices([{ id: 'd', profile: 'bin', district: 'east' }], [], NOW);
  const send = (metrics: object, quality?: unknown) =>
    made.send([sentBy('d', { ts: NOW, metrics, ...(quality === undefined ? {} : { quality }) }, NOW)]);
  const sendAll = (readings: readonly object[]) =>
    made.send([
      sentBy(
        'd',
        readings.map((one) => ({ ts: NOW, ...one })),
        NOW,
      ),
    ]);
  return { ...made, send, sendAll };
}

test('quality - it is kept beside values that are not good, of a whole reading or of each value', () => {
  const whole = bench();
  const suspect = whole.send({ a: 1, b: 2 }, 'suspect');
  expect(whole.rows(suspect)).toEqual([
    ['d', 'a', NOW, 1],
    ['d', 'a.quality', NOW, 1],
    ['d', 'b', NOW, 2],
    ['d', 'b.quality', NOW, 1],
  ]);
  expect(suspect.tallies).toMatchObject([{ stored: 2 }]);
  const each = bench();
  expect(each.rows(each.send({ a: 1, b: 2 }, { b: 'corrected' }))).toEqual([
    ['d', 'a', NOW, 1],
    ['d', 'b', NOW, 2],
    ['d', 'b.quality', NOW, 2],
  ]);
  const none = bench();
  expect(none.rows(none.send({ a: 1 }))).toEqual([['d', 'a', NOW, 1]]);
});

test('quality - the same again is a duplicate, and another quality replaces it, also by good', () => {
  const { send, rows, replaced } = bench();
  send({ a: 1 }, 'suspect');
  const again = send({ a: 1 }, 'suspect');
  expect([again.tallies[0]!.duplicate, again.tallies[0]!.stored]).toEqual([1, 0]);
  const better = send({ a: 1 });
  expect(rows(better)).toEqual([]);
  expect(replaced(better)).toEqual([
    ['d', 'a', NOW, 1],
    ['d', 'a.quality', NOW, 0],
  ]);
  expect(replaced(send({ a: 3 }, { a: 'corrected' }))).toEqual([
    ['d', 'a', NOW, 3],
    ['d', 'a.quality', NOW, 2],
  ]);
});

test('quality - two readings of one message that differ in it only are two values', () => {
  const made = bench();
  const twice = made.sendAll([{ metrics: { a: 1 } }, { metrics: { a: 1 }, quality: 'suspect' }, { metrics: { a: 1 } }]);
  expect(twice.tallies).toMatchObject([{ stored: 3, replaced: 2, duplicate: 0 }]);
  expect(made.replaced(twice).map(([, metric, , value]) => [metric, value])).toEqual([
    ...[['a', 1] as const, ['a.quality', 1] as const],
    ...[['a', 1] as const, ['a.quality', 0] as const],
  ]);
});

test('quality - a value that is replayed alone keeps its own, not that of the value before it', () => {
  const { rows, replay } = bench();
  const payload = { ts: NOW, metrics: { a: 1, b: 2 }, quality: { a: 'suspect', b: 'corrected' } };
  const outcome = replay({
    items: [
      {
        ...{ position: 0, device: 'd', topic: 'devices/d/readings', receivedAt: NOW },
        payload: Buffer.from(JSON.stringify(payload)).toString('base64'),
        entries: [{ ordinal: 0, scope: 'reading', reading: '$ b', path: '$.metrics.b' }],
      },
    ],
  });
  expect(rows(outcome)).toEqual([
    ['d', 'b', NOW, 2],
    ['d', 'b.quality', NOW, 2],
  ]);
});

test('quality - a value that only the database refused keeps what was stored of it', () => {
  const { replaced, replay } = bench();
  const payload = { ts: NOW, metrics: { a: 1 } };
  const outcome = replay({
    items: [
      {
        ...{ position: -5, device: 'd', topic: 'devices/d/readings', receivedAt: NOW },
        payload: Buffer.from(JSON.stringify(payload)).toString('base64'),
        entries: [{ ordinal: 0, scope: 'reading', reading: '$ a', path: '$.metrics.a' }],
      },
    ],
  });
  expect(replaced(outcome)).toEqual([['d', 'a', NOW, 1]]);
});

test('quality - an imported value is good, whatever was stored before; one that is corrected anew keeps its quality', () => {
  const { replaced, import: bring } = bench();
  const how = { format: 'csv', device: null, precision: null, firstLine: 1, rules: false } as const;
  const imported = (measured: boolean) => {
    const bytes = Buffer.from(`device,ts,a\nd,${NOW - 1},1\n`);
    const [part] = importParts(bytes, { ...how, ...(measured ? { measured } : {}) });
    return replaced(bring(bodyOfPart(part!, ACTION), NOW)).map(([, metric, , value]) => [metric, value]);
  };
  expect(imported(false)).toEqual([
    ['a', 1],
    ['a.quality', 0],
  ]);
  expect(imported(true)).toEqual([['a', 1]]);
});

test('quality - one that is neither good, suspect nor corrected is refused with its value, and the rest is kept', () => {
  const { send, rows } = bench();
  const outcome = send({ a: 1, b: 2 }, { a: 'bad' });
  expect(rows(outcome)).toEqual([['d', 'b', NOW, 2]]);
  expect(outcome.refusals).toMatchObject([
    {
      reason: 'bad-quality',
      path: '$.metrics.a',
      detail: '"bad" is the quality; good, suspect and corrected are stored',
    },
  ]);
});

test('quality - a profile without it refuses the reading, as it did before', () => {
  const native = formatOf('d', 'devices/d/readings').format!;
  const found = receiver('air-quality')(native, json({ metrics: { pm25: 4 }, quality: 'good' }));
  expect(found.values).toEqual([]);
  expect(found.rejections).toMatchObject([{ reason: 'wrong-shape', path: '$.quality' }]);
});

test('quality - a declared format says where it is, and what its codes mean', () => {
  const profile = edited(
    'profiles.yaml',
    '  metrics: [pm25, pm10, no2, temperature, humidity]\n',
    '  metrics: [pm25, pm10, no2, temperature, humidity]\n  quality: true\n',
  );
  const formats = profile.files.find(({ path }) => path === 'formats.yaml')!;
  const things = `
graded:
  topic: "graded/{device}"
  values:
    pm25: { at: result, quality_at: resultQuality, qualities: { "0": good, "1": suspect, checked: corrected } }
    pm10: { at: other, quality_at: otherQuality }
`;
  const graded = {
    ...profile,
    files: profile.files.map((file) => (file === formats ? { ...file, text: file.text + things } : file)),
  };
  const { city, problems } = parseCity(graded);
  expect(problems).toEqual([]);
  const { format } = compileFormats(city!).match('graded/d')!;
  const checked = receiver('air-quality', { control: graded });
  const quality = (message: object) => {
    const decoded = format.decode(json(message), NOW);
    return 'reason' in decoded ? decoded : decoded.readings[0]!.quality;
  };
  expect(quality({ result: 4, resultQuality: 1 })).toEqual({ pm25: 'suspect' });
  expect(quality({ result: 4, resultQuality: 'checked', other: 5, otherQuality: 'suspect' })).toEqual({
    pm25: 'corrected',
    pm10: 'suspect',
  });
  expect(quality({ result: 4 })).toBeUndefined();
  const found = checked(format, json({ result: 4, resultQuality: 7, other: 5 }));
  expect(found.values).toEqual([['pm10', 5, NOW]]);
  expect(found.rejections).toMatchObject([
    { reason: 'bad-quality', detail: expect.stringMatching(/^7 is the quality/) },
  ]);
});
