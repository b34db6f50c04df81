import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import type { CityControl } from '../../../domain/index.ts';
import { formatOf } from '../../../ingest/index.ts';
import { edited, textOf, withFile } from '../../kit/city-model/kit.ts';
import { json, NOW, receiver } from '../../kit/ingest/formats.ts';

const TITLE = 'title: { en: A, zh: 甲 }';

/** Returns the sample city with one profile and its fields, one per line. */
function profile(fields: readonly string[], metrics = 'temperature, pressure, pm25, open'): CityControl {
  const list = fields.map((line) => `    ${line}\n`).join('');
  const text = `a:\n  ${TITLE}\n  metrics: [${metrics}]\n  interval: 1m\n  fields:\n${list}`;
  const described = `${textOf('metrics.yaml')}open: { ${TITLE}, unit: "1", min: 0, max: 1 }\n`;
  const others = withFile('profiles.yaml', text).files.filter(({ path }) => path !== 'metrics.yaml');
  return { version: 'changed', files: [...others, { path: 'metrics.yaml', text: described }] };
}

const native = formatOf('d', 'devices/d/readings').format!;
const senml = formatOf('d', 'devices/d/senml').format!;
/** Returns the result of `{"metrics": …}` under a profile with these fields. */
const sent = (fields: readonly string[], metrics: object) =>
  receiver('a', { control: profile(fields) })(native, json({ metrics }));

test('fields - a field maps to the metric of the profile, converted from the unit that the device sends', () => {
  const fields = ['T: { metric: temperature, unit: K }', 'p: { metric: pressure, unit: Pa }', 'dust: { metric: pm25 }'];
  expect(sent(fields, { T: 294.65, p: 98754.28, dust: 12.5 })).toEqual({
    values: [
      ['temperature', 21.5, NOW],
      ['pressure', 987.5428, NOW],
      ['pm25', 12.5, NOW],
    ],
    rejections: [],
  });
});

test('fields - a field with the name of a metric needs no mapping, and one overrides it', () => {
  expect(sent(['x: ignore'], { temperature: 21 }).values).toEqual([['temperature', 21, NOW]]);
  const kelvin = ['temperature: { metric: temperature, unit: K }'];
  expect(sent(kelvin, { temperature: 294.65 }).values).toEqual([['temperature', 21.5, NOW]]);
  const swapped = ['temperature: { metric: pm25 }', 'pm25: { metric: temperature }'];
  expect(sent(swapped, { temperature: 5, pm25: 21 }).values).toEqual([
    ['pm25', 5, NOW],
    ['temperature', 21, NOW],
  ]);
});

test('fields - the range is that of the metric, after the conversion', () => {
  const fields = ['T: { metric: temperature, unit: "[degF]" }'];
  expect(sent(fields, { T: 140 }).values).toEqual([['temperature', 60, NOW]]);
  expect(sent(fields, { T: 140.2 }).rejections).toEqual([
    {
      reason: 'out-of-range',
      path: '$.metrics.T',
      detail: '140.2 found, 60.111111111 Cel; temperature lies within -50 to 60 Cel',
    },
  ]);
});

test('fields - an ignored field is neither stored nor refused, also beside a wrong time', () => {
  expect(sent(['status: ignore'], { status: 'ok', temperature: 21 })).toEqual({
    values: [['temperature', 21, NOW]],
    rejections: [],
  });
  const late = receiver('a', { control: profile(['status: ignore']) })(
    native,
    json({ ts: 0, metrics: { status: 1, pm25: 1 } }),
  );
  expect(late.rejections).toMatchObject([
    { reason: 'too-old', path: '$.ts', detail: expect.stringMatching(/^pm25: /) },
  ]);
});

test('fields - only "*" ignores what the profile does not know', () => {
  expect(sent(['x: ignore'], { y: 1, pm25: 5 }).rejections).toMatchObject([{ reason: 'unknown-metric' }]);
  expect(sent(['"*": ignore'], { y: 1, __proto__x: 2, pm25: 5 })).toEqual({
    values: [['pm25', 5, NOW]],
    rejections: [],
  });
});

test('fields - two fields of one metric in one reading: the first is kept, the second refused', () => {
  const fields = ['BME: { metric: temperature }', 'DHT: { metric: temperature }'];
  const { values, rejections } = sent(fields, { BME: 21, DHT: 22, temperature: 23 });
  expect(values).toEqual([['temperature', 21, NOW]]);
  expect(rejections.map(({ reason, path }) => [reason, path])).toEqual([
    ['ambiguous', '$.metrics.DHT'],
    ['ambiguous', '$.metrics.temperature'],
  ]);
  // The second value is kept where the first is out of range.
  expect(sent(fields, { BME: 999, DHT: 22 }).values).toEqual([['temperature', 22, NOW]]);
  expect(sent(fields, { temperature: 23 }).values).toEqual([['temperature', 23, NOW]]);
});

test('fields - readings of one message do not affect each other', () => {
  const two = receiver('a', { control: profile(['BME: { metric: temperature }']) });
  const items = [{ metrics: { BME: 21 } }, { metrics: { temperature: 22 } }];
  expect(two(native, json(items)).values.map(([, value]) => value)).toEqual([21, 22]);
});

test('fields - true and false are 1 and 0 where the profile maps them to a pure number, and nowhere else', () => {
  const fields = ['door: { metric: open }', 'dust: { metric: pm25 }'];
  expect(sent(fields, { door: true }).values).toEqual([['open', 1, NOW]]);
  expect(sent(fields, { door: false }).values).toEqual([['open', 0, NOW]]);
  expect(sent(fields, { door: 1 }).values).toEqual([['open', 1, NOW]]);
  expect(sent(['x: ignore'], { open: true }).rejections).toMatchObject([{ reason: 'not-a-number' }]);
  expect(sent(fields, { dust: true }).rejections).toMatchObject([{ reason: 'not-a-number' }]);
});

test('fields - a unit in the message takes precedence over the profile', () => {
  const fields = ['p: { metric: pressure, unit: Pa }'];
  const read = (record: object) => receiver('a', { control: profile(fields) })(senml, json([record]));
  expect(read({ n: 'p', v: 98754.28 }).values).toEqual([['pressure', 987.5428, NOW]]);
  expect(read({ n: 'p', u: 'hPa', v: 987.5 }).values).toEqual([['pressure', 987.5, NOW]]);
  expect(read({ n: 'p', u: 'Cel', v: 20 }).rejections).toMatchObject([{ reason: 'wrong-unit', path: '$[0].v' }]);
});

test('fields - a SenML name is mapped by the shortest ending that is unique', () => {
  const fields = ['in/temp: ignore', 'out/temp: { metric: temperature }', 'power.sum: { metric: open, unit: "1" }'];
  const pack = [
    { bn: 'urn:dev:ow:10e2:', n: 'in/temp', u: 'Cel', v: 21 },
    { n: 'out/temp', u: 'Cel', v: 5 },
    { n: 'power', s: 1 },
  ];
  expect(receiver('a', { control: profile(fields) })(senml, json(pack))).toEqual({
    values: [
      ['temperature', 5, NOW],
      ['open', 1, NOW],
    ],
    rejections: [],
  });
});

test('fields - two names of one time that are mapped to one metric: the second is refused', () => {
  const fields = ['BME/temp: { metric: temperature }', 'DHT/temp: { metric: temperature }'];
  const { values, rejections } = receiver('a', { control: profile(fields) })(
    senml,
    json([
      { n: 'BME/temp', v: 21 },
      { n: 'DHT/temp', v: 22 },
    ]),
  );
  expect(values).toEqual([['temperature', 21, NOW]]);
  expect(rejections).toMatchObject([{ reason: 'ambiguous', path: '$[1].v' }]);
});

test('fields - names of object methods are ordinary field names', () => {
  const fields = [
    'constructor: { metric: pressure }',
    'toString: { metric: pm25 }',
    'hasOwnProperty: { metric: open }',
  ];
  const text = '{"metrics": {"__proto__": 1, "constructor": 500, "toString": 1, "hasOwnProperty": 1, "valueOf": 1}}';
  const { values, rejections } = receiver('a', { control: profile(fields) })(native, Buffer.from(text));
  expect(values.map(([metric]) => metric)).toEqual(['pressure', 'pm25', 'open']);
  expect(rejections).toMatchObject([
    { reason: 'unknown-metric', path: '$.metrics.__proto__' },
    { reason: 'unknown-metric', path: '$.metrics.valueOf' },
  ]);
});

test.each<[string, string, string]>([
  [
    'an unknown metric',
    'T: { metric: temperatur }',
    '6:10 the profile does not measure "temperatur": did you mean "temperature"?',
  ],
  [
    'a metric of another profile',
    'T: { metric: laeq }',
    '6:10 the profile does not measure "laeq"; known: temperature, pressure, pm25, open',
  ],
  [
    'an unknown unit',
    'T: { metric: temperature, unit: Cell }',
    '6:31 no conversion from "Cell" to Cel is known: did you mean "Cel"?',
  ],
  [
    'a unit of another quantity',
    'T: { metric: temperature, unit: Pa }',
    '6:31 "Pa" measures pressure, Cel measures temperature',
  ],
  ['a text instead of a map', 'T: temperature', '6:5 a.fields.T: write { metric: …, unit: … }, or ignore'],
  ['an unknown key', 'T: { metric: pm25, units: Pa }', '6:24 a.fields.T.units: unknown key: did you mean "unit"?'],
  ['no metric', 'T: { unit: Pa }', '6:5 a.fields.T.metric: is missing'],
  [
    'a metric for every other field',
    '"*": { metric: pm25 }',
    '6:5 "*" stands for every other field; it can only be ignored',
  ],
])('fields - %s is reported at its place', (_, line, expected) => {
  const { city, problems } = parseCity(profile([line]));
  expect(city).toBeNull();
  expect(formatProblems(problems)).toBe(`profiles.yaml:${expected}`);
});

test('fields - their mistakes are reported beside others', () => {
  const { problems } = parseCity(profile(['T: { metric: x }', 'p: 5'], 'temperature, pm26'));
  expect(problems.map(({ line }) => line).sort()).toEqual([3, 6, 7]);
});

test('fields - a metric in a unit that is not in the table takes that unit', () => {
  const control = profile(['T: { metric: odd, unit: furlong }'], 'odd');
  const metrics = control.files.find(({ path }) => path === 'metrics.yaml')!.text;
  const text = `${metrics}odd: { ${TITLE}, unit: furlong, min: 0, max: 9 }\n`;
  const files = [...control.files.filter(({ path }) => path !== 'metrics.yaml'), { path: 'metrics.yaml', text }];
  expect(receiver('a', { control: { version: 'changed', files } })(native, json({ metrics: { T: 3 } })).values).toEqual(
    [['odd', 3, NOW]],
  );
});

test('presence - true and false are 1 and 0, and nothing else is', () => {
  const control = edited('metrics.yaml', 'unit: m, min: -5, max: 20', 'unit: "1", kind: presence, min: 0, max: 1');
  const gauge = receiver('water-level', { control });
  const found = [true, false, 1, 0, 0.5, 'open'].map((level) =>
    gauge(formatOf('d', 'devices/d/readings').format!, json({ metrics: { level } })),
  );
  expect(found.map(({ values }) => values[0]?.[1])).toEqual([1, 0, 1, 0, undefined, undefined]);
  expect(found.flatMap(({ rejections }) => rejections.map(({ reason }) => reason))).toEqual([
    'out-of-range',
    'not-a-number',
  ]);
});
