import { DAY_MS } from '../domain/index.ts';

// ISO 8601 with date, time and zone; a time without a zone would mean a different instant in every city.
const ISO = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)$/;
const LEAP_SECOND = 60;

/**
 * Returns epoch milliseconds from an ISO 8601 text with zone, or from a number of milliseconds; NaN for anything else.
 * `t` and `z` may be lower case (RFC 3339 §5.6). A leap second, which only the last day of a month has in UTC, is the
 * first second of the next day, as in POSIX; 24:00 is the midnight at the end of the day.
 */
export function parseTimestamp(value: unknown): number {
  if (typeof value === 'number') return Number.isFinite(value) ? Math.round(value) : Number.NaN;
  if (typeof value !== 'string' || !ISO.test(value) || !isDay(value)) return Number.NaN;
  const text = value.toUpperCase().replace(',', '.');
  return Number(text.slice(17, 19)) === LEAP_SECOND ? leapSecond(text) : Date.parse(text);
}

/** Returns whether the day exists in its month: `Date.parse` reads 30 February as 2 March. */
function isDay(text: string): boolean {
  const day = Number(text.slice(8, 10));
  return day <= 28 || day <= new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
}

function leapSecond(text: string): number {
  const ms = Date.parse(`${text.slice(0, 17)}59${text.slice(19)}`) + 1_000;
  return ms % DAY_MS < 1_000 && new Date(ms).getUTCDate() === 1 ? ms : Number.NaN;
}

/** How many milliseconds one unit of an epoch time is. */
const EPOCH_UNITS = { seconds: 1_000, milliseconds: 1, microseconds: 1e-3, nanoseconds: 1e-6 } as const;
export type EpochUnit = keyof typeof EPOCH_UNITS;

/** The times that are plausible, epoch ms. */
export interface Plausible {
  readonly from: number;
  readonly to: number;
}

/**
 * Returns the unit in which a number is a plausible time: seconds, milliseconds, microseconds or nanoseconds since
 * 1970; null where it is none. The units are a factor of a thousand apart, so at most one fits in a thousand years.
 */
export function epochUnitOf(value: number, { from, to }: Plausible): EpochUnit | null {
  for (const [unit, factor] of Object.entries(EPOCH_UNITS) as [EpochUnit, number][]) {
    if (value * factor >= from && value * factor <= to) return unit;
  }
  return null;
}
