import { expect, test } from 'vitest';
import { Histogram } from '../../../domain/index.ts';

test('histogram - a value is in the bucket of the first bound that it does not pass, and in the sum', () => {
  const histogram = new Histogram([1, 10, 100]);
  histogram.countSince(Float64Array.of(999, 998, 990, 899, 500, 1_005, 0), 6, 1_000);
  histogram.countSince(Float64Array.of(0), 1, 7);
  expect(histogram.counts()).toEqual({
    upTo: [
      [1, 2],
      [10, 5],
      [100, 5],
    ],
    count: 7,
    sum: 1 + 2 + 10 + 101 + 500 + 7,
  });
});
