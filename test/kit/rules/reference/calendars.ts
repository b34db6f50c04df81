import type { Calendar } from '../../../../domain/index.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
/** Shanghai is eight hours ahead of UTC all year: enough for a calendar that owes nothing to the engine's. */
const AHEAD = 8 * 3_600_000;

/** Whether a calendar of the zone `Asia/Shanghai` is on. */
export function isActive({ spans, holidays, workdays }: Calendar, ms: number): boolean {
  const day = Math.floor((ms + AHEAD) / DAY);
  const minute = Math.floor((((ms + AHEAD) % DAY) + DAY) / MINUTE) % 1440;
  const begins = (on: number, span: Calendar['spans'][number]): boolean => {
    const date = new Date(on * DAY).toISOString().slice(0, 10);
    const made = workdays.find((one) => one.date === date);
    if (made === undefined && holidays.includes(date)) return false;
    return span.weekdays.includes(made?.weekday ?? ((new Date(on * DAY).getUTCDay() + 6) % 7) + 1);
  };
  return spans.some((span) => {
    const until = span.toMin <= span.fromMin ? span.toMin + 1440 : span.toMin;
    const today = begins(day, span) && minute >= span.fromMin && minute < until;
    return today || (begins(day - 1, span) && minute + 1440 < until);
  });
}

const known = new Map<string, number>();

/** The next ms after `ms` at which the calendar begins or ends: whole minutes are tried one by one, for eight days. */
export function nextChange(calendar: Calendar, ms: number): number {
  const minute = Math.floor(ms / MINUTE);
  const key = `${JSON.stringify([calendar.spans, calendar.holidays, calendar.workdays])} ${minute}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const now = isActive(calendar, ms);
  let next = minute + 1;
  while (next < minute + 8 * 1440 && isActive(calendar, next * MINUTE) === now) next++;
  const found = isActive(calendar, next * MINUTE) === now ? Number.POSITIVE_INFINITY : next * MINUTE;
  known.set(key, found);
  return found;
}
