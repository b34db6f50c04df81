import type { Calendar } from '../../../../domain/index.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;

/** Working time, walked minute by minute. `from` and `duration` in ms. */
export type Walk = (calendar: string | null, from: number, duration: number) => number;

/**
 * What the clocks of a zone show at every minute of [fromMs, toMs), asked of `Intl` alone; and from that, which minutes
 * are
 * working time: from the first minute that shows a span's beginning, or later, until the first that shows its end, or
 * later.
 */
export function createReference(calendars: Iterable<Calendar>, fromMs: number, toMs: number): Walk {
  const minutes = (toMs - fromMs) / MINUTE;
  const zones = new Map<string, readonly string[]>();
  const working = new Map<string, Uint8Array>();
  for (const calendar of calendars) {
    const shown = zones.get(calendar.zone) ?? clocksOf(calendar.zone, fromMs, minutes);
    zones.set(calendar.zone, shown);
    working.set(calendar.id, workingMinutes(calendar, shown));
  }
  return (calendar, from, duration) => {
    if (calendar === null) return from + duration;
    const isWorking = working.get(calendar)!;
    let at = from;
    for (let left = duration; left > 0; ) {
      const minute = Math.floor((at - fromMs) / MINUTE);
      if (minute < 0 || minute >= minutes) throw new Error(`the reference ends before ${new Date(at).toISOString()}`);
      const passed = Math.min(fromMs + (minute + 1) * MINUTE - at, isWorking[minute] ? left : MINUTE);
      if (isWorking[minute]) left -= passed;
      at += passed;
    }
    return at;
  };
}

/** `2026-03-29 03:00` of every minute. */
function clocksOf(timeZone: string, fromMs: number, minutes: number): string[] {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  return Array.from({ length: minutes }, (_, i) => format.format(fromMs + i * MINUTE));
}

function workingMinutes({ spans, holidays, workdays }: Calendar, shown: readonly string[]): Uint8Array {
  const working = new Uint8Array(shown.length);
  for (const date of new Set(shown.map((text) => text.slice(0, 10)))) {
    const made = workdays.find((one) => one.date === date);
    if (made === undefined && holidays.includes(date)) continue;
    const weekday = made?.weekday ?? (new Date(`${date}T12:00:00Z`).getUTCDay() || 7);
    const dayBegins = shown.findIndex((text) => text >= date);
    for (const { weekdays, fromMin, toMin } of spans) {
      if (!weekdays.includes(weekday)) continue;
      const begin = firstShowing(clockText(date, fromMin), dayBegins);
      const end = firstShowing(clockText(date, toMin <= fromMin ? toMin + 1_440 : toMin), dayBegins);
      working.fill(1, begin, end);
    }
  }
  return working;

  function firstShowing(text: string, from: number): number {
    let minute = from;
    while (minute < shown.length && shown[minute]! < text) minute++;
    return minute;
  }
}

function clockText(date: string, minute: number): string {
  const day = new Date(Date.parse(`${date}T00:00:00Z`) + (minute >= 1_440 ? DAY : 0)).toISOString().slice(0, 10);
  const of = minute % 1_440;
  return `${day} ${String(Math.floor(of / 60)).padStart(2, '0')}:${String(of % 60).padStart(2, '0')}`;
}
