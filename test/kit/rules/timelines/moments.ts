import { DAY_MS, isoOf, parseDuration } from '../../../../domain/index.ts';

/** Monday, midnight in Shanghai: the start of every timeline. */
export const START = Date.UTC(2026, 2, 1, 16);

/** `10:00`, `10:00:30`, `+2d10:00`: epoch ms. */
export function momentOf(text: string): number {
  const parts = /^(?:\+(\d+)d)?(\d\d):(\d\d)(?::(\d\d))?$/.exec(text);
  if (parts === null) throw new Error(`"${text}" is no time`);
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0));
  return START + days! * DAY_MS + ((hours! * 60 + minutes!) * 60 + seconds!) * 1_000;
}

/** The inverse of `momentOf`. */
export function wordsOf(ms: number): string {
  const days = Math.floor((ms - START) / DAY_MS);
  const clock = isoOf(ms - START - days * DAY_MS).slice(11, 23);
  return `${days === 0 ? '' : `+${days}d`}${clock.replace(/(:00)?\.000$/, '')}`;
}

/** Milliseconds of `15m`. Throws on other text. */
export function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new Error(`"${text}" is no duration`);
  return ms;
}
