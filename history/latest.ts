import type { LatestReading, ReadingColumns, ReadingsFilter } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';

interface Newest {
  ts: number;
  value: number;
}

/** How a batch is added. */
interface PutOptions {
  /** Whether a value replaces one of the same ts. */
  readonly replaces?: boolean;
  /** Rows that were not stored. */
  readonly skip?: (batch: number, row: number) => boolean;
}

function isNewer(ts: number, than: number, replaces: boolean): boolean {
  return ts > than || (replaces && ts === than);
}

/**
 * The newest reading of every device and metric, in memory: rebuilt from the stored readings at the start, updated
 * after each commit. A late reading does not replace a newer one; the same timestamp is never stored twice.
 */
export class Latest {
  /** Time of the newest reading of all; -Infinity where there is none. */
  newest = Number.NEGATIVE_INFINITY;
  readonly #byDevice = new Map<string, { district: string; byMetric: Map<string, Newest> }>();

  /** Adds one reading. With `replaces`, its value replaces one of the same ts. */
  put(device: string, district: string, metric: string, ts: number, value: number, replaces = false): void {
    let line = this.#byDevice.get(device);
    if (line === undefined) {
      line = { district, byMetric: new Map() };
      this.#byDevice.set(device, line);
    }
    line.district = district;
    this.newest = Math.max(this.newest, ts);
    const newest = line.byMetric.get(metric);
    if (newest === undefined) line.byMetric.set(metric, { ts, value });
    else if (isNewer(ts, newest.ts, replaces)) {
      newest.ts = ts;
      newest.value = value;
    }
  }

  /**
   * Adds committed batches. Only the newest row of each device and metric counts; it is found by number first, which is
   * faster.
   */
  putAll(batches: readonly ReadingColumns[], metricName: (index: number) => string, options: PutOptions = {}): void {
    const { replaces = false, skip } = options;
    const rows = new Map<number, { readings: ReadingColumns; row: number }>();
    for (const [batch, readings] of batches.entries()) {
      for (let row = 0; row < readings.length; row++) {
        if (skip?.(batch, row)) continue;
        const key = readings.device[row]!.index * 65_536 + readings.metric[row]!;
        const best = rows.get(key);
        if (best === undefined) rows.set(key, { readings, row });
        else if (isNewer(readings.ts[row]!, best.readings.ts[best.row]!, replaces)) {
          best.readings = readings;
          best.row = row;
        }
      }
    }
    for (const { readings, row } of rows.values()) {
      const { id, district } = readings.device[row]!;
      this.put(id, district, metricName(readings.metric[row]!), readings.ts[row]!, readings.value[row]!, replaces);
    }
  }

  /** Time of the newest reading of one device and metric; -Infinity where there is none. */
  newestOf(device: string, metric: string): number {
    return this.#byDevice.get(device)?.byMetric.get(metric)?.ts ?? Number.NEGATIVE_INFINITY;
  }

  /** Returns the newest readings that match the filter, by device. */
  list(filter: ReadingsFilter, unitOf: (metric: string) => string): LatestReading[] {
    const found: LatestReading[] = [];
    for (const device of new Set(filter.devices ?? [...this.#byDevice.keys()].sort())) {
      const line = this.#byDevice.get(device);
      if (line === undefined || (filter.district !== undefined && line.district !== filter.district)) continue;
      for (const [metric, { ts, value }] of line.byMetric) {
        if (filter.metrics !== undefined && !filter.metrics.includes(metric)) continue;
        found.push({ device, metric, unit: unitOf(metric), at: isoOf(ts), value });
      }
    }
    return found;
  }
}
