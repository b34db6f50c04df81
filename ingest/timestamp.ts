// ISO 8601 with date, time and zone; a time without a zone would mean another instant in every city.
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/;

/** Epoch milliseconds of an ISO 8601 text with zone, or of a number of milliseconds; NaN for anything else. */
export function parseTimestamp(value: unknown): number {
  if (typeof value === 'number') return Number.isFinite(value) ? Math.round(value) : Number.NaN;
  if (typeof value !== 'string' || !ISO.test(value) || !isDay(value)) return Number.NaN;
  return Date.parse(value.replace(',', '.'));
}

/** Whether the month has that day: `Date.parse` takes 30 February for 2 March. */
function isDay(text: string): boolean {
  const day = Number(text.slice(8, 10));
  return day <= 28 || day <= new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
}
