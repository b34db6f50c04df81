import { expect, test } from 'vitest';
import { bodyOfPart, formatOf, importParts } from '../../../ingest/index.ts';
import { edited } from '../../kit/city-model/kit.ts';
import { json, NOW, receiver } from '../../kit/ingest/formats.ts';
import { cityControl, intakeBench } from '../../kit/ingest/intake.ts';

const native = formatOf('d', 'devices/d/readings').format!;
const senml = formatOf('d', 'devices/d/senml').format!;
const chirpstack = formatOf('ns', 'application/a/device/d/event/up').format!;

const NO2 = 'zh: 二氧化氮 }, unit: ug/m3, min: 0, max: 1000 }';
const withState = (more = '') =>
  edited('metrics.yaml', NO2, `zh: 二氧化氮 }, kind: state, values: { 0: closed, 1: open, 9: fault }${more} }`);
const air = receiver('air-quality', { control: withState() });

test.each([
  ['a name', native, json({ metrics: { no2: 'open', pm25: 4 } }), 1],
  ['a code', native, json({ metrics: { no2: 9, pm25: 4 } }), 9],
  [
    'a text of SenML',
    senml,
    json([
      { n: 'no2', vs: 'fault' },
      { n: 'pm25', u: 'ug/m3', v: 4 },
    ]),
    9,
  ],
  [
    'a code as a text, where numbers may be texts',
    chirpstack,
    json({ deviceInfo: { devEui: '01' }, object: { no2: '1', pm25: 4 } }),
    1,
  ],
])('states - %s is stored as the code of its value', (_, format, payload, code) => {
  const { values, rejections } = air(format, payload);
  expect(rejections).toEqual([]);
  expect(values).toEqual(expect.arrayContaining([['no2', code, NOW]]));
  expect(values).toHaveLength(2);
});

test.each([
  ['opn', '"opn" found; no2 is one of closed (0), open (1), fault (9): did you mean "open"?'],
  [2, '2 found; no2 is one of closed (0), open (1), fault (9)'],
  [true, 'true found; no2 is one of closed (0), open (1), fault (9)'],
  ['1', '"1" found; no2 is one of closed (0), open (1), fault (9)'],
  [null, 'null found; no2 is one of closed (0), open (1), fault (9)'],
])('states - %j is refused with the values, and the value beside it is kept', (given, detail) => {
  const found = air(native, json({ metrics: { no2: given, pm25: 4 } }));
  expect(found.values).toEqual([['pm25', 4, NOW]]);
  expect(found.rejections).toEqual([{ reason: 'unknown-value', path: '$.metrics.no2', detail }]);
});

test('states - a code by which the sensor says that it cannot measure is a fault code', () => {
  const coded = receiver('air-quality', { control: withState(', invalid: [{ value: 255, reason: no contact }]') });
  const [rejection] = coded(native, json({ metrics: { no2: 255, pm25: 4 } })).rejections;
  expect(rejection).toMatchObject({ reason: 'fault-code', detail: expect.stringContaining('no contact') });
});

const T0 = Date.UTC(2025, 0, 1);
const title = { en: 'A', zh: '甲' };
const control = cityControl({
  files: {
    'metrics.yaml': {
      a: { title, kind: 'state', values: ['open', 'closed'] },
      b: { title, unit: 'u', min: -50, max: 50 },
    },
    'profiles.yaml': { bin: { title, metrics: ['a', 'b'], interval: '1m' } },
  },
});
const ACTION = { id: 'i', actor: { kind: 'key', id: 'k', role: 'admin', department: null } as const } as const;
const action = { ...ACTION, address: null, key: null, command: { do: 'readings.import' } };
const HOW = { device: 'd1', precision: 'ms', firstLine: 1, rules: false, states: ['a'] } as const;

test.each([
  ['csv', `ts,a,b\n${T0},closed,1\n${T0 + 1},0,2\n${T0 + 2},shut,3\n${T0 + 3},7,word\n`],
  [
    'lines',
    [`m a="closed",b=1 ${T0}`, `m a=0,b=2 ${T0 + 1}`, `m a="shut",b=3 ${T0 + 2}`, `m a=7,b="word" ${T0 + 3}`].join(
      '\n',
    ),
  ],
] as const)('states - an import by %s takes names and codes, and refuses others with the values', (format, text) => {
  const bench = intakeBench();
  bench.city(control, NOW);
  bench.devices([{ id: 'd1', profile: 'bin', district: 'east' }]);
  const [part] = importParts(Buffer.from(text), { ...HOW, format });
  const outcome = bench.import(bodyOfPart(part!, action), NOW);
  const rows = bench.replaced(outcome).map(([, metric, ts, value]) => [metric, ts - T0, value]);
  expect(rows).toEqual([
    ['a', 0, 1],
    ['b', 0, 1],
    ['a', 1, 0],
    ['b', 1, 2],
    ['b', 2, 3],
  ]);
  expect(outcome.imported!.report.faults).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        reason: 'unknown-value',
        count: 2,
        detail: '"shut" found; a is one of open (0), closed (1)',
      }),
      expect.objectContaining({ reason: 'not-a-number' }),
    ]),
  );
});
