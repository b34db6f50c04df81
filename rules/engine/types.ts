import type { Calendar, KnownDevice, ReadingColumns, Rule, Transition } from '../../domain/index.ts';

/** A position in the journal. */
export interface Moment {
  /** Number of the journal block. */
  readonly seq: number;
  /** When the block was written, epoch ms. Never decreases. */
  readonly atMs: number;
}

/** The rules and what they need of the city. */
export interface RulesInForce {
  readonly rules: readonly Rule[];
  /** By id. A rule whose calendar is missing is always active. */
  readonly calendars: ReadonlyMap<string, Calendar>;
  /** IANA zone of the city, for the hours of an anomaly's season. */
  readonly zone: string;
}

/**
 * The state of one (rule, group) as a checkpoint stores it; null where it is gone. The row of rule `''` is the engine's
 * clock.
 */
export interface StateRow {
  readonly rule: string;
  readonly version: string;
  readonly group: string;
  readonly state: Uint8Array | null;
}

/**
 * Decides when alerts begin and end. Its output is a function of the journal alone: the same live, restored and
 * replayed (promise 4). See `docs/rule-engine.md`. An error in one rule disables only that rule. Every method that
 * takes a moment first runs what came due before it; the transitions of that come first, at their own times.
 */
export interface RuleEngine {
  /**
   * Replaces the rules. A rule whose `version` did not change keeps its state. Alerts of removed and changed rules end:
   * pending → cancelled, firing → resolved, in order of rule and group.
   */
  configure(inForce: RulesInForce, moment: Moment): Transition[];
  /** Adds or changes a device; its alerts under rules that no longer apply to it end. */
  deviceChanged(device: KnownDevice, moment: Moment): Transition[];
  /** Removes a device: its alerts end and its state is deleted. */
  deviceRevoked(device: KnownDevice, moment: Moment): Transition[];
  /** Reads readings in journal order. Readings of unknown devices are ignored. */
  step(readings: ReadingColumns, moment: Moment): Transition[];
  /**
   * Reads stored readings in order of time, for backtests: `ts` of each is its engine time. All transitions get their
   * ids in block `seq`.
   */
  replay(readings: ReadingColumns, seq: number): Transition[];
  /** Runs everything due up to the moment. */
  tick(moment: Moment): Transition[];
  /** Returns the states that changed since the last call; a deleted (rule, group) comes before one that replaces it. */
  takeDirty(): StateRow[];
  /**
   * Restores states; to be called after `configure` and `deviceChanged`, before anything else. The state of a rule,
   * version or device that no longer exists is ignored, and the next `takeDirty` deletes it. Throws `disk` on bytes it
   * cannot read.
   */
  restore(rows: Iterable<StateRow>): void;
  /** Number of (rule, group) pairs that have read a reading or wait for one. */
  instanceCount(): number;
  /** Explains the state of the rule's alert for the group; null where there is no such rule. */
  explain(rule: string, group: string): Explanation | null;
  /** Explains every rule for a device: its own alerts, and those of its district and the city. */
  explainDevice(device: string): Explanation[];
}

/** Why an alert fires or not: the first of these reasons that holds. */
export const EXPLAIN_REASONS = {
  'rule-fault': 'the rule met an error and is disabled until it changes',
  'not-taken': 'the rule does not apply to this group: its where or its profiles exclude it',
  'no-reading': 'no reading of the rule’s metrics has arrived yet',
  unknown: 'too few readings, or still learning: no verdict yet',
  'not-matching': 'the condition is not true',
  'outside-calendar': 'the condition is true, but its calendar is off',
  'waiting-for': 'the condition is true, but has not held long enough',
  'held-by-limit': 'it would fire, but too many groups of the rule already fire',
  'firing-kept': 'the condition is no longer true; the alert keeps firing for a while',
  'firing-silent': 'fires because no reading arrives',
  firing: 'the condition is true',
} as const;
export type ExplainReason = keyof typeof EXPLAIN_REASONS;

/** The state of one (rule, group), and why. Times in epoch ms. */
export interface Explanation {
  readonly rule: string;
  readonly version: string;
  readonly group: string;
  readonly state: 'inactive' | 'pending' | 'firing';
  readonly reason: ExplainReason;
  /** When the present episode started to match; null while inactive. */
  readonly sinceMs: number | null;
  /** When it fires, resolves or is judged again if no reading arrives before; null: never. */
  readonly dueMs: number | null;
  /** Whether the whole condition is true; null while unknown. */
  readonly matches: boolean | null;
  readonly clauses: readonly ClauseExplanation[];
}

/** The present state of one clause. */
export interface ClauseExplanation {
  /** Its place in the rule: `when`, `when.all[1]`. */
  readonly path: string;
  readonly kind: Rule['when']['kind'];
  /** `*` where it is about any metric. */
  readonly metric: string;
  readonly verdict: 'true' | 'false' | 'unknown';
  readonly value: number | null;
  readonly op: 'above' | 'below' | 'outside' | 'equals';
  /** What the value is compared with; null while unknown. */
  readonly threshold: number | readonly [number, number] | null;
  /** The value that ends a match. */
  readonly clear: number | readonly [number, number] | null;
  /** Number of readings that count at present, and the time of the newest. */
  readonly count: number;
  readonly newestMs: number | null;
}
