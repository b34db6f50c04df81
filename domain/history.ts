import { z } from 'zod';
import type { ReadingColumns } from './reading.ts';
import type { ShapeOf } from './schema.ts';

/**
 * How readings of one interval become one point. `p95` is the nearest rank as InfluxQL's PERCENTILE(value, 95) takes it:
 * of n values in ascending order the one at rank ⌊0.95·n + 0.5⌋, counted from 1; always a value that was measured.
 */
export const AGGREGATES = ['mean', 'min', 'max', 'sum', 'count', 'first', 'last', 'p95'] as const;
export type Aggregate = (typeof AGGREGATES)[number];

/** Devices, district and metrics of interest; what is absent is not restricted. */
export interface ReadingsFilter {
  readonly devices?: readonly string[];
  /** Devices that are in this district now, with all their readings. */
  readonly district?: string;
  readonly metrics?: readonly string[];
}

/** Which readings: `[fromMs, toMs)` in event time. */
export interface ReadingsQuery extends ReadingsFilter {
  readonly fromMs: number;
  readonly toMs: number;
  /** Interval of downsampling, ms, aligned to the epoch; raw readings where absent. */
  readonly everyMs?: number;
  readonly fn: Aggregate;
  /** Intervals without a reading, for series that have one in the time asked for: left out (`none`, the default), or null. */
  readonly fill?: 'none' | 'null';
  /** Most points in all; one more is an `invalid` error that says how to narrow the query. */
  readonly maxPoints: number;
}

const series = { device: z.string(), metric: z.string(), unit: z.string() };
const Point = z.tuple([z.number().describe('Epoch ms'), z.number().nullable()]).readonly();

/** Points of one device and metric in time order: [epoch ms, value]; a value is null only where a query asks for gaps. */
export const SeriesSchema = z
  .object({ ...series, points: z.array(Point).readonly().describe('[epoch ms, value], in order of time') })
  .meta({ id: 'Series', description: 'Readings of one device and metric' });
export type Series = ShapeOf<typeof SeriesSchema>;

/** The newest reading of a device and metric; `at` is ISO 8601 UTC. */
export const LatestReadingSchema = z
  .object({ ...series, at: z.iso.datetime(), value: z.number() })
  .meta({ id: 'LatestReading' });
export type LatestReading = ShapeOf<typeof LatestReadingSchema>;

/** Which readings a scan gives: of these devices and metrics, `[fromMs, toMs)` in event time. */
export interface ScanQuery {
  /** Ids, each once. */
  readonly devices: readonly string[];
  readonly metrics: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** Readings of a scan as columns of one length; device and metric are places in the lists of the query. */
export interface ScannedReadings {
  readonly device: Int32Array<ArrayBuffer>;
  readonly metric: Int32Array<ArrayBuffer>;
  /** Epoch ms. */
  readonly ts: Float64Array<ArrayBuffer>;
  readonly value: Float64Array<ArrayBuffer>;
}

/** A reading that the store's database refused for good: row `row` of `readings[batch]`, or of `replaced[batch]`. */
export interface RefusedRow {
  readonly of: 'readings' | 'replaced';
  readonly batch: number;
  readonly row: number;
  /** What the database said of it. */
  readonly detail: string;
}

/**
 * A store of readings. One that is embedded commits its own cursor in the transaction that holds the readings; one over
 * the network stores idempotently (the same reading again changes nothing), so that it needs none.
 */
export interface HistoryStore {
  /** Opens what is on this machine; a database over the network need not be up. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Seq of the last block whose readings are in the store; 0 when empty, and always where it keeps no cursor. */
  cursor(): number;
  /**
   * Stores all rows, and the cursor where it keeps one; durable when it resolves; calls must not overlap. Rows of
   * `replaced` take the place of an earlier value of the same (device, metric, ts), the last of several winning. Resolves to
   * the rows that the database refused; all others are stored. Throws `history`, retryable, where nothing can be said of
   * all rows yet: call again with the same batches, or with more behind them.
   */
  append(
    readings: readonly ReadingColumns[],
    cursor: number,
    replaced?: readonly ReadingColumns[],
  ): Promise<readonly RefusedRow[]>;
  query(query: ReadingsQuery): Promise<Series[]>;
  latest(filter: ReadingsFilter): Promise<LatestReading[]>;
  /**
   * Raw readings in order of time, then of device and metric in the query's lists; in batches, none of them empty, so that
   * a scan of any length takes little memory. What is stored meanwhile may be in it or not. Ends when its iterator is
   * returned or the signal aborts; then nothing is asked of the database any more.
   */
  scan(query: ScanQuery, signal?: AbortSignal): AsyncIterable<ScannedReadings>;
  /** How many readings are stored in all. */
  count(): Promise<number>;
  /**
   * Writes what the query finds, without bound, to a new Parquet file (ts, device, metric, unit, value), and resolves to
   * its path; the caller deletes it. Throws `invalid` where the store cannot.
   */
  exportParquet(query: Omit<ReadingsQuery, 'maxPoints'>): Promise<string>;
  /** Gives up what is on its way over the network, so that a stop need not wait for it. */
  interrupt?(): void;
}

/** What an embedded history needs now and then; may be called at any time beside the store's other functions. */
export interface HistoryUpkeep {
  /**
   * Brings the roll-ups (mean, min, max, sum, count by device, metric and hour, and by UTC day) up to date for every hour
   * that ended at `untilMs` or before and got readings since the last call, also late ones. Calling it again changes
   * nothing. Resolves to the number of hours that were rolled up.
   */
  rollup(untilMs: number): Promise<number>;
  /**
   * Deletes raw readings older than the hour of `beforeMs`, after rolling them up. From then on, queries of mean, min,
   * max, sum and count with `everyMs` of an hour or more find the roll-ups there. Resolves to how many were deleted.
   */
  prune(beforeMs: number): Promise<number>;
  /**
   * Copies all of it, as it stands at one moment, into a new file, while readings are stored and asked for. Resolves to
   * the cursor of the copy.
   */
  copyTo(path: string): Promise<number>;
}
