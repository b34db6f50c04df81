import { z } from 'zod';
import { REASONS, type Reason, type ShapeOf } from '../../domain/index.ts';

const count = z.int().min(0);

/** Rows that were refused for one reason, of one device and metric where these are the fault. */
const ImportFaultSchema = z
  .object({
    reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]),
    detail: z.string().describe('What is wrong with the first of them, and what would be right'),
    count,
    lines: z.array(count).readonly().describe('Lines of the first of them, at most five'),
  })
  .meta({ id: 'ImportFault', description: 'Rows of an import that were refused for one reason' });
export type ImportFault = ShapeOf<typeof ImportFaultSchema>;

/** What became of the rows of an import. */
export const ImportReportSchema = z
  .object({
    rows: count.describe('rows = stored + refused + repeated'),
    stored: count.describe('Accepted into the history; each replaces what was stored for the same time'),
    refused: count,
    repeated: count.describe('Of parts that were imported before: nothing changed'),
    faults: z.array(ImportFaultSchema).readonly().describe('At most 50, the first that were found'),
    more: count.describe('Refused rows that are in none of the faults'),
  })
  .meta({ id: 'ImportReport', description: 'What became of the rows of an import' });
export type ImportReport = ShapeOf<typeof ImportReportSchema>;

const MOST_FAULTS = 50;
const MOST_LINES = 5;

/** Sums up refused rows, so that a file of mistakes does not become a report of its size. */
export class FaultSums {
  readonly #sums = new Map<string, { reason: Reason; detail: string; count: number; lines: number[] }>();
  /** Refused rows that are in none of the faults. */
  more = 0;
  /** All refused rows. */
  count = 0;

  /** Adds rows. Those of one reason and of one thing (`of`) are one fault; `detail` is called for the first. */
  add(reason: Reason, of: string, detail: () => string, lines: readonly number[], count = 1): void {
    this.count += count;
    const key = `${reason} ${of}`;
    const known = this.#sums.get(key);
    if (known !== undefined) {
      known.count += count;
      if (known.lines.length < MOST_LINES) known.lines.push(...lines.slice(0, MOST_LINES - known.lines.length));
    } else if (this.#sums.size === MOST_FAULTS) this.more += count;
    else this.#sums.set(key, { reason, detail: detail(), count, lines: lines.slice(0, MOST_LINES) });
  }

  list(): ImportFault[] {
    return [...this.#sums.values()];
  }
}

/** Adds up the reports of the parts of one import. */
export function sumOfReports(reports: readonly ImportReport[]): ImportReport {
  const faults = new FaultSums();
  const sum = { rows: 0, stored: 0, refused: 0, repeated: 0, more: 0 };
  for (const report of reports) {
    for (const key of ['rows', 'stored', 'refused', 'repeated', 'more'] as const) sum[key] += report[key];
    for (const { reason, detail, count, lines } of report.faults)
      faults.add(reason, detail, () => detail, lines, count);
  }
  return { ...sum, faults: faults.list(), more: sum.more + faults.more };
}
