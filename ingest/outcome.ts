import type {
  ActionsControl,
  Block,
  ClockControl,
  DeviceSaid,
  KnownDevice,
  NoticesControl,
  ProgressControl,
  ReadingColumns,
  RuleControl,
} from '../domain/index.ts';
import type { CityVersion } from './context.ts';
import type { ImportReport } from './import/report.ts';
import type { Summary } from './summary.ts';
import type { Texts } from './texts.ts';

/**
 * Counts of one device's messages and readings by what happened to them. What names a device that was never registered
 * is counted for who sent it, so that nobody can add rows to the ledger by inventing names.
 */
export interface Tally {
  readonly device: string;
  decoded: number;
  quarantined: number;
  /** Accepted readings, replacements included. */
  stored: number;
  duplicate: number;
  /** The part of `stored` that replaced another value of the same (device, metric, ts). */
  replaced: number;
  refused: number;
  /**
   * By how much the device's clock differed from the receipt of its last message here, ms; absent where it has no time.
   */
  clockMs?: number;
}

/** Returns a tally with every count at zero. */
export const emptyTally = (device: string): Tally => ({
  device,
  decoded: 0,
  quarantined: 0,
  stored: 0,
  duplicate: 0,
  replaced: 0,
  refused: 0,
});

/** Faults of a message, summed up, with all that is needed to show, fix and replay them. */
export interface Refusal extends Summary {
  /** Number of the message when it first came. */
  readonly position: number;
  readonly device: string;
  /** Who pays for its space: the device, or who sent it in the name of one that was never registered. */
  readonly holder: string;
  readonly topic: string;
  /** The name of its format, where the city declares it; absent: the topic says it. */
  readonly format?: string;
  readonly receivedAt: number;
  readonly scope: 'message' | 'reading';
  /** The payload; shared by all refusals of one message. */
  readonly raw: Buffer;
}

/** The result of replaying one entry of the quarantine. */
export interface Replayed {
  /** Id of the entry, `{position}-{ordinal}`. */
  readonly id: string;
  /** The device that it names; once it left the quarantine, who the ledger counted it for. */
  readonly device: string;
  /** The device, where it is registered now; null: it stays with who sent it in the name of the device. */
  readonly holder: string | null;
  readonly scope: 'message' | 'reading';
  /** How many faults the entry stands for. */
  readonly count: number;
  readonly tally: Tally;
  readonly refusals: readonly Refusal[];
}

/** Rows of one device in an import. */
export interface ImportTally {
  readonly device: string;
  stored: number;
  refused: number;
}

/** What ingest makes of a part of an import. */
export interface Imported {
  readonly report: ImportReport;
  readonly tallies: readonly ImportTally[];
  /** Whether the rules take its readings, too. */
  readonly forRules: boolean;
  /** Whether anomalies and forecasts learn from them. */
  readonly trains: boolean;
  /** Whether the ledger counts its rows: not where they were stored before. */
  readonly isCounted: boolean;
}

/** What ingest makes of a block. It is the same for every consumer and at every replay. */
export interface Outcome {
  readonly block: Omit<Block, 'body'>;
  /** Whether the block was read for the first time: only then are live readings and rejections published. */
  readonly fresh: boolean;
  /** New readings, for history and rules. */
  readonly readings: ReadingColumns;
  /** New values for readings that came before: the history replaces the earlier values. */
  readonly replaced: ReadingColumns;
  /** Fault codes instead of readings, for rules; the metric is that of `faultsOf`. */
  readonly faults: ReadingColumns;
  /** The texts that readings of the block have, by their values; absent: none. */
  readonly texts?: Texts;
  readonly tallies: readonly Tally[];
  readonly refusals: readonly Refusal[];
  /** What devices said beside readings, in order. */
  readonly said: readonly DeviceSaid[];
  /** Of a `replay` block only: its tallies and refusals are in here, not above. */
  readonly replays: readonly Replayed[];
  readonly city: CityVersion | null;
  readonly devices: { readonly changed: KnownDevice[]; readonly revoked: KnownDevice[] } | null;
  /** The change of an API rule that a `rule` block carries. */
  readonly rule: RuleControl | null;
  /** What a `clock` block says of the wall clock. */
  readonly clock: ClockControl | null;
  readonly notices: NoticesControl | null;
  readonly progress: ProgressControl | null;
  /** What an `import` block brought; its readings are in `replaced`. */
  readonly imported: Imported | null;
  /** What people did, of an `actions` block; of `city` and `import` blocks, who asked for it. */
  readonly actions: ActionsControl | null;
}

/** Columns as typed arrays that grow: growing plain arrays row by row took a fifth of the engine's time. */
export interface TypedColumns extends ReadingColumns {
  metric: Int32Array;
  ts: Float64Array;
  value: Float64Array;
  suspect: Set<number> | null;
}

/** Creates empty columns with space for `rows` rows. */
export function createColumns(rows: number): TypedColumns {
  return {
    length: 0,
    device: [],
    metric: new Int32Array(rows),
    ts: new Float64Array(rows),
    value: new Float64Array(rows),
    suspect: null,
  };
}

/** Appends one row; the columns grow where they are full. */
export function pushReading(
  columns: TypedColumns,
  device: KnownDevice,
  metric: number,
  ts: number,
  value: number,
): void {
  const i = columns.length++;
  if (i === columns.ts.length) widen(columns);
  columns.device.push(device);
  columns.metric[i] = metric;
  columns.ts[i] = ts;
  columns.value[i] = value;
}

function widen(columns: TypedColumns): void {
  const { metric, ts, value } = columns;
  const wider = createColumns(Math.max(16, ts.length * 2));
  wider.metric.set(metric);
  wider.ts.set(ts);
  wider.value.set(value);
  columns.metric = wider.metric;
  columns.ts = wider.ts;
  columns.value = wider.value;
}

/** Returns about how many bytes the refusals of an outcome hold: each has the payload of its message. */
export function refusedBytes({ refusals, replays }: Outcome): number {
  return [refusals, ...replays.map((one) => one.refusals)].reduce((sum, some) => sum + bytesOf(some), 0);
}

const REFUSAL_BYTES = 512;

function bytesOf(refusals: readonly Refusal[]): number {
  let bytes = 0;
  let last: Buffer | null = null;
  for (const { raw } of refusals) {
    bytes += REFUSAL_BYTES + (raw === last ? 0 : raw.length);
    last = raw;
  }
  return bytes;
}
