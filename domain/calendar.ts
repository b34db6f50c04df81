import type { Calendar } from './rule.ts';
import { DAY_MS, isoOf, MINUTE_MS } from './time.ts';
import { createZone } from './zone.ts';

/** Says at which moments a calendar is on. */
export interface CalendarClock {
  isActive(ms: number): boolean;
  /** Returns the first moment after `ms` at which it goes on or off; Infinity where there is none within 400 days. */
  nextChange(ms: number): number;
}

const LOOK_AHEAD_DAYS = 400;

/** Returns the clock of a calendar. Spans begin and end at local times, also on days when the clocks change. */
export function createCalendarClock(calendar: Calendar): CalendarClock {
  const zone = createZone(calendar.zone);
  const holidays = new Set(calendar.holidays);
  const workdays = new Map(calendar.workdays.map(({ date, weekday }) => [date, weekday]));
  const days = new Map<number, readonly (readonly [number, number])[]>();

  /** Returns the spans that begin on a local day (days since 1970), as UTC. */
  function spansOf(day: number): readonly (readonly [number, number])[] {
    const known = days.get(day);
    if (known !== undefined) return known;
    const date = isoOf(day * DAY_MS).slice(0, 10);
    // 1970-01-01 was a Thursday, ISO weekday 4.
    const weekday = workdays.get(date) ?? (holidays.has(date) ? 0 : ((((day + 3) % 7) + 7) % 7) + 1);
    const spans = calendar.spans
      .filter(({ weekdays }) => weekdays.includes(weekday))
      .map(({ fromMin, toMin }) => {
        const end = toMin <= fromMin ? toMin + 1_440 : toMin;
        const at = (minute: number) => zone.toUtc(day * DAY_MS + minute * MINUTE_MS);
        return [at(fromMin), at(end)] as const;
      })
      .filter(([from, to]) => from < to);
    if (days.size > 1_000) days.clear();
    days.set(day, spans);
    return spans;
  }

  /** Returns the spans that can contain a moment: they begin on the local day before, that day or the day after. */
  function spansNear(ms: number): (readonly [number, number])[] {
    const day = Math.floor((ms + zone.offsetAt(ms)) / DAY_MS);
    return [...spansOf(day - 1), ...spansOf(day), ...spansOf(day + 1)];
  }

  const isActive = (ms: number) => spansNear(ms).some(([from, to]) => from <= ms && ms < to);

  return {
    isActive,
    nextChange(ms) {
      const now = isActive(ms);
      for (let day = 0; day <= LOOK_AHEAD_DAYS; day++) {
        const edges = spansNear(ms + day * DAY_MS)
          .flat()
          .sort((a, b) => a - b);
        // Where spans touch or overlap, an edge changes nothing.
        const change = edges.find((edge) => edge > ms && isActive(edge) !== now);
        if (change !== undefined) return change;
      }
      return Number.POSITIVE_INFINITY;
    },
  };
}

/** Where a calendar is never on again, the clock counts. */
const NEVER = Number.POSITIVE_INFINITY;

/**
 * Returns the moment at which this much working time has passed since `fromMs`. Only time in the calendar's spans
 * counts;
 * without a calendar all time does. Where a calendar has no more spans within 400 days, the rest runs by the clock.
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

/** Returns the working time between two moments, ms. */
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
