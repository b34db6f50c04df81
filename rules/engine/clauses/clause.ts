import type { Band, Clause, Evidence } from '../../../domain/index.ts';
import type { Reader, Writer } from '../bytes.ts';

/** Verdict of a clause or a whole condition (Kleene's three values). */
export const FALSE = 0;
export const TRUE = 1;
export const UNKNOWN = 2;
export type Verdict = typeof FALSE | typeof TRUE | typeof UNKNOWN;
export const VERDICTS = ['false', 'true', 'unknown'] as const;

/** The engine's time, and the city's zone. */
export interface EngineTime {
  /** Engine time without gaps: it stands still while the server is down, ms. */
  readonly k: number;
  /** Length of all gaps and steps of the clock, ms: `k + offset` is engine time. */
  readonly offset: number;
  /** Of these the steps, ms: clauses keep event time without them, `ts - civil`. */
  readonly civil: number;
  /** ms to add to UTC for the city's local time at `ms`. */
  offsetAt(ms: number): number;
}

/** The value of a clause, its window and its limit, as evidence shows them. */
export type ClauseWindow = Omit<Evidence['window'], 'metric'>;

/** One clause over one series: its state and its verdict, which is also its hysteresis. */
export abstract class ClauseState {
  verdict: Verdict = UNKNOWN;

  /** Whether it uses readings of the metric. */
  abstract reads(metric: number): boolean;
  /** Adds a reading of a metric that it `reads`; returns false when it ignores the reading. */
  abstract take(metric: number, ts: number, value: number, time: EngineTime): boolean;
  /** Recomputes the verdict. */
  abstract judge(time: EngineTime): void;
  /** Learns from a reading of the past, of a metric that it `reads`; returns whether that changed it. */
  learn(_ts: number, _value: number, _time: EngineTime): boolean {
    return false;
  }

  /** After the last reading that it learned from. */
  endLesson(): void {}
  /** What is compared with the limit; NaN while unknown. */
  abstract value(time: EngineTime): number;
  abstract window(time: EngineTime): ClauseWindow;
  /** What ends a match; null while unknown. */
  abstract clear(): number | Band | null;
  /** The newest readings behind the value, oldest first. */
  abstract readings(): [number, number][];
  abstract write(to: Writer): void;
  abstract read(from: Reader): void;

  /** Its value; NaN while its verdict is unknown, even where peers have read since. */
  decidedValue(time: EngineTime): number {
    return this.verdict === UNKNOWN ? Number.NaN : this.value(time);
  }

  /** Engine time (without gaps) at which its verdict changes without a reading; Infinity: never. */
  dueK(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** Gives its memory back. It must not be used again. */
  release(): void {}
}

/** Whether a value is beyond a limit. */
export function beyond(op: ClauseWindow['op'], value: number, limit: number | Band): boolean {
  if (typeof limit !== 'number') {
    const [low, high] = limit;
    // A sector past north has the larger angle first.
    return low <= high ? value < low || value > high : value < low && value > high;
  }
  if (op === 'above') return value > limit;
  return op === 'below' ? value < limit : value === limit;
}

/** The verdict of a value with hysteresis. */
export function verdictOf(
  before: Verdict,
  value: number,
  { op, threshold, clear }: { op: ClauseWindow['op']; threshold: number | Band; clear: number | Band },
): Verdict {
  if (Number.isNaN(value)) return UNKNOWN;
  return beyond(op, value, before === TRUE ? clear : threshold) ? TRUE : FALSE;
}

/** The window of a clause in civil time, as evidence shows it. */
export function shownWindow(clause: ClauseState, time: EngineTime): ClauseWindow {
  const window = clause.window(time);
  return { ...window, fromMs: window.fromMs + time.civil, toMs: window.toMs + time.civil };
}

/** A value as evidence shows it: null where it is unknown. */
export function shown(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

/** The metric of a clause; `*` where it is about any. */
export function metricOf(clause: Clause): string {
  return clause.metric ?? '*';
}
