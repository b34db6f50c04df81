import { z } from 'zod';
import {
  csvCell,
  csvLine,
  DAY_MS,
  type HistoryStore,
  isoOf,
  LamppostError,
  type Ledger,
  type ReadingsQuery,
  type ReadOptions,
  rawMetric,
  type ShapeOf,
} from '../domain/index.ts';
import { ImportReportSchema } from './import/report.ts';
import type { Imports, StoredSpan } from './imports.ts';

/** What became of the stored readings of a span. */
export const RecomputedSchema = ImportReportSchema.extend({
  next: z.iso.datetime().nullable().describe('Where to go on; null: all of the span is computed anew'),
}).meta({ id: 'Recomputed', description: 'What became of stored readings that were corrected anew' });
export type Recomputed = ShapeOf<typeof RecomputedSchema>;

/** Readings of one request, unless one day has more. */
const MOST_ROWS = 131_072;
const MOST_OF_A_DAY = 1_000_000;
const MOST_DAYS = 100_000;

interface Deps<C> {
  /** Resolves to the ledger of the city. */
  readonly ledger: () => Promise<Ledger | null>;
  readonly history: Pick<HistoryStore, 'read'>;
  readonly imports: Pick<Imports<C>, 'run'>;
}

/**
 * Corrects stored readings of a metric of a device anew, the first days of the span: what was measured goes through the
 * log once more, and is validated with the calibrations of its place there. What has no measured value beside it counts
 * as measured. It begins once the history has every message that was received before. Resolves when the history has the
 * new values. Throws as the history and the imports do, and `busy` where the history is far behind.
 */
export async function recompute<C>(
  { ledger, history, imports }: Deps<C>,
  { unit, ...span }: StoredSpan & { readonly unit: string },
  caller: C,
  options: ReadOptions,
): Promise<Recomputed> {
  await untilStored(ledger, options);
  const untilMs = await endOfFirst(history, span, options);
  const measured = new Map<number, number>();
  for (const metric of [span.metric, rawMetric(span.metric)]) {
    const query = { ...queryOf(span), metrics: [metric], toMs: untilMs, fn: 'mean', maxPoints: MOST_OF_A_DAY } as const;
    for await (const { ts, value } of history.read(query, options)) {
      for (let row = 0; row < ts.length; row++) measured.set(ts[row]!, value[row]!);
    }
  }
  const next = untilMs < span.toMs ? isoOf(untilMs) : null;
  if (measured.size === 0) return { rows: 0, stored: 0, refused: 0, repeated: 0, faults: [], more: 0, next };
  const stored = { ...span, toMs: untilMs };
  const how = { format: 'csv', device: span.device, precision: 'ms', firstLine: 1, rules: false, file: '' } as const;
  const report = await imports.run(
    { ...how, measured: true, bytes: await csvOf(measured, span.metric, unit), stored },
    caller,
  );
  return { ...report, next };
}

const LOOK_MS = 50;
const MOST_LOOKS = 600;

/** Waits for what was received so far: a value that it replaces would come back. */
async function untilStored(ledger: Deps<unknown>['ledger'], { signal }: ReadOptions): Promise<void> {
  const counts = async () => (await ledger())?.messages ?? { received: 0, pending: 0 };
  const { received } = await counts();
  for (let look = 0; look < MOST_LOOKS; look++) {
    const now = await counts();
    if (now.received - now.pending >= received) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    signal?.throwIfAborted();
  }
  throw new LamppostError('busy', 'the history is behind what was received; ask again when it is not', {
    retryable: true,
    retryAfterMs: 10_000,
  });
}

const queryOf = ({ device, fromMs, toMs }: StoredSpan) => ({ devices: [device], fromMs, toMs });

/** The end of the first days that have not too many readings together; of one day at least. */
async function endOfFirst(
  history: Pick<HistoryStore, 'read'>,
  span: StoredSpan,
  options: ReadOptions,
): Promise<number> {
  const daily = { metrics: [span.metric], everyMs: DAY_MS, fn: 'count', maxPoints: MOST_DAYS } as const;
  const query: ReadingsQuery = { ...queryOf(span), ...daily };
  let rows = 0;
  for await (const { ts, value } of history.read(query, options)) {
    for (let day = 0; day < ts.length; day++) {
      if (rows > 0 && rows + value[day]! > MOST_ROWS) return ts[day]!;
      rows += value[day]!;
    }
  }
  return span.toMs;
}

/** Rows that are written at once: about a millisecond. Other work of the thread runs in between. */
const ROWS_AT_ONCE = 2_000;

async function csvOf(values: ReadonlyMap<number, number>, metric: string, unit: string): Promise<Uint8Array> {
  const [of, end] = [csvCell(metric), `${csvCell(unit)}\r\n`];
  const pieces = [Buffer.from(csvLine(['ts', 'metric', 'value', 'unit']))];
  let text = '';
  let rows = 0;
  for (const [ts, value] of values) {
    text += `${ts},${of},${value},${end}`;
    if (++rows % ROWS_AT_ONCE !== 0) continue;
    pieces.push(Buffer.from(text));
    text = '';
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return Buffer.concat([...pieces, Buffer.from(text)]);
}
