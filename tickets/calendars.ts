import { type Calendar, type CalendarClock, type City, createCalendarClock } from '../domain/index.ts';

const clocks = new WeakMap<Calendar, CalendarClock>();

/** The clock of a calendar of the city; null where no calendar is asked for or the city has none of that id. */
export function calendarOf(id: string | null, { calendars }: Pick<City, 'calendars'>): CalendarClock | null {
  const calendar = id === null ? undefined : calendars.get(id);
  if (calendar === undefined) return null;
  const known = clocks.get(calendar) ?? createCalendarClock(calendar);
  clocks.set(calendar, known);
  return known;
}
