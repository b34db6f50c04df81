import type { OversightLine } from '../../api/schema.ts';
import { type By, DAY_MS } from './filter.ts';

/** A line of the period, and the same of the period before; null: there was none. */
export interface Pair {
  readonly key: string;
  readonly line: OversightLine;
  readonly before: OversightLine | null;
}

/** Puts lines beside those of the period before, which was as many days earlier: a week beside the one of its place. */
export function pairsOf(
  lines: readonly OversightLine[],
  before: readonly OversightLine[],
  { by, days }: { readonly by: readonly By[]; readonly days: number },
): Pair[] {
  const keyOf = (line: OversightLine, weeks: number) =>
    by.map((name) => (name === 'week' ? weekAfter(line.week!, weeks) : (line[name] ?? ''))).join(' / ');
  const earlier = new Map(before.map((line) => [keyOf(line, days / 7), line]));
  return lines.map((line) => ({ key: keyOf(line, 0), line, before: earlier.get(keyOf(line, 0)) ?? null }));
}

/** Returns the ISO 8601 week that is so many weeks after another, such as `2026-W14`. */
export function weekAfter(week: string, weeks: number): string {
  const [year, n] = week.split('-W').map(Number);
  // 4 January is in the first week, and the Thursday of a week in the year that it is named after.
  const fourth = Date.UTC(year!, 0, 4);
  const weekday = (new Date(fourth).getUTCDay() + 6) % 7;
  const thursday = new Date(fourth + DAY_MS * (3 - weekday + 7 * (n! - 1 + weeks)));
  const first = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const number = Math.floor((thursday.getTime() - first) / (7 * DAY_MS)) + 1;
  return `${thursday.getUTCFullYear()}-W${String(number).padStart(2, '0')}`;
}
