import { expect, test } from 'vitest';
import { createLoadWatch } from '../../../app/threads/memory.ts';

test('memory - heaps may grow under a load that lasts, not for one busy moment', () => {
  const isLoaded = createLoadWatch();
  const cores = [0.9, 0.1, 1.7, 0.6, 2, 0.4, 0.5, 0.49];
  expect(cores.map(isLoaded)).toEqual([false, false, false, true, true, false, false, false]);
});
