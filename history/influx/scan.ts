import { DAY_MS, type ScannedReadings, type ScanQuery } from '../../domain/index.ts';
import { newBatch, nextSlice, SLICE } from '../scan.ts';
import { type Ask, identifier, instant, Places } from './influxql.ts';
import { fieldOf } from './lines.ts';
import { deviceOf } from './reading.ts';

// Sorting takes CPU time of this thread, and the server holds a slice in memory, too.
const MOST_ROWS = 40_000;
const LONGEST_MS = 7 * DAY_MS;
/**
 * With more devices than this, a condition that names them costs the server more than the readings of the other
 * devices.
 */
const MOST_NAMED = 200;

/** Yields readings in order of time, one statement per metric and slice; see HistoryStore.scan. */
export async function* scanInflux(
  ask: Ask,
  query: ScanQuery,
  signal?: AbortSignal,
): AsyncGenerator<ScannedReadings, void, undefined> {
  try {
    yield* slicesOf(ask, query, signal);
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}

async function* slicesOf(
  ask: Ask,
  query: ScanQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<ScannedReadings, void, undefined> {
  const places = new Map(query.devices.map((device, place) => [device, place]));
  const named = query.devices.length <= MOST_NAMED ? { devices: query.devices } : {};
  const where = new Places().condition(named);
  const toMs = Math.ceil(query.toMs);
  let fromMs = Math.ceil(query.fromMs);
  let lengthMs: number = SLICE.firstMs;
  if (where === null || query.metrics.length === 0) return;
  while (fromMs < toMs && !signal?.aborted) {
    const untilMs = Math.min(toMs, fromMs + lengthMs);
    const slice = new Slice();
    for (const [metric, name] of query.metrics.entries()) {
      const time = `time >= ${instant(fromMs)} and time < ${instant(untilMs)}`;
      const statement = `select ${identifier(fieldOf(name))} as v from /.*/ where ${time} and ${where} group by "device"`;
      for await (const series of ask(statement, signal)) {
        if (signal?.aborted) return;
        const device = places.get(deviceOf(series));
        if (device !== undefined) slice.take(device, metric, series.values);
        if (slice.rows > 2 * MOST_ROWS && lengthMs > 1) break;
      }
      if (slice.rows > 2 * MOST_ROWS && lengthMs > 1) break;
    }
    const tooMany = slice.rows > 2 * MOST_ROWS && lengthMs > 1;
    lengthMs = Math.min(LONGEST_MS, nextSlice(tooMany ? lengthMs / 4 : lengthMs, slice.rows, MOST_ROWS));
    if (tooMany) continue;
    yield* slice.sorted();
    fromMs = untilMs;
  }
}

/** Readings of one slice of time, in any order. */
class Slice {
  readonly #device: number[] = [];
  readonly #metric: number[] = [];
  readonly #ts: number[] = [];
  readonly #value: number[] = [];

  get rows(): number {
    return this.#ts.length;
  }

  take(device: number, metric: number, points: readonly (readonly unknown[])[]): void {
    for (const [ts, value] of points) {
      if (typeof value !== 'number') continue;
      this.#device.push(device);
      this.#metric.push(metric);
      this.#ts.push(ts as number);
      this.#value.push(value);
    }
  }

  *sorted(): Generator<ScannedReadings, void, undefined> {
    const [device, metric, ts, value] = [this.#device, this.#metric, this.#ts, this.#value];
    const order = Uint32Array.from(ts, (_, row) => row).sort(
      (a, b) => ts[a]! - ts[b]! || device[a]! - device[b]! || metric[a]! - metric[b]!,
    );
    for (let from = 0; from < order.length; from += SLICE.batch) {
      const batch = newBatch(Math.min(SLICE.batch, order.length - from));
      for (let row = 0; row < batch.ts.length; row++) {
        const at = order[from + row]!;
        batch.device[row] = device[at]!;
        batch.metric[row] = metric[at]!;
        batch.ts[row] = ts[at]!;
        batch.value[row] = value[at]!;
      }
      yield batch;
    }
  }
}
