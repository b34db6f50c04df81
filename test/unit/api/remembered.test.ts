import { expect, test } from 'vitest';
import { remembered } from '../../../api/remembered.ts';

function openMemory(make: () => Promise<number>) {
  let now = 0;
  const ask = remembered(make, 1_000, { now: () => now });
  return {
    ask,
    at(ms: number) {
      now = ms;
      return ask();
    },
  };
}

test('remembered - makes a value once for all who ask in time, also those who ask while it is made', async () => {
  let made = 0;
  const { ask, at } = openMemory(async () => ++made);
  expect(await Promise.all([ask(), ask()])).toEqual([1, 1]);
  expect(await at(999)).toBe(1);
  expect(await at(1_000)).toBe(2);
});

test('remembered - forgets a failure at once, and nothing lasts longer when the clock is set back', async () => {
  let made = 0;
  const { ask, at } = openMemory(async () => {
    if (++made === 1) throw new Error('no disk');
    return made;
  });
  await expect(ask()).rejects.toThrow('no disk');
  expect(await at(500)).toBe(2);
  expect(await at(-1)).toBe(3);
});
