import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import { formatOf } from '../../../ingest/index.ts';
import { edited, type sample } from '../../kit/city-model/kit.ts';
import { json, NOW, receiver } from '../../kit/ingest/formats.ts';

const native = formatOf('d', 'devices/d/readings').format!;
const sensorCommunity = formatOf('d', 'devices/d/sensor-community').format!;

test('fault codes - an SDS011 that says it is out of range is refused, and the rest of its push is kept', () => {
  const values = [
    { value_type: 'SDS_P1', value: '1999.90' },
    { value_type: 'SDS_P2', value: '999.90' },
    { value_type: 'BME280_temperature', value: '3.5' },
  ];
  const found = receiver('sensor-community')(sensorCommunity, json({ esp8266id: '1', sensordatavalues: values }));
  expect(found.values).toEqual([['temperature', 3.5, NOW]]);
  expect(found.rejections).toMatchObject([
    {
      reason: 'fault-code',
      path: '$.sensordatavalues[0].value',
      detail: expect.stringMatching(/^"?1999\.90?"? is a fault code of pm10: .*the sensor could not measure$/),
    },
    { reason: 'fault-code', path: '$.sensordatavalues[1].value' },
  ]);
});

const TEMPERATURE = 'unit: Cel, min: -50, max: 60 }';
const withCodes = (codes: string) => edited('metrics.yaml', TEMPERATURE, TEMPERATURE.replace(' }', `, ${codes} }`));

test.each([
  ['a value', 'invalid: [60]', 60, 59.9],
  ['a value beyond min and max', 'invalid: [-127]', -127, -50],
  ['a value with a reason', 'invalid: [{ value: 40, reason: power-on }]', 40, 40.1],
  ['a range', 'invalid: [{ from: 50, to: 60, reason: shorted }]', 55.5, 49.9],
])('fault codes - %s is refused as such, and the value beside it is stored', (_, codes, fault, good) => {
  const air = receiver('air-quality', { control: withCodes(codes) });
  expect(air(native, json({ metrics: { temperature: good, pm25: 4 } })).values).toEqual([
    ['temperature', good, NOW],
    ['pm25', 4, NOW],
  ]);
  const found = air(native, json({ metrics: { temperature: fault, pm25: 4 } }));
  expect(found.values).toEqual([['pm25', 4, NOW]]);
  expect(found.rejections).toMatchObject([{ reason: 'fault-code', path: '$.metrics.temperature' }]);
});

test('fault codes - those of a metric are in its unit, those of a profile are as its devices send them', () => {
  const mapped = (more: string) =>
    edited('profiles.yaml', '  interval: 20m\n', `  interval: 20m\n${more}`).files.map(({ path, text }) => ({
      path,
      text: text.replace('    air.pressure:', '    p:'),
    }));
  const ofMetric = edited('metrics.yaml', 'unit: hPa, min: 300', 'unit: hPa, invalid: [1013], min: 300');
  const reasonsOf = (control: typeof sample, value: number) =>
    receiver('lorawan-climate', { control })(native, json({ metrics: { p: value } })).rejections.map(
      ({ reason }) => reason,
    );
  const files = mapped('').map((one) =>
    one.path === 'metrics.yaml' ? ofMetric.files.find(({ path }) => path === 'metrics.yaml')! : one,
  );
  expect(reasonsOf({ version: 'x', files }, 101.3)).toEqual(['fault-code']);
  const sent = { version: 'y', files: mapped('  invalid: { pressure: [65.535] }\n') };
  expect(reasonsOf(sent, 65.535)).toEqual(['fault-code']);
  expect(reasonsOf(sent, 65.5)).toEqual([]);
});

test.each([
  ['metrics.yaml', TEMPERATURE, 'unit: Cel, min: -50, max: 60, invalid: ["a"] }', 'a fault code is a number, { value'],
  ['metrics.yaml', TEMPERATURE, 'unit: Cel, min: -50, max: 60, invalid: [{ from: 3, to: 2 }] }', 'from must be at or'],
  ['profiles.yaml', '  metrics: [laeq', '  invalid: { laec: [1] }\n  metrics: [laeq', 'did you mean "laeq"?'],
])('fault codes - a mistake in %s is reported', (path, piece, replacement, message) => {
  expect(formatProblems(parseCity(edited(path, piece, replacement)).problems)).toContain(message);
});
