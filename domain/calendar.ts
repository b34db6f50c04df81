import type { Calendar } from './rule.ts';
import { createZone } from './zone.ts';

/** Whether a calendar is on, at any moment. */
export interface CalendarClock {
  isActive(ms: number): boolean;
  /** The first moment after `ms` at which it goes on or off; Infinity where it does not within 400 days. */
  nextChange(ms: number): number;
}

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const LOOK_AHEAD_DAYS = 400;

/** Makes the clock of a calendar: spans begin and end at local times, also over a change of the clocks. */
export function createCalendarClock(calendar: Calendar): CalendarClock {
  const zone = createZone(calendar.zone);
  const holidays = new Set(calendar.holidays);
  const workdays = new Map(calendar.workdays.map(({ date, weekday }) => [date, weekday]));
  const days = new Map<number, readonly (readonly [number, number])[]>();

  /** Spans that begin on a local day (days since 1970), as UTC. */
  function spansOf(day: number): readonly (readonly [number, number])[] {
    const known = days.get(day);
    if (known !== undefined) return known;
    const date = new Date(day * DAY_MS).toISOString().slice(0, 10);
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

  /** Spans that could hold a moment: begun the local day before or that day. */
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
        // Spans that touch or overlap go on: only an edge at which it really changes counts.
        const change = edges.find((edge) => edge > ms && isActive(edge) !== now);
        if (change !== undefined) return change;
      }
      return Number.POSITIVE_INFINITY;
    },
  };
}
