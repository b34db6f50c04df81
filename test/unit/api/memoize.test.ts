import { expect, test } from 'vitest';
import { memoize } from '../../../api/routes/public.ts';

function memoized(compute: () => Promise<number>) {
  let now = 0;
  const call = memoize(compute, 1_000, { now: () => now });
  return {
    call,
    at(ms: number) {
      now = ms;
      return call();
    },
  };
}

test('memoize - computes a value once for all callers in time, also for those who call while it is computed', async () => {
  let computed = 0;
  const { call, at } = memoized(async () => ++computed);
  expect(await Promise.all([call(), call()])).toEqual([1, 1]);
  expect(await at(999)).toBe(1);
  expect(await at(1_000)).toBe(2);
});

test('memoize - does not cache a failure, and nothing lasts longer when the clock is set back', async () => {
  let computed = 0;
  const { call, at } = memoized(async () => {
    if (++computed === 1) throw new Error('no disk');
    return computed;
  });
  await expect(call()).rejects.toThrow('no disk');
  expect(await at(500)).toBe(2);
  expect(await at(-1)).toBe(3);
});
