import type { Band, Clause, Evidence } from '../../../domain/index.ts';
import type { Reader, Writer } from '../bytes.ts';

/** What a clause, or a whole condition, says (Kleene's three values). */
export const FALSE = 0;
export const TRUE = 1;
export const UNKNOWN = 2;
export type Verdict = typeof FALSE | typeof TRUE | typeof UNKNOWN;
export const VERDICTS = ['false', 'true', 'unknown'] as const;

/** What a judgement may look at besides its own readings. */
export interface EngineTime {
  /** Engine time that stands still in gaps, ms. */
  readonly k: number;
  /** What engine time is ahead of it, ms. */
  readonly offset: number;
  /** ms to add to UTC for the city's local time. */
  offsetAt(ms: number): number;
}

/** The figure of a clause and what it is held against. */
export type ClauseWindow = Omit<Evidence['window'], 'metric'>;

/** One clause of one series: what it remembers, and its verdict, which is also its hysteresis. */
export abstract class ClauseState {
  verdict: Verdict = UNKNOWN;

  /** Whether readings of the metric are for it. */
  abstract reads(metric: number): boolean;
  /** Takes a reading in; false when it passes it over. `hears` was asked before. */
  abstract take(metric: number, ts: number, value: number, time: EngineTime): boolean;
  /** Takes the verdict anew. */
  abstract judge(time: EngineTime): void;
  /** Its figure; NaN while unknown. */
  abstract value(time: EngineTime): number;
  abstract window(time: EngineTime): ClauseWindow;
  /** What ends a match; null while unknown. */
  abstract clear(): number | Band | null;
  /** The newest readings behind the figure, oldest first. */
  abstract readings(): [number, number][];
  abstract write(to: Writer): void;
  abstract read(from: Reader): void;

  /** Its figure; NaN while its verdict is unknown, whatever others have read since. */
  decidedValue(time: EngineTime): number {
    return this.verdict === UNKNOWN ? Number.NaN : this.value(time);
  }

  /** Engine time (without gaps) at which its verdict changes by itself; Infinity: never. */
  dueK(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** It is not used again. */
  release(): void {}
}

/** Whether a figure is beyond a limit. */
export function beyond(op: ClauseWindow['op'], figure: number, limit: number | Band): boolean {
  if (typeof limit !== 'number') return figure < limit[0] || figure > limit[1];
  if (op === 'above') return figure > limit;
  return op === 'below' ? figure < limit : figure === limit;
}

/** The verdict of a figure with hysteresis. */
export function held(
  before: Verdict,
  figure: number,
  { op, threshold, clear }: { op: ClauseWindow['op']; threshold: number | Band; clear: number | Band },
): Verdict {
  if (Number.isNaN(figure)) return UNKNOWN;
  return beyond(op, figure, before === TRUE ? clear : threshold) ? TRUE : FALSE;
}

/** A figure as evidence shows it. */
export function shown(figure: number): number | null {
  return Number.isNaN(figure) ? null : figure;
}

/** The metric that a clause is shown with. */
export function metricOf(clause: Clause): string {
  return clause.metric ?? '*';
}
