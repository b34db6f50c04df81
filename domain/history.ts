import { z } from 'zod';
import { StateValuesSchema } from './kind.ts';
import type { ReadingColumns } from './reading.ts';
import type { ShapeOf } from './schema.ts';

/**
 * Functions that combine the readings of one interval to one point. `p95` is the nearest rank of InfluxQL's
 * PERCENTILE(value, 95): of n values in ascending order, the one at rank ⌊0.95·n + 0.5⌋, counted from 1; always a
 * measured value. So are `p10`, `p50` and `p90`; a rank is at least 1. `stddev` is the sample standard deviation;
 * `delta` the last minus the first reading, `rate` that by an hour; the three need two readings.
 *
 * Of a counter, `delta` and `sum` are what it counted up to each reading since the one before, be that in an earlier
 * interval or up to seven days before the queried time; `rate` is that by the hours between these readings. `mean` and
 * `stddev` of an angle are circular, and its `delta` the shortest turn. The `mean` of a level is Leq.
 *
 * Of a state, `changes` are the readings that differ from the one before, be that in an earlier interval or up to seven
 * days before the queried time. `share` is how much of the time the state had the value `ReadingsQuery.state`, percent.
 * A value holds until the next reading, for at most seven days and not past the queried time; time without a value
 * does not count. In `share`, so, intervals without a reading have a value, too.
 */
export const AGGREGATES = [
  'mean',
  'min',
  'max',
  'sum',
  'count',
  'first',
  'last',
  'p10',
  'p50',
  'p90',
  'p95',
  'stddev',
  'delta',
  'rate',
  'changes',
  'share',
] as const;
export type Aggregate = (typeof AGGREGATES)[number];

/** Devices, district and metrics to include; a property that is absent restricts nothing. */
export interface ReadingsFilter {
  readonly devices?: readonly string[];
  /** Devices that are in this district now; all their readings are included. */
  readonly district?: string;
  readonly metrics?: readonly string[];
}

/** A query of the readings in `[fromMs, toMs)`, event time. */
export interface ReadingsQuery extends ReadingsFilter {
  readonly fromMs: number;
  readonly toMs: number;
  /** Interval of downsampling, ms, aligned to the epoch; raw readings where absent. */
  readonly everyMs?: number;
  readonly fn: Aggregate;
  /** The name of the value whose `share` is asked for. */
  readonly state?: string;
  /**
   * Intervals without a reading, in series that have one in the queried time: left out (`none`, the default), or null.
   */
  readonly fill?: 'none' | 'null';
  /** Most points in all; more throw `invalid` with how to narrow the query. */
  readonly maxPoints: number;
}

const series = { device: z.string(), metric: z.string(), unit: z.string() };
const named = {
  values: StateValuesSchema.exactOptional().describe(
    'Of a state or a text: what the codes stand for that its points have as values',
  ),
};
const Point = z.tuple([z.number().describe('Epoch ms'), z.number().nullable()]).readonly();

/**
 * Points of one device and metric in time order: [epoch ms, value]; a value is null only where a query asks for gaps.
 */
export const SeriesSchema = z
  .object({ ...series, ...named, points: z.array(Point).readonly().describe('[epoch ms, value], in order of time') })
  .meta({ id: 'Series', description: 'Readings of one device and metric' });
export type Series = ShapeOf<typeof SeriesSchema>;

/** The newest reading of a device and metric; `at` is ISO 8601 UTC. */
export const LatestReadingSchema = z
  .object({
    ...series,
    at: z.iso.datetime(),
    value: z.number(),
    state: z.string().exactOptional().describe('The name of the value of a state, or the text'),
  })
  .meta({ id: 'LatestReading' });
export type LatestReading = ShapeOf<typeof LatestReadingSchema>;

/** A series to which rows of a slice belong. */
export interface SliceSeries {
  readonly device: string;
  readonly metric: string;
  readonly unit: string;
  /** Its first row in the slice; its rows end where those of the next series begin. */
  readonly from: number;
}

/**
 * A part of a query's result, as columns of one length: points by device, metric and time. The first series may be the
 * last one of the slice before. Gaps are not in it; see `fillOf`.
 */
export interface PointsSlice {
  readonly series: readonly SliceSeries[];
  /** Epoch ms. */
  readonly ts: Float64Array<ArrayBuffer>;
  readonly value: Float64Array<ArrayBuffer>;
}

/** On whose behalf something is read, and when it ends early. */
export interface ReadOptions {
  /** Where it aborts, the database is interrupted, and the read throws its reason. */
  readonly signal?: AbortSignal | undefined;
  /** The key that asks. What one holder asks for runs in turn, so that it does not hold up others. */
  readonly by?: string | undefined;
  /** How long the statements may run in all, ms; beyond it `busy` is thrown, with how to ask for less. */
  readonly withinMs?: number | undefined;
}

/** The interval of a query in whole milliseconds; null for raw readings. */
export function everyOf({ everyMs }: Pick<ReadingsQuery, 'everyMs'>): number | null {
  return everyMs === undefined ? null : Math.max(1, Math.round(everyMs));
}

/** Start of the interval that contains the time, aligned to the epoch. */
export function bucketOf(ms: number, every: number): number {
  return Math.floor(ms / every) * every;
}

/** The intervals of each series of a query with `fill: null`. */
export interface Fill {
  /** Start of the first interval, epoch ms. */
  readonly firstMs: number;
  readonly everyMs: number;
  readonly intervals: number;
}

/**
 * Returns the intervals that a query with `fill: null` gives to each series: from the one that contains `fromMs` to the
 * last one that begins before `toMs`; null for any other query.
 */
export function fillOf(query: Omit<ReadingsQuery, 'maxPoints'>): Fill | null {
  const everyMs = everyOf(query);
  if (query.fill !== 'null' || everyMs === null) return null;
  const firstMs = bucketOf(query.fromMs, everyMs);
  return { firstMs, everyMs, intervals: Math.max(0, Math.ceil((query.toMs - firstMs) / everyMs)) };
}

/** A scan of the readings of these devices and metrics in `[fromMs, toMs)`, event time. */
export interface ScanQuery {
  /** Ids without duplicates. */
  readonly devices: readonly string[];
  readonly metrics: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** Readings of a scan as columns of one length; device and metric are positions in the lists of the query. */
export interface ScannedReadings {
  readonly device: Int32Array<ArrayBuffer>;
  readonly metric: Int32Array<ArrayBuffer>;
  /** Epoch ms. */
  readonly ts: Float64Array<ArrayBuffer>;
  readonly value: Float64Array<ArrayBuffer>;
}

/** A reading that the database refused permanently: row `row` of `readings[batch]`, or of `replaced[batch]`. */
export interface RefusedRow {
  readonly of: 'readings' | 'replaced';
  readonly batch: number;
  readonly row: number;
  /** The message of the database. */
  readonly detail: string;
}

/**
 * A store of readings. An embedded store commits its own cursor in the transaction of the readings; a store over the
 * network is idempotent (storing the same reading again changes nothing), so it needs no cursor.
 */
export interface HistoryStore {
  /** Opens the local file, if any; a database over the network need not be up. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Seq of the last block whose readings are in the store; 0 where it is empty or keeps no cursor. */
  cursor(): number;
  /**
   * Stores all rows, and the cursor where it keeps one; they are durable when it resolves. Calls must not overlap. Rows
   * of `replaced` replace an earlier value of the same (device, metric, ts); the last of several wins. Resolves to the
   * rows that the database refused; all others are stored. Throws `history`, retryable, where the outcome of some rows
   * is unknown: call again with the same batches, or with more after them.
   */
  append(
    readings: readonly ReadingColumns[],
    cursor: number,
    replaced?: readonly ReadingColumns[],
  ): Promise<readonly RefusedRow[]>;
  /**
   * Yields the result slice by slice, each on request; a query without a result yields nothing. Everything that can be
   * wrong with the query is thrown before the first slice: `invalid` where there are more than `maxPoints` points.
   */
  read(query: ReadingsQuery, options?: ReadOptions): AsyncIterable<PointsSlice>;
  /** Yields the newest readings, by device, some hundreds at a time. */
  latest(filter: ReadingsFilter): AsyncIterable<readonly LatestReading[]>;
  /**
   * Yields raw readings in order of time, then of device and metric in the query's lists, in batches that are never
   * empty, so that a scan of any length takes little memory. Readings stored meanwhile may be included or not. Ends
   * when its iterator is returned or the signal aborts; it then sends no more statements to the database.
   */
  scan(query: ScanQuery, signal?: AbortSignal): AsyncIterable<ScannedReadings>;
  /** Resolves to the number of stored readings. */
  count(): Promise<number>;
  /**
   * Writes the result of the query, without a limit, to a new Parquet file (ts, device, metric, unit, value) and
   * resolves to its path; the caller deletes it. Nothing is left where it fails or is aborted. Throws `invalid` where
   * the store does not support it.
   */
  exportParquet(query: Omit<ReadingsQuery, 'maxPoints'>, options?: ReadOptions): Promise<string>;
  /**
   * Returns how often what it had confirmed may have been lost since the start, the start included: the database may
   * have ended meanwhile. Absent: never.
   */
  losses?(): number;
  /** Aborts requests over the network, so that `stop` need not wait for them. */
  interrupt?(): void;
}

/** Maintenance of an embedded history; may be called at any time, also while other calls run. */
export interface HistoryUpkeep {
  /**
   * Brings the roll-ups (mean, min, max, sum, count by device, metric and hour, and by UTC day) up to date for every
   * hour that ended at `untilMs` or before and got readings since the last call, also late ones. Idempotent. Resolves
   * to the number of hours that were rolled up.
   */
  rollup(untilMs: number): Promise<number>;
  /**
   * Deletes raw readings older than the hour of `beforeMs`, after rolling them up. From then on, queries of mean, min,
   * max, sum and count with `everyMs` of an hour or more use the roll-ups there. Resolves to the number of deleted
   * readings.
   */
  prune(beforeMs: number): Promise<number>;
  /**
   * Copies the history, as it stands at one moment, into a new file while reads and writes go on. Resolves to the
   * cursor of the copy.
   */
  copyTo(path: string): Promise<number>;
}
