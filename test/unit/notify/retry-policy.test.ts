import { describe, expect, test } from 'vitest';
import {
  type AttemptResult,
  decideNext,
  outcomeOfStatus,
  retryAfterOf,
  SCHEDULE,
} from '../../../notify/retry-policy.ts';
import { HOUR, MINUTE, T0 } from '../../kit/notify/kit.ts';

const result = (outcome: AttemptResult['outcome'], retryAfterMs: number | null = null): AttemptResult => ({
  outcome,
  status: null,
  retryAfterMs,
  text: '',
  ms: 0,
});
const DAY = 24 * HOUR;

describe('webhooks - what follows an attempt', () => {
  test.each([
    ['an accepted delivery is done', result('delivered'), {}, { kind: 'done' }],
    ['the first failure waits 5 s', result('failed'), {}, { kind: 'retry', afterMs: 5_000 }],
    ['the second waits 5 min', result('timed-out'), { attempt: 2 }, { kind: 'retry', afterMs: 5 * MINUTE }],
    ['the ninth waits a day', result('refused'), { attempt: 9 }, { kind: 'retry', afterMs: DAY }],
    ['the tenth gives up', result('unreachable'), { attempt: 10 }, { kind: 'give-up' }],
    ['jitter makes it later', result('failed'), { random: 1 }, { kind: 'retry', afterMs: 5_500 }],
    ['Retry-After applies where it is longer', result('throttled', 60_000), {}, { kind: 'retry', afterMs: 60_000 }],
    ['the schedule applies where it is longer', result('unavailable', 1_000), {}, { kind: 'retry', afterMs: 5_000 }],
    ['Retry-After causes a wait of a day at most', result('throttled', 9 * DAY), {}, { kind: 'retry', afterMs: DAY }],
    ['410 disables', result('gone'), {}, { kind: 'disable', reason: 'gone' }],
    ['a redirect is a failure', result('redirected'), {}, { kind: 'retry', afterMs: 5_000 }],
    ['a private address may be fixed and is retried', result('private-address'), {}, { kind: 'retry', afterMs: 5_000 }],
    [
      'five days of failures disable the receiver',
      result('failed'),
      { failingMs: 5 * DAY },
      { kind: 'disable', reason: 'failing' },
    ],
    ['one millisecond less does not', result('failed'), { failingMs: 5 * DAY - 1 }, { kind: 'retry', afterMs: 5_000 }],
    ['a success after six days is a success', result('delivered'), { failingMs: 6 * DAY }, { kind: 'done' }],
  ] as const)('%s', (_, given, context, decision) => {
    expect(decideNext(given, { attempt: 1, failingMs: 0, random: 0, ...context })).toEqual(decision);
  });

  test('ten attempts end within four days', () => {
    expect(SCHEDULE).toHaveLength(9);
    expect(SCHEDULE.reduce((sum, ms) => sum + ms, 0) * 1.1).toBeLessThan(4 * DAY);
  });
});

test.each([
  [200, 'delivered'],
  [204, 'delivered'],
  [301, 'redirected'],
  [307, 'redirected'],
  [400, 'refused'],
  [404, 'refused'],
  [410, 'gone'],
  [429, 'throttled'],
  [500, 'failed'],
  [502, 'unavailable'],
  [503, 'unavailable'],
  [504, 'unavailable'],
  [599, 'failed'],
] as const)('webhooks - status %i is %s', (status, outcome) => {
  expect(outcomeOfStatus(status)).toBe(outcome);
});

test.each([
  ['120', 120_000],
  ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
  ['Wed, 31 Dec 2025 23:59:00 GMT', 0],
  ['soon', null],
  [undefined, null],
] as const)('webhooks - Retry-After %s asks for %s ms', (header, ms) => {
  expect(retryAfterOf(header, T0)).toBe(ms);
});
