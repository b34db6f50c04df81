import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { OversightLine } from '../../../console/src/api/schema.ts';
import { pairsOf, weekAfter } from '../../../console/src/pages/oversight/pairs.ts';
import { createWeeks } from '../../../tickets/oversight.ts';

const WEEK_MS = 7 * 86_400_000;

test('oversight - the week after so many weeks is the one that the server names', () => {
  const weekOf = createWeeks('UTC');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: -60, max: 60 }), (ms, weeks) => {
      expect(weekAfter(weekOf(ms), weeks)).toBe(weekOf(ms + weeks * WEEK_MS));
    }),
  );
});

test('oversight - a week stands beside the week at the same place of the period before', () => {
  const line = (week: string, opened: number, district = 'east') => ({ week, district, opened }) as OversightLine;
  const lines = [line('2027-W01', 5), line('2026-W53', 4), line('2026-W53', 3, 'west')];
  const before = [line('2026-W49', 2), line('2026-W48', 1), line('2026-W49', 9, 'west')];
  const pairs = pairsOf(lines, before, { by: ['district', 'week'], days: 28 });
  expect(pairs.map((pair) => [pair.key, pair.line.opened, pair.before?.opened ?? null])).toEqual([
    ['east / 2027-W01', 5, null],
    ['east / 2026-W53', 4, 2],
    ['west / 2026-W53', 3, 9],
  ]);
});
