import { createZone, DAY_MS } from '../domain/index.ts';

const WEEK_MS = 7 * DAY_MS;
// 1970-01-01 was a Thursday: its week began three days before.
const FIRST_MONDAY_MS = -3 * DAY_MS;

/** Tells the week of a moment, by the clocks of an IANA zone, as ISO 8601 has it: `2026-W14`. */
export function createWeeks(iana: string): (ms: number) => string {
  const zone = createZone(iana);
  let fromMs = Number.POSITIVE_INFINITY;
  let toMs = Number.NEGATIVE_INFINITY;
  let name = '';
  return (ms) => {
    // Moments mostly come in order: the zone is asked once a week.
    if (ms >= fromMs && ms < toMs) return name;
    const localMs = ms + zone.offsetAt(ms);
    const mondayMs = Math.floor((localMs - FIRST_MONDAY_MS) / WEEK_MS) * WEEK_MS + FIRST_MONDAY_MS;
    fromMs = zone.toUtc(mondayMs);
    toMs = zone.toUtc(mondayMs + WEEK_MS);
    name = nameOf(mondayMs);
    return name;
  };
}

/** A week is of the year that its Thursday lies in (ISO 8601-1 §3.1.1.23). */
function nameOf(mondayMs: number): string {
  const thursdayMs = mondayMs + 3 * DAY_MS;
  const year = new Date(thursdayMs).getUTCFullYear();
  const week = Math.floor((thursdayMs - Date.UTC(year, 0, 1)) / WEEK_MS) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}
