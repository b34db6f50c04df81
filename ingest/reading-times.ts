import type { Reason } from '../domain/index.ts';
import type { ProfileChecks } from './checks.ts';
import { type RawReading, shown } from './decode/format.ts';
import { epochUnitOf, parseTimestamp } from './times.ts';

/** Returns the newest time of a message's readings, epoch ms, as the device gave it; null where it gave none. */
export function newestOf(readings: readonly RawReading[]): number | null {
  let newest = Number.NEGATIVE_INFINITY;
  for (const { ts } of readings) {
    const at = ts === undefined ? Number.NaN : parseTimestamp(ts);
    if (at > newest) newest = at;
  }
  return newest === Number.NEGATIVE_INFINITY ? null : newest;
}

/** Returns the first time of a reading that the city accepts, epoch ms; null where it has times and none of them is. */
export function timeOf(
  raw: RawReading,
  { pastMs, aheadMs }: ProfileChecks,
  receivedAt: number,
  shiftMs = 0,
): number | null {
  if (raw.ts === undefined) return receivedAt;
  const ts = parseTimestamp(raw.ts) + shiftMs;
  // Written so that NaN fails the check.
  if (ts >= receivedAt - pastMs && ts <= receivedAt + aheadMs) return ts;
  for (const { ts: other } of raw.otherTimes ?? []) {
    const otherTs = parseTimestamp(other);
    if (otherTs >= receivedAt - pastMs && otherTs <= receivedAt + aheadMs) return otherTs;
  }
  return null;
}

/** Returns why the city does not accept the time of a reading. */
export function timeFault(
  { ts: given, timeUnit }: RawReading,
  checks: ProfileChecks,
  receivedAt: number,
): [Reason, string] {
  const found = shown(given);
  const ts = parseTimestamp(given);
  const hint = unitHint(given, timeUnit ?? 'milliseconds', checks, receivedAt);
  if (Number.isNaN(ts)) {
    const right = 'ISO 8601 with a zone (2026-01-31T12:00:00Z) nor epoch milliseconds';
    return ['bad-timestamp', `${found} is neither ${right}${hint}`];
  }
  if (ts < receivedAt) {
    return ['too-old', `${found} is more than ${checks.pastMs} ms before the time of receipt${hint}`];
  }
  const ahead = `; the clock is ${Math.round((ts - receivedAt) / 1_000)} s ahead`;
  const why = `${found} is more than ${checks.aheadMs} ms after the time of receipt`;
  return ['in-the-future', why + (hint === '' ? ahead : hint)];
}

/** Where a number is a plausible time in another unit than the format's, or in a text, says so. */
function unitHint(
  given: unknown,
  expected: 'seconds' | 'milliseconds',
  { pastMs, aheadMs }: ProfileChecks,
  receivedAt: number,
): string {
  const isText = typeof given === 'string' && /^\d{1,20}(\.\d{1,9})?$/.test(given);
  if (!isText && typeof given !== 'number') return '';
  const sent = expected === 'seconds' ? Number(given) / 1_000 : Number(given);
  const unit = epochUnitOf(sent, { from: receivedAt - pastMs, to: receivedAt + aheadMs });
  if (unit === null) return '';
  if (unit !== expected) return `; these look like ${unit}, ${expected} are expected`;
  return isText ? `; send the ${expected} as a number, without quotes` : '';
}
