import type { ReadingColumns } from './reading.ts';

/** How readings of one interval become one point. */
export const AGGREGATES = ['mean', 'min', 'max', 'sum', 'count', 'first', 'last'] as const;
export type Aggregate = (typeof AGGREGATES)[number];

/** Which readings: `[fromMs, toMs)` in event time. */
export interface ReadingsQuery {
  readonly devices?: readonly string[];
  readonly district?: string;
  readonly metrics?: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
  /** Interval of downsampling, ms, aligned to the epoch; raw readings where absent. */
  readonly everyMs?: number;
  readonly fn: Aggregate;
  /** Most points in all; one more is an `invalid` error that says how to narrow the query. */
  readonly maxPoints: number;
}

/** Points of one device and metric in time order: [epoch ms, value]. */
export interface Series {
  readonly device: string;
  readonly metric: string;
  readonly unit: string;
  readonly points: readonly (readonly [number, number])[];
}

/** The newest reading of a device and metric. */
export interface LatestReading {
  readonly device: string;
  readonly metric: string;
  readonly unit: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly value: number;
}

/** A store of readings that commits its own cursor in the transaction that holds their effect. */
export interface HistoryStore {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Seq of the last block whose readings are in the store; 0 when empty. */
  cursor(): number;
  /** Stores all rows and the cursor in one transaction; durable when it resolves; calls must not overlap. */
  append(readings: readonly ReadingColumns[], cursor: number): Promise<void>;
  query(query: ReadingsQuery): Promise<Series[]>;
  latest(filter: {
    readonly devices?: readonly string[];
    readonly district?: string;
    readonly metrics?: readonly string[];
  }): Promise<LatestReading[]>;
  /** How many readings are stored in all. */
  count(): Promise<number>;
}
