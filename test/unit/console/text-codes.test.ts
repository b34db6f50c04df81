import { expect, test } from 'vitest';
import { withPlaces } from '../../../console/src/parts/textCodes.ts';

const series = (device: string, metric: string, points: [number, number | null][], values?: [number, string][]) => ({
  ...{ device, metric, unit: '1', points },
  ...(values === undefined ? {} : { values: values.map(([code, name]) => ({ code, name })) }),
});
const [ONE, TWO] = [664_944_660_982_545, 123_456_789_012_345];

test('charts - texts have places in the order in which they come, the same in every series of the metric', () => {
  const [a, b] = withPlaces([
    series(
      'a',
      'firmware',
      [
        [1, TWO],
        [2, null],
        [3, ONE],
      ],
      [
        [TWO, 'v2'],
        [ONE, 'v1'],
      ],
    ),
    series('b', 'firmware', [[1, ONE]], [[ONE, 'v1']]),
  ]);
  const values = [
    { code: 0, name: 'v2' },
    { code: 1, name: 'v1' },
  ];
  expect(a).toMatchObject({
    points: [
      [1, 0],
      [2, null],
      [3, 1],
    ],
    values,
  });
  expect(b).toMatchObject({ points: [[1, 1]], values });
});

test('charts - numbers and states stay as they are', () => {
  const all = [series('a', 'pm25', [[1, 5e9]]), series('a', 'valve', [[1, 9]], [[9, 'fault']])];
  expect(withPlaces(all)).toEqual(all);
});
