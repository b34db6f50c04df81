import { expect, test } from 'vitest';
import { createObedience } from '../../../simulators/city/connection.ts';

test('simulated device - obeys a command once, acknowledges it each time, and reports what it is', () => {
  const obey = createObedience();
  const dim = { id: 'c-1-0', command: 'dim', parameters: { level: 40 } };
  const done = { leaf: 'results', body: { id: 'c-1-0', status: 'done' } };
  expect(obey(dim)).toEqual([done, { leaf: 'reported', body: { level: 40 } }]);
  expect(obey({ desired: { level: 60, mode: 'night' } })).toEqual([
    { leaf: 'reported', body: { level: 60, mode: 'night' } },
  ]);
  expect(obey(dim)).toEqual([done]);
  expect(obey({ id: 'c-2-0', command: 'restart', parameters: {} })).toEqual([
    { leaf: 'results', body: { id: 'c-2-0', status: 'done' } },
    { leaf: 'reported', body: { level: 60, mode: 'night', last: 'restart' } },
  ]);
});
