import type { OversightKey, OversightLine } from '../tickets/index.ts';
import { csvLine } from './csv.ts';

const COUNTS = ['opened', 'open', 'overdue', 'resolved', 'late', 'reopened', 'reports'] as const;
const TIMES = ['acknowledged', 'acknowledge_median_s', 'acknowledge_p90_s', 'resolve_median_s', 'resolve_p90_s'];

/** Oversight as CSV (RFC 4180, with a header): what lines are told apart by, counts, seconds, ratings; nothing is an empty value. */
export function oversightCsv(by: readonly OversightKey[], lines: readonly OversightLine[]): string {
  const header = csvLine([...by, ...COUNTS, ...TIMES, 'ratings', 'rating_mean']);
  return header + lines.map((line) => csvLine([...by.map((key) => line[key]!), ...figuresOf(line)])).join('');
}

function figuresOf(line: OversightLine): (number | null)[] {
  const { acknowledge, resolve, ratings } = line;
  const times = [acknowledge.count, acknowledge.medianSeconds, acknowledge.p90Seconds];
  const counts = COUNTS.map((key) => line[key]);
  return [...counts, ...times, resolve.medianSeconds, resolve.p90Seconds, ratings.count, ratings.mean];
}
