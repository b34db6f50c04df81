import { expect, test } from 'vitest';
import { createAfterLoad, createLoadWatch } from '../../../app/threads/memory.ts';

test('memory - heaps may grow under a load that lasts, not for one busy moment', () => {
  const isLoaded = createLoadWatch(1);
  const cores = [1.4, 1.2, 0.1, 1.7, 1, 2, 1.1, 0.9, 1, 1, 0.99];
  const looks = cores.map(isLoaded);
  expect(looks.flatMap((isBusy, at) => (isBusy ? at : []))).toEqual([5, 6]);
});

test('memory - what a load needed is collected once the thread is quiet, where it is worth it, and only then', () => {
  const MIB = 1024 * 1024;
  let size = 40 * MIB;
  const collected: number[] = [];
  const collect = () => {
    collected.push(size / MIB);
    size = 45 * MIB;
  };
  const look = createAfterLoad({ sizeOf: () => size, collect });
  const looks = (...shares: number[]) => shares.forEach(look);
  looks(0, 0, 0, 0);
  size = 200 * MIB;
  looks(0.9, 0.02, 0.01, 0.3, 0.01, 0.01);
  expect(collected).toEqual([]);
  looks(0.01);
  expect(collected).toEqual([200]);
  size = 60 * MIB;
  looks(0, 0, 0, 0);
  expect(collected).toEqual([200]);
  size = 61 * MIB;
  looks(0);
  expect(collected).toEqual([200, 61]);
});
