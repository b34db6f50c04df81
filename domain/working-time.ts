import type { CalendarClock } from './calendar.ts';

/** Where a calendar is never on again, deadlines run by the clock. */
const NEVER = Number.POSITIVE_INFINITY;

/**
 * The moment at which so much working time has passed since `fromMs`: only what lies in the calendar's spans counts, also
 * over holidays and changes of the clocks. Without a calendar all time counts. A calendar that has no more spans in the
 * next 400 days stops nobody: the rest runs by the clock.
 */
export function addWorkingTime(calendar: CalendarClock | null, fromMs: number, durationMs: number): number {
  if (calendar === null || durationMs === 0) return fromMs + durationMs;
  let at = fromMs;
  let left = durationMs;
  for (;;) {
    const change = calendar.nextChange(at);
    if (calendar.isActive(at)) {
      if (change === NEVER || at + left <= change) return at + left;
      left -= change - at;
    } else if (change === NEVER) return at + left;
    at = change;
  }
}

/** How much working time lies between two moments, ms. */
export function workingTimeBetween(calendar: CalendarClock | null, fromMs: number, toMs: number): number {
  if (calendar === null) return Math.max(0, toMs - fromMs);
  let sum = 0;
  for (let at = fromMs; at < toMs; ) {
    const change = Math.min(calendar.nextChange(at), toMs);
    if (calendar.isActive(at)) sum += change - at;
    at = change;
  }
  return sum;
}
