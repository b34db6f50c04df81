export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
/** A day of 24 hours; a calendar day of a zone may be longer or shorter. */
export const DAY_MS = 86_400_000;
export const WEEK_MS = 604_800_000;

/**
 * Epoch milliseconds as ISO 8601 UTC: `2026-11-28T10:00:00.000Z`; null stays null. Throws RangeError beyond ±8.64e15.
 */
export function isoOf(ms: number): string;
export function isoOf(ms: number | null): string | null;
export function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** Returns a duration as `parseDuration` reads it, rounded to seconds: `1h30m`. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms / SECOND_MS) * SECOND_MS;
  const parts = Object.entries(UNITS_MS)
    .reverse()
    .flatMap(([unit, of]) => {
      const amount = Math.floor(rest / of);
      rest -= amount * of;
      return amount === 0 ? [] : [`${amount}${unit}`];
    });
  return parts.join('') || '0s';
}

const UNITS_MS = { s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS } as const;

/**
 * Milliseconds of `30s`, `15m`, `4h`, `7d`, also composed (`1h30m`); null for other text and for values beyond exact
 * integers.
 */
export function parseDuration(text: string): number | null {
  if (!/^(\d+[smhd])+$/.test(text)) return null;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)([smhd])/g))
    ms += Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS];
  return Number.isSafeInteger(ms) ? ms : null;
}
