import type { DuckDBDataChunk, DuckDBMaterializedResult } from '@duckdb/node-api';
import { fillOf, LamppostError, type PointsSlice, type ReadingsQuery, type SliceSeries } from '../domain/index.ts';
import { NARROWER } from './statements.ts';

/** The bounds of one slice: a millisecond of work for each thread that it passes. */
const POINTS_SLICE = { rows: 8_192, series: 256 } as const;

/** One series, complete. */
export interface WholeSeries extends Omit<SliceSeries, 'from'> {
  readonly ts: readonly number[];
  readonly value: readonly number[];
}

/** Throws `invalid` where there are more than `maxPoints` points. */
export function checkPoints(points: number, maxPoints: number): void {
  if (points <= maxPoints) return;
  throw new LamppostError('invalid', `more than ${maxPoints} points; ${NARROWER}`);
}

/** Throws `invalid` where the intervals of one series are more than `maxPoints` already. */
export function checkIntervals(query: ReadingsQuery): void {
  const fill = fillOf(query);
  if (fill !== null) checkPoints(fill.intervals, query.maxPoints);
}

/**
 * Yields the slices of a query. With `fill: null`, it counts their series first: throws `invalid` where these have more
 * than `maxPoints` intervals in all.
 */
export async function* withinPoints(
  slices: AsyncIterable<PointsSlice>,
  query: ReadingsQuery,
): AsyncGenerator<PointsSlice, void, undefined> {
  const fill = fillOf(query);
  if (fill === null) {
    yield* slices;
    return;
  }
  const held: PointsSlice[] = [];
  const counted = createSeriesCounter();
  for await (const slice of slices) {
    checkPoints(fill.intervals * counted(slice), query.maxPoints);
    held.push(slice);
  }
  yield* held;
}

/** Returns the function that counts the series of all slices so far. */
function createSeriesCounter(): (slice: PointsSlice) => number {
  let count = 0;
  let last: SliceSeries | null = null;
  return ({ series }) => {
    count += series.length;
    if (isSame(last, series[0])) count--;
    last = series.at(-1) ?? last;
    return count;
  };
}

/** Returns whether two are the same series. */
function isSame(a: Omit<SliceSeries, 'from'> | null, b: Omit<SliceSeries, 'from'> | undefined): boolean {
  return a !== null && b !== undefined && a.device === b.device && a.metric === b.metric;
}

/** Collects rows until a slice is full. */
class SliceWriter {
  readonly #ts = new Float64Array(POINTS_SLICE.rows);
  readonly #value = new Float64Array(POINTS_SLICE.rows);
  #series: SliceSeries[] = [];
  #rows = 0;

  get isFull(): boolean {
    return this.#rows === POINTS_SLICE.rows || this.#series.length > POINTS_SLICE.series;
  }

  get isEmpty(): boolean {
    return this.#rows === 0;
  }

  /** Begins a series, or goes on with it in a new slice. */
  begin({ device, metric, unit }: Omit<SliceSeries, 'from'>): void {
    this.#series.push({ device, metric, unit, from: this.#rows });
  }

  add(ts: number, value: number): void {
    this.#ts[this.#rows] = ts;
    this.#value[this.#rows++] = value;
  }

  /** Returns the slice and begins the next one. */
  take(): PointsSlice {
    const slice = { series: this.#series, ts: this.#ts.slice(0, this.#rows), value: this.#value.slice(0, this.#rows) };
    this.#series = [];
    this.#rows = 0;
    return slice;
  }
}

/** Yields series in memory as slices. */
export async function* slicesOfSeries(all: readonly WholeSeries[]): AsyncGenerator<PointsSlice, void, undefined> {
  const writer = new SliceWriter();
  for (const series of all) {
    writer.begin(series);
    for (let row = 0; row < series.ts.length; row++) {
      writer.add(series.ts[row]!, series.value[row]!);
      if (!writer.isFull) continue;
      yield writer.take();
      if (row + 1 < series.ts.length) writer.begin(series);
    }
  }
  if (!writer.isEmpty) yield writer.take();
}

/** The columns of a result: numbers of device and metric, time (double) and value. */
type Columns = readonly [Int32Array, Int16Array, Float64Array, Float64Array];

/** Yields a sorted result of DuckDB as slices; reads it chunk by chunk, each in a turn of the event loop. */
export async function* slicesOfResult(
  result: DuckDBMaterializedResult,
  seriesOf: (device: number, metric: number) => Omit<SliceSeries, 'from'>,
  signal?: AbortSignal,
): AsyncGenerator<PointsSlice, void, undefined> {
  const writer = new SliceWriter();
  let at = { device: -1, metric: -1 };
  for (let left = result.rowCount; left > 0; ) {
    signal?.throwIfAborted();
    const chunk = (await result.fetchChunk())!;
    const [devices, metrics, ts, value] = columnsOf(chunk);
    for (let row = 0; row < chunk.rowCount; row++) {
      const [device, metric] = [devices[row]!, metrics[row]!];
      if (writer.isEmpty || device !== at.device || metric !== at.metric) {
        at = { device, metric };
        writer.begin(seriesOf(device, metric));
      }
      writer.add(ts[row]!, value[row]!);
      if (writer.isFull) yield writer.take();
    }
    left -= chunk.rowCount;
  }
  if (!writer.isEmpty) yield writer.take();
}

/** The types of the vector classes hide their array. */
function columnsOf(chunk: DuckDBDataChunk): Columns {
  return [0, 1, 2, 3].map((column) => {
    const { items } = chunk.getColumnVector(column) as unknown as { items: Float64Array };
    return items;
  }) as unknown as Columns;
}
