/** Monday, midnight in Shanghai: where every timeline begins. */
export const START = Date.UTC(2026, 2, 1, 16);
const DAY = 86_400_000;
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY };

/** `10:00`, `10:00:30`, `+2d10:00`: epoch ms. */
export function momentOf(text: string): number {
  const parts = /^(?:\+(\d+)d)?(\d\d):(\d\d)(?::(\d\d))?$/.exec(text);
  if (parts === null) throw new Error(`"${text}" is no time`);
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0));
  return START + days! * DAY + ((hours! * 60 + minutes!) * 60 + seconds!) * 1_000;
}

/** The same backwards. */
export function wordsOf(ms: number): string {
  const days = Math.floor((ms - START) / DAY);
  const clock = new Date(ms - START - days * DAY).toISOString().slice(11, 23);
  return `${days === 0 ? '' : `+${days}d`}${clock.replace(/(:00)?\.000$/, '')}`;
}

/** `15m`: ms. */
export function durationOf(text: string): number {
  const parts = /^(\d+)([smhd])$/.exec(text);
  if (parts === null) throw new Error(`"${text}" is no duration`);
  return Number(parts[1]) * UNITS[parts[2]!]!;
}
