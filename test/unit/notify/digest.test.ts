import { describe, expect, test } from 'vitest';
import type { Calendar } from '../../../domain/index.ts';
import { planMail } from '../../../notify/email/digest.ts';
import type { EmailSettings } from '../../../notify/receiver.ts';
import { EMAIL } from '../../kit/notify/kit.ts';

const officeHours: Calendar = {
  id: 'office',
  title: { en: 'Office', zh: '办公' },
  zone: 'Europe/Berlin',
  spans: [{ weekdays: [1, 2, 3, 4, 5], fromMin: 9 * 60, toMin: 17 * 60 }],
  holidays: ['2026-04-06'],
  workdays: [],
};

interface Case {
  readonly settings: Partial<EmailSettings>;
  /** Local time with its offset. */
  readonly now: string;
  readonly severity?: string | null;
  readonly heldUntil?: string;
}

/** Returns `now`, or the local time in Berlin until which the event is held, and the reason. */
function plan({ settings, now, severity = 'high', heldUntil }: Case): string {
  const context = {
    timezone: 'Europe/Berlin',
    calendars: new Map([['office', officeHours]]),
    nowMs: Date.parse(now),
    heldUntilMs: heldUntil === undefined ? null : Date.parse(heldUntil),
  };
  const planned = planMail({ ...EMAIL, ...settings }, severity, context);
  if (planned.kind === 'now') return `now: ${planned.reason}`;
  const local = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin', dateStyle: 'short', timeStyle: 'short' });
  return `${local.format(planned.untilMs)}: ${planned.reason}`;
}

const night = { from: '22:00', to: '07:00' };
const HOUR_NIGHT = { from: '02:15', to: '02:45' };

describe('mail - when it is sent', () => {
  test.each<[string, Case, string]>([
    ['without digest and quiet hours at once', { settings: {}, now: '2026-01-15T12:00+01:00' }, 'now: no-digest'],
    [
      'before quiet hours at once',
      { settings: { quietHours: night }, now: '2026-01-15T21:59+01:00' },
      'now: no-digest',
    ],
    [
      'at their beginning it waits for their end',
      { settings: { quietHours: night }, now: '2026-01-15T22:00+01:00' },
      '2026-01-16 07:00: quiet-hours',
    ],
    [
      'past midnight too',
      { settings: { quietHours: night }, now: '2026-01-16T06:59+01:00' },
      '2026-01-16 07:00: quiet-hours',
    ],
    ['at their end at once', { settings: { quietHours: night }, now: '2026-01-16T07:00+01:00' }, 'now: no-digest'],
    [
      'what is critical breaks through',
      { settings: { quietHours: night }, now: '2026-01-15T23:00+01:00', severity: 'critical' },
      'now: critical',
    ],
    [
      'unless it is to wait',
      { settings: { quietHours: night, critical: 'waits' }, now: '2026-01-15T23:00+01:00', severity: 'critical' },
      '2026-01-16 07:00: quiet-hours',
    ],
    [
      'what is critical does not wait for a digest',
      { settings: { digest: { every: '1h' } }, now: '2026-01-15T12:00+01:00', severity: 'critical' },
      'now: critical',
    ],
    [
      'what has no severity is not critical',
      { settings: { quietHours: night }, now: '2026-01-15T23:00+01:00', severity: null },
      '2026-01-16 07:00: quiet-hours',
    ],
    [
      'a digest comes so long after its first event',
      { settings: { digest: { every: '15m' } }, now: '2026-01-15T12:00+01:00' },
      '2026-01-15 12:15: digest',
    ],
    [
      'later events go with it',
      { settings: { digest: { every: '15m' } }, now: '2026-01-15T12:10+01:00', heldUntil: '2026-01-15T12:15+01:00' },
      '2026-01-15 12:15: digest',
    ],
    [
      'past it the next begins',
      { settings: { digest: { every: '15m' } }, now: '2026-01-15T12:16+01:00', heldUntil: '2026-01-15T12:15+01:00' },
      '2026-01-15 12:31: digest',
    ],
    [
      'a digest in quiet hours waits for their end',
      { settings: { digest: { every: '15m' }, quietHours: night }, now: '2026-01-15T21:50+01:00' },
      '2026-01-16 07:00: quiet-hours',
    ],
    [
      'a daily one comes today',
      { settings: { digest: { daily: '07:30' } }, now: '2026-01-15T07:29+01:00' },
      '2026-01-15 07:30: digest',
    ],
    [
      'or tomorrow',
      { settings: { digest: { daily: '07:30' } }, now: '2026-01-15T07:30+01:00' },
      '2026-01-16 07:30: digest',
    ],
    [
      'quiet outside a calendar',
      { settings: { quietHours: { outside: 'office' } }, now: '2026-01-16T17:00+01:00' },
      '2026-01-19 09:00: quiet-hours',
    ],
    [
      'holidays are quiet too',
      { settings: { quietHours: { outside: 'office' } }, now: '2026-04-03T17:00+02:00' },
      '2026-04-07 09:00: quiet-hours',
    ],
    [
      'quiet during a calendar',
      { settings: { quietHours: { during: 'office' } }, now: '2026-01-16T10:00+01:00' },
      '2026-01-16 17:00: quiet-hours',
    ],
    [
      'a calendar that is gone is no reason to be quiet',
      { settings: { quietHours: { outside: 'gone' } }, now: '2026-01-16T03:00+01:00' },
      'now: no-digest',
    ],
    // Clocks go forward on 2026-03-29 at 02:00, back on 2026-10-25 at 03:00.
    [
      'quiet hours end by the clock, the night it goes forward',
      { settings: { quietHours: night }, now: '2026-03-28T23:00+01:00' },
      '2026-03-29 07:00: quiet-hours',
    ],
    [
      'and the night it goes back',
      { settings: { quietHours: night }, now: '2026-10-24T23:00+02:00' },
      '2026-10-25 07:00: quiet-hours',
    ],
    [
      'quiet hours that the clock skips are none',
      { settings: { quietHours: HOUR_NIGHT }, now: '2026-03-29T03:10+02:00' },
      'now: no-digest',
    ],
    [
      'a daily digest in an hour that is skipped comes at its end',
      { settings: { digest: { daily: '02:30' } }, now: '2026-03-29T00:00+01:00' },
      '2026-03-29 03:00: digest',
    ],
    [
      'in an hour that comes twice it comes the first time',
      { settings: { digest: { daily: '02:30' } }, now: '2026-10-25T01:00+02:00' },
      '2026-10-25 02:30: digest',
    ],
    [
      'and not again',
      { settings: { digest: { daily: '02:30' } }, now: '2026-10-25T02:31+02:00' },
      '2026-10-26 02:30: digest',
    ],
  ])('%s', (_, given, expected) => {
    expect(plan(given)).toBe(expected);
  });

  test('quiet hours that never end hold mail for a week at most', () => {
    const always = { ...officeHours, spans: [{ weekdays: [1, 2, 3, 4, 5, 6, 7], fromMin: 0, toMin: 0 }], holidays: [] };
    const context = { timezone: 'UTC', calendars: new Map([['office', always]]), nowMs: 0, heldUntilMs: null };
    const planned = planMail({ ...EMAIL, quietHours: { during: 'office' } }, null, context);
    expect(planned).toEqual({ kind: 'hold', untilMs: 7 * 86_400_000, reason: 'quiet-hours' });
  });
});
