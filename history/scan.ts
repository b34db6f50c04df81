import type {
  DuckDBAppender,
  DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBMaterializedResult,
} from '@duckdb/node-api';
import { DAY_MS, LamppostError, MINUTE_MS, type ScannedReadings, type ScanQuery } from '../domain/index.ts';
import type { Statements } from './statements.ts';

/** How a scan divides time into slices, one statement each, and readings into batches. */
export const SLICE = {
  firstMs: MINUTE_MS,
  longestMs: 30 * DAY_MS,
  /** Most readings of one slice; only a slice of one millisecond may have more. */
  rows: 250_000,
  /** Readings of a batch: a multiple of the chunk size, 2,048. */
  batch: 32_768,
} as const;

/**
 * Returns the length of the slice after one of `lengthMs` with `rows` readings: it aims at half of `most`, and grows at
 * most eightfold.
 */
export function nextSlice(lengthMs: number, rows: number, most: number = SLICE.rows): number {
  const factor = Math.max(1 / 64, Math.min(8, most / 2 / Math.max(1, rows)));
  return Math.max(1, Math.min(SLICE.longestMs, Math.floor(lengthMs * factor)));
}

// Temporary tables of the scan's connection: numbers of the devices and metrics in the file, and their positions in the
// query.
const PLACES = `
  create temp table scan_devices as select d.id, n.place from devices d join scan_names n on n.name = d.name and n.of = 'device';
  create temp table scan_metrics as select m.id, n.place from metrics m join scan_names n on n.name = m.name and n.of = 'metric';
`;

/**
 * Yields readings in order of time, slice by slice, over a connection of its own; see HistoryStore.scan. Throws
 * `history`.
 */
export async function* scanDuckdb(
  instance: DuckDBInstance,
  statements: Statements,
  query: ScanQuery,
  signal?: AbortSignal,
): AsyncGenerator<ScannedReadings, void, undefined> {
  const connection = await instance.connect();
  const run: Run = (work) => statements.run(work, { connection, signal, by: 'scan', long: true });
  try {
    yield* slicesOf(run, query, signal);
  } catch (cause) {
    if (signal?.aborted) return;
    throw new LamppostError('history', `the history cannot be read: ${(cause as Error).message}`, {
      retryable: true,
      cause,
    });
  } finally {
    connection.closeSync();
  }
}

/** Runs statements of the scan when it is their turn. */
type Run = <T>(work: (connection: DuckDBConnection) => Promise<T>) => Promise<T>;

async function* slicesOf(
  run: Run,
  query: ScanQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<ScannedReadings, void, undefined> {
  const toMs = Math.ceil(query.toMs);
  const first = await run(async (connection) => {
    await namePlaces(connection, query);
    return firstOf(connection, query);
  });
  if (first === null) return;
  let fromMs = first;
  let lengthMs: number = SLICE.firstMs;
  while (fromMs < toMs && !signal?.aborted) {
    const untilMs = Math.min(toMs, fromMs + lengthMs);
    const { rows, result } = await run((connection) => sliceOf(connection, { fromMs, untilMs }));
    if (rows > SLICE.rows && lengthMs > 1) {
      lengthMs = nextSlice(lengthMs, rows);
      continue;
    }
    if (result !== null) yield* batchesOf(result, signal);
    lengthMs = nextSlice(lengthMs, rows);
    fromMs = untilMs;
  }
}

async function namePlaces(connection: DuckDBConnection, { devices, metrics }: ScanQuery): Promise<void> {
  await connection.run('create temp table scan_names (of varchar, name varchar, place integer)');
  const appender = await connection.createAppender('scan_names', 'main', 'temp');
  const append = (of: string) => (name: string, place: number) => appendName(appender, of, name, place);
  devices.forEach(append('device'));
  metrics.forEach(append('metric'));
  appender.closeSync();
  await connection.run(PLACES);
}

function appendName(appender: DuckDBAppender, of: string, name: string, place: number): void {
  appender.appendVarchar(of);
  appender.appendVarchar(name);
  appender.appendInteger(place);
  appender.endRow();
}

const FROM = `from readings r join scan_devices d on d.id = r.device join scan_metrics m on m.id = r.metric`;
// With bounds, DuckDB skips the row groups of other times.
const within = (fromMs: number, toMs: number) => `where r.ts >= ${fromMs} and r.ts < ${toMs}`;

async function firstOf(connection: DuckDBConnection, { fromMs, toMs }: ScanQuery): Promise<number | null> {
  const bounds = within(Math.ceil(fromMs), Math.ceil(toMs));
  const rows = (await connection.runAndReadAll(`select min(r.ts)::double ${FROM} ${bounds}`)).getRows();
  return rows[0]![0] as number | null;
}

async function countOf(connection: DuckDBConnection, fromMs: number, toMs: number): Promise<number> {
  const rows = (await connection.runAndReadAll(`select count(*) ${FROM} ${within(fromMs, toMs)}`)).getRows();
  return Number(rows[0]![0]);
}

/**
 * Reads one slice, sorted; null where it has no readings, or too many. The result is complete, so that a slow reader
 * keeps no transaction open.
 */
async function sliceOf(
  connection: DuckDBConnection,
  { fromMs, untilMs }: { fromMs: number; untilMs: number },
): Promise<{ rows: number; result: DuckDBMaterializedResult | null }> {
  const rows = await countOf(connection, fromMs, untilMs);
  if (rows === 0 || (rows > SLICE.rows && untilMs - fromMs > 1)) return { rows, result: null };
  const result = await connection.run(
    `select r.ts::double, d.place, m.place, r.value ${FROM} ${within(fromMs, untilMs)} order by r.ts, d.place, m.place`,
  );
  return { rows, result };
}

/** Yields the batches of one slice. */
async function* batchesOf(
  result: DuckDBMaterializedResult,
  signal: AbortSignal | undefined,
): AsyncGenerator<ScannedReadings, void, undefined> {
  let left = result.rowCount;
  let chunk: DuckDBDataChunk | null = null;
  let taken = 0;
  while (left > 0 && !signal?.aborted) {
    const batch = newBatch(Math.min(left, SLICE.batch));
    for (let row = 0; row < batch.ts.length; ) {
      if (chunk === null || taken === chunk.rowCount) [chunk, taken] = [(await result.fetchChunk())!, 0];
      const rows = Math.min(batch.ts.length - row, chunk.rowCount - taken);
      copyRows(chunk, taken, rows, batch, row);
      taken += rows;
      row += rows;
    }
    left -= batch.ts.length;
    yield batch;
  }
}

function copyRows(chunk: DuckDBDataChunk, from: number, rows: number, batch: ScannedReadings, at: number): void {
  for (const [column, into] of [batch.ts, batch.device, batch.metric, batch.value].entries()) {
    // The types of the vector classes hide their array.
    const { items } = chunk.getColumnVector(column) as unknown as { items: Float64Array };
    into.set(items.subarray(from, from + rows), at);
  }
}

/** Creates a batch with empty columns of this length. */
export function newBatch(rows: number): ScannedReadings {
  return {
    device: new Int32Array(rows),
    metric: new Int32Array(rows),
    ts: new Float64Array(rows),
    value: new Float64Array(rows),
  };
}
