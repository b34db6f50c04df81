import { expect, test } from 'vitest';
import { formatOf } from '../../../ingest/index.ts';
import { json, NOW, receiver } from '../../kit/ingest/formats.ts';

const format = formatOf('d', 'devices/d/sensor-community').format!;
const station = receiver('sensor-community');
const push = (...values: unknown[]) =>
  json({ esp8266id: '16229845', software_version: 'NRZ-2024-135', sensordatavalues: values });
const value = (value_type: unknown, text: unknown) => ({ value_type, value: text });

test('sensor.community - a push of a station becomes readings: texts are numbers, pascals hectopascals', () => {
  const payload = push(
    value('SDS_P1', '12.30'),
    value('SDS_P2', '5.05'),
    value('BME280_temperature', '-3.40'),
    value('BME280_pressure', '98754.28'),
    value('BME280_humidity', '55.00'),
    value('samples', '5043719'),
    value('signal', '-62'),
  );
  expect(station(format, payload)).toEqual({
    values: [
      ['pm10', 12.3, NOW],
      ['pm25', 5.05, NOW],
      ['temperature', -3.4, NOW],
      ['pressure', 987.5428, NOW],
      ['humidity', 55, NOW],
    ],
    rejections: [],
  });
});

test.each([
  ['12', 12],
  [' 12.5 ', 12.5],
  ['+.5', 0.5],
  ['5.', 5],
  ['1e2', 100],
  [7, 7],
])('sensor.community - %j is a number', (text, expected) => {
  expect(station(format, push(value('SDS_P1', text))).values).toEqual([['pm10', expected, NOW]]);
});

test.each(['', ' ', 'nan', 'NaN', 'Infinity', '0x10', '1,5', '1 2', '12µg', '1e', null, true, {}, [], '9'.repeat(400)])(
  'sensor.community - %j is no number and is refused at its place',
  (text) => {
    const { values, rejections } = station(format, push(value('SDS_P1', text), value('SDS_P2', '5')));
    expect(values).toEqual([['pm25', 5, NOW]]);
    expect(rejections).toMatchObject([{ reason: 'not-a-number', path: '$.sensordatavalues[0].value' }]);
  },
);

test('sensor.community - a value without a type, or with a repeated one, does not stop the others', () => {
  const payload = push(
    value('SDS_P1', '1'),
    value('SDS_P1', '2'),
    { value: '3' },
    null,
    value(5, '5'),
    value('SDS_P2', '4'),
  );
  const { values, rejections } = station(format, payload);
  expect(values).toEqual([
    ['pm10', 1, NOW],
    ['pm25', 4, NOW],
  ]);
  expect(rejections.map(({ reason, path }) => [reason, path])).toEqual([
    ['ambiguous', '$.sensordatavalues[1]'],
    ['wrong-shape', '$.sensordatavalues[2]'],
    ['wrong-shape', '$.sensordatavalues[3]'],
    ['wrong-shape', '$.sensordatavalues[4]'],
  ]);
});

test.each<[string, Buffer, string, string]>([
  ['no JSON', Buffer.from('a=1'), 'malformed', '$'],
  ['an array', json([]), 'wrong-shape', '$.sensordatavalues'],
  ['no values', json({ esp8266id: '1' }), 'wrong-shape', '$.sensordatavalues'],
  ['an empty list', push(), 'wrong-shape', '$.sensordatavalues'],
  ['values that have no type', push({ value: '1' }, { value: '2' }), 'wrong-shape', '$.sensordatavalues[0]'],
])('sensor.community - %s is refused as a whole', (_, payload, reason, path) => {
  expect(format.decode(payload, NOW)).toMatchObject({ reason, path });
});

test('sensor.community - in other formats a text is no number', () => {
  const native = formatOf('d', 'devices/d/readings').format!;
  const { values, rejections } = station(native, json({ metrics: { pm10: '12.3' } }));
  expect(values).toEqual([]);
  expect(rejections).toMatchObject([{ reason: 'not-a-number', path: '$.metrics.pm10' }]);
});
