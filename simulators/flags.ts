import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../domain/index.ts';

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS };

/** A mistake on the command line. The message names the flag and a correct value. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Returns a whole number of 1 or more. Throws a UsageError. */
export function count(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`--${flag} ${text}: expected a whole number of 1 or more`);
  }
  return value;
}

/** Returns a number in `[min, max]`. Throws a UsageError. */
export function numberIn(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max)) {
    const right = Number.isFinite(max) ? `a number in ${min}..${max}` : `a number of ${min} or more`;
    throw new UsageError(`--${flag} ${text}: expected ${right}`);
  }
  return value;
}

/** Returns the milliseconds of `30s`, `1.5h`, `7d`; a bare number is seconds. Throws a UsageError. */
export function duration(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  if (!match) throw new UsageError(`--${flag} ${text}: expected a duration such as 30s, 15m or 2h`);
  return Number(match[1]) * UNITS_MS[match[2] ?? 's']!;
}
