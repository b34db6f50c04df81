import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Calendar, createCalendarClock, createZone } from '../../../domain/index.ts';
import { runs } from '../../kit/runs.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const ZONES = ['Europe/Berlin', 'America/New_York', 'Asia/Shanghai', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC'];
const utc = (text: string) => Date.parse(text);

describe('zone', () => {
  test('offsets are those of the clocks there, on both sides of a change', () => {
    const offset = (zone: string, at: string) => createZone(zone).offsetAt(utc(at)) / HOUR;
    expect(offset('Europe/Berlin', '2026-03-29T00:59:59Z')).toBe(1);
    expect(offset('Europe/Berlin', '2026-03-29T01:00:00Z')).toBe(2);
    expect(offset('America/New_York', '2026-11-01T05:59:59Z')).toBe(-4);
    expect(offset('America/New_York', '2026-11-01T06:00:00Z')).toBe(-5);
    expect(offset('Australia/Lord_Howe', '2026-04-04T14:59:59Z')).toBe(11);
    expect(offset('Australia/Lord_Howe', '2026-04-04T15:00:00Z')).toBe(10.5);
    expect(offset('Asia/Shanghai', '2026-07-01T00:00:00Z')).toBe(8);
  });

  test('a local time that is skipped is the end of the skip, one that comes twice is the first', () => {
    const berlin = createZone('Europe/Berlin');
    expect(berlin.toUtc(utc('2026-03-29T02:30:00Z'))).toBe(utc('2026-03-29T01:00:00Z'));
    expect(berlin.toUtc(utc('2026-10-25T02:30:00Z'))).toBe(utc('2026-10-25T00:30:00Z'));
    const lordHowe = createZone('Australia/Lord_Howe');
    expect(lordHowe.toUtc(utc('2026-10-04T02:15:00Z'))).toBe(utc('2026-10-03T15:30:00Z'));
  });

  test('offsets agree with Intl at any time', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.integer({ min: utc('1975-01-01'), max: utc('2045-01-01') }),
        (zone, ms) => {
          const shown = new Date(ms).toLocaleString('sv-SE', { timeZone: zone });
          const local = new Date(ms + createZone(zone).offsetAt(ms)).toISOString();
          expect(local.slice(0, 19).replace('T', ' ')).toBe(shown);
        },
      ),
      { numRuns: runs(2_000) },
    );
  });
});

const ALL = [1, 2, 3, 4, 5, 6, 7];

function calendar(changes: Partial<Calendar>): Calendar {
  const spans = [{ weekdays: ALL, fromMin: 540, toMin: 1_050 }];
  return { id: 'c', title: { en: 'C', zh: 'C' }, zone: 'Europe/Berlin', spans, holidays: [], workdays: [], ...changes };
}

describe('calendar', () => {
  test('a span begins and ends by the clocks there, also on the day of a change', () => {
    const clock = createCalendarClock(calendar({}));
    expect(clock.nextChange(utc('2026-03-28T00:00:00Z'))).toBe(utc('2026-03-28T08:00:00Z'));
    expect(clock.nextChange(utc('2026-03-28T20:00:00Z'))).toBe(utc('2026-03-29T07:00:00Z'));
    expect(clock.nextChange(utc('2026-03-29T07:00:00Z'))).toBe(utc('2026-03-29T15:30:00Z'));
  });

  test('a night over the change is an hour longer', () => {
    const clock = createCalendarClock(calendar({ spans: [{ weekdays: ALL, fromMin: 22 * 60, toMin: 6 * 60 }] }));
    const from = clock.nextChange(utc('2026-10-24T18:00:00Z'));
    expect(from).toBe(utc('2026-10-24T20:00:00Z'));
    expect((clock.nextChange(from) - from) / HOUR).toBe(9);
  });

  test('nothing begins on a holiday; a make-up day counts as the weekday that it stands for', () => {
    const spans = [{ weekdays: [1, 2, 3, 4, 5], fromMin: 540, toMin: 1_050 }];
    const holidays = ['2026-10-01'];
    const workdays = [{ date: '2026-10-10', weekday: 5 }];
    const clock = createCalendarClock(calendar({ zone: 'Asia/Shanghai', spans, holidays, workdays }));
    expect(clock.isActive(utc('2026-10-01T02:00:00Z'))).toBe(false);
    expect(clock.isActive(utc('2026-10-02T02:00:00Z'))).toBe(true);
    expect(clock.isActive(utc('2026-10-10T02:00:00Z'))).toBe(true);
    expect(clock.isActive(utc('2026-10-11T02:00:00Z'))).toBe(false);
  });

  test('spans that touch are one, and a calendar that never changes says so', () => {
    const whole = createCalendarClock(calendar({ spans: [{ weekdays: ALL, fromMin: 0, toMin: 1_440 }] }));
    expect(whole.isActive(utc('2026-05-05T22:00:00Z'))).toBe(true);
    expect(whole.nextChange(utc('2026-05-05T12:00:00Z'))).toBe(Number.POSITIVE_INFINITY);
  });

  test('it is on exactly when the clocks there say so, and changes when it says it will', () => {
    const span = fc.record({
      weekdays: fc.uniqueArray(fc.constantFrom(...ALL), { minLength: 1 }),
      fromMin: fc.integer({ min: 0, max: 47 }).map((half) => 30 * half),
      toMin: fc.integer({ min: 1, max: 48 }).map((half) => 30 * half),
    });
    const times = fc.integer({ min: utc('2026-01-05'), max: utc('2027-01-01') }).map((ms) => ms - (ms % MINUTE));
    fc.assert(
      fc.property(
        fc.constantFrom('Asia/Shanghai', 'Asia/Kathmandu'),
        fc.array(span, { minLength: 1, maxLength: 2 }),
        times,
        (zone, spans, ms) => {
          const clock = createCalendarClock(calendar({ zone, spans }));
          const naive = (at: number) => {
            const local = new Date(at + createZone(zone).offsetAt(at));
            const minute = 60 * local.getUTCHours() + local.getUTCMinutes();
            const day = local.getUTCDay() || 7;
            const before = day === 1 ? 7 : day - 1;
            return spans.some(({ weekdays, fromMin, toMin }) => {
              const end = toMin <= fromMin ? toMin + 1_440 : toMin;
              const today = weekdays.includes(day) && minute >= fromMin && minute < end;
              return today || (weekdays.includes(before) && minute + 1_440 < end);
            });
          };
          expect(clock.isActive(ms)).toBe(naive(ms));
          const next = clock.nextChange(ms);
          if (next === Number.POSITIVE_INFINITY) return;
          expect([naive(next - MINUTE), naive(next)]).toEqual([naive(ms), !naive(ms)]);
        },
      ),
      { numRuns: runs(500) },
    );
  });
});
