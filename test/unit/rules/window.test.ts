import { describe, expect, test } from 'vitest';
import type { ThresholdCondition } from '../../../domain/index.ts';
import { inForce, rule, timeline } from '../../kit/rules/engine.ts';

// Every value passes this threshold: the rule fires at its first reading and shows its value when it ends.
function aggregates(when: Partial<ThresholdCondition>) {
  const city = timeline(rule({ when: { windowMs: 60_000, threshold: -1000, ...when } }));
  return {
    reading: (second: number, value: number, ts = second) => city.transitions(second, value, { ts }),
    window(second: number) {
      const [ended] = city.engine.configure(inForce([]), { seq: 1000, atMs: second * 1000 });
      return ended!.evidence;
    },
  };
}

describe('window', () => {
  test('window - a mean does not count readings older than the window', () => {
    const mean = aggregates({ fn: 'mean' });
    mean.reading(0, 10);
    mean.reading(30, 20);
    mean.reading(60, 40);
    const { window, readings } = mean.window(60);
    expect(window).toMatchObject({ fromMs: 1500, toMs: 60_000, count: 2, value: 30 });
    expect(readings).toEqual([
      [30_000, 20],
      [60_000, 40],
    ]);
  });

  test('window - a reading within the window still counts', () => {
    const mean = aggregates({ fn: 'mean' });
    mean.reading(2, 10);
    mean.reading(60, 40);
    expect(mean.window(60).window).toMatchObject({ count: 2, value: 25 });
  });

  test.each([
    ['min', [3, 9, 5], 5],
    ['max', [9, 3, 5], 5],
  ] as const)('window - %s is computed again when its slice expires', (fn, [first, second, third], expected) => {
    const extreme = aggregates({ fn });
    extreme.reading(0, first);
    extreme.reading(10, second);
    extreme.reading(70, third);
    expect(extreme.window(70).window).toMatchObject({ count: 1, value: expected });
  });

  test('window - a late reading within it counts, and does not move the window', () => {
    const mean = aggregates({ fn: 'mean' });
    mean.reading(100, 10);
    mean.reading(101, 30, 50);
    expect(mean.window(101).window).toMatchObject({ toMs: 100_000, count: 2, value: 20 });
  });

  test('window - a reading older than the window is ignored, also as evidence', () => {
    const max = aggregates({ fn: 'max' });
    max.reading(100, 10);
    max.reading(101, 99, 40);
    const { window, readings } = max.window(101);
    expect(window).toMatchObject({ count: 1, value: 10 });
    expect(readings).toEqual([[100_000, 10]]);
  });

  test('window - an ignored reading changes nothing', () => {
    const city = timeline(rule({ forMs: 60_000, when: { fn: 'max', windowMs: 60_000 } }));
    city.reading(0, 80, { ts: 1000 });
    expect(city.reading(59, 80, { ts: 900 })).toEqual([]);
    expect(city.tick(60)).toEqual(['dust a0: pending → firing at 80']);
  });

  test('window - a jump ahead empties it at once', () => {
    const mean = aggregates({ fn: 'mean' });
    for (let second = 0; second < 60; second++) mean.reading(second, 500);
    mean.reading(60, 7, 4_000_000_000);
    expect(mean.window(60).window).toMatchObject({ count: 1, value: 7 });
  });

  test('window - times before 1970 work like others', () => {
    const mean = aggregates({ fn: 'mean' });
    for (let second = -130; second <= 0; second++) mean.reading(second + 130, second, second);
    expect(mean.window(130).window).toMatchObject({ fromMs: -58_500, count: 59, value: -29 });
  });

  test('window - a mean of readings on the threshold is on the threshold', () => {
    for (const value of [0.1, 0.7, 75.3, 1e-9, 12345.678]) {
      for (const op of ['above', 'below'] as const) {
        const city = timeline(rule({ when: { fn: 'mean', windowMs: 60_000, op, threshold: value } }));
        for (let second = 0; second < 200; second++) expect(city.reading(second, value)).toEqual([]);
      }
    }
  });

  test('window - the sum does not drift over a hundred thousand readings', () => {
    const mean = aggregates({ fn: 'mean' });
    for (let second = 0; second < 100_000; second++) mean.reading(second, 1e9 * Math.abs(Math.sin(second)));
    for (let second = 100_000; second < 100_100; second++) mean.reading(second, 0.1);
    expect(mean.window(100_100).window.value).toBeCloseTo(0.1, 12);
  });

  test.each([1, 7, 39, 40, 41, 100, 3601])(
    'window - of %i ms counts nothing older, and lacks at most a slice',
    (windowMs) => {
      const max = aggregates({ fn: 'max', windowMs });
      const last = 2 * windowMs;
      for (let ms = 0; ms <= last; ms++) max.reading(ms, 1, ms / 1000);
      const { fromMs, toMs, count } = max.window(last).window;
      expect(fromMs).toBeGreaterThan(toMs - windowMs);
      expect(count).toBe(toMs - fromMs + 1);
      expect(windowMs - count).toBeLessThan(2 * Math.ceil(windowMs / 40));
    },
  );
});
