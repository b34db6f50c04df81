import { expect, test } from 'vitest';
import { QuietLog } from '../../../broker/quiet-log.ts';
import { shown } from '../../../limits/index.ts';

function scene() {
  const lines: Record<string, unknown>[] = [];
  const clock = { ms: 0, now: () => clock.ms };
  const log = new QuietLog({ warn: (fields: object, msg: string) => lines.push({ ...fields, msg }) }, clock);
  return { lines, clock, log };
}

test('quiet log - one line for each source, reason and minute; the next one says how many were left out', () => {
  const { lines, clock, log } = scene();
  for (let i = 0; i < 2_461; i++) log.warn('203.0.113.7', 'wrong-credentials', 'login refused', { n: i });
  log.warn('203.0.113.7', 'nameless-session', 'login refused');
  log.warn('203.0.113.8', 'wrong-credentials', 'login refused');
  expect(lines.map(({ from, why }) => [from, why])).toEqual([
    ['203.0.113.7', 'wrong-credentials'],
    ['203.0.113.7', 'nameless-session'],
    ['203.0.113.8', 'wrong-credentials'],
  ]);
  expect(lines[0]).toEqual({ from: '203.0.113.7', why: 'wrong-credentials', n: 0, msg: 'login refused' });
  clock.ms = 60_000;
  log.warn('203.0.113.7', 'wrong-credentials', 'login refused');
  expect(lines.slice(3)).toEqual([
    { from: '203.0.113.7', why: 'wrong-credentials', leftOut: 2_460, msg: 'more of the same was left out' },
    { from: '203.0.113.7', why: 'wrong-credentials', msg: 'login refused' },
  ]);
});

test('quiet log - the last ones are counted at its end', () => {
  const { lines, log } = scene();
  for (let i = 0; i < 3; i++) log.warn('a', 'b', 'c');
  log.flush();
  log.flush();
  expect(lines.map(({ leftOut }) => leftOut)).toEqual([undefined, 2]);
});

test('quiet log - a thousand sources have lines of their own; all others are one line for each reason', () => {
  const { lines, clock, log } = scene();
  for (let i = 0; i < 50_000; i++) log.warn(`source-${i}`, 'login-timeout', 'connection refused');
  expect(lines).toHaveLength(1_001);
  clock.ms = 60_000;
  log.warn('source-0', 'login-timeout', 'connection refused');
  expect(lines.slice(1_001)).toEqual([
    { from: 'others', why: 'login-timeout', leftOut: 48_999, msg: 'more of the same was left out' },
    { from: 'source-0', why: 'login-timeout', msg: 'connection refused' },
  ]);
});

test('quiet log - a text of a client is cut at 64 characters, and its control characters are escaped', () => {
  expect(shown('x'.repeat(64))).toBe('x'.repeat(64));
  expect(shown('x'.repeat(8_192))).toBe(`${'x'.repeat(64)}…`);
  expect(shown('bin\n\u0000\u202e\u2028-1 路灯')).toBe('bin\\u{a}\\u{0}\\u{202e}\\u{2028}-1 路灯');
});
