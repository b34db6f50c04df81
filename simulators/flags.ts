const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A mistake on the command line: the message names the flag and what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Reads a flag that must be a whole number of 1 or more. Throws a UsageError. */
export function count(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`--${flag} ${text}: expected a whole number of 1 or more`);
  }
  return value;
}

/** Reads a flag that must be a number in `[min, max]`. Throws a UsageError. */
export function numberIn(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max)) {
    const right = Number.isFinite(max) ? `a number in ${min}..${max}` : `a number of ${min} or more`;
    throw new UsageError(`--${flag} ${text}: expected ${right}`);
  }
  return value;
}

/** Reads a duration such as `30s`, `15m`, `2h`, `7d`; a bare number is seconds. Answers ms. Throws a UsageError. */
export function duration(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  if (!match) throw new UsageError(`--${flag} ${text}: expected a duration such as 30s, 15m or 2h`);
  return Number(match[1]) * UNITS_MS[match[2] ?? 's']!;
}
