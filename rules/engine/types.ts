import type { Calendar, KnownDevice, ReadingColumns, Rule, Transition } from '../../domain/index.ts';

/** Where in the journal the engine stands. */
export interface Moment {
  /** Number of the journal block. */
  readonly seq: number;
  /** When the block was written, epoch ms; never decreases. */
  readonly atMs: number;
}

/** What the engine decides by, besides devices. */
export interface RulesInForce {
  readonly rules: readonly Rule[];
  /** By id; a rule whose calendar is missing is active always. */
  readonly calendars: ReadonlyMap<string, Calendar>;
  /** IANA zone of the city: the hours of an anomaly's season. */
  readonly zone: string;
}

/** The state of one instance, for the checkpoint; a null state means that it is gone. The row of rule `''` is the engine's clock. */
export interface StateRow {
  readonly rule: string;
  readonly version: string;
  readonly group: string;
  readonly state: Uint8Array | null;
}

/**
 * Decides when alerts begin and end: a function of the journal alone, the same live, restored and replayed (promise 4).
 * `docs/rule-engine.md` says how. An error in one rule disables that rule alone. Transitions of what came due before the
 * moment come first, at their own times.
 */
export interface RuleEngine {
  /**
   * Replaces the rules. The state of a rule whose `version` did not change is kept; alerts of rules that vanished or
   * changed end: pending → cancelled, firing → resolved, in order of rule and group.
   */
  configure(inForce: RulesInForce, moment: Moment): Transition[];
  /** A device was registered or changed: plans it anew; alerts of rules that no longer match it end. */
  deviceChanged(device: KnownDevice, moment: Moment): Transition[];
  /** A device is gone: its alerts end and its state is forgotten. */
  deviceRevoked(device: KnownDevice, moment: Moment): Transition[];
  /** Feeds readings in journal order. Readings of devices that were never announced are passed over. */
  step(readings: ReadingColumns, moment: Moment): Transition[];
  /**
   * Feeds stored readings in order of their time: each is a moment of its own, `ts` its engine time. For backtests; ids of
   * transitions count on in block `seq`.
   */
  replay(readings: ReadingColumns, seq: number): Transition[];
  /** Time passes: everything due up to the moment happens. */
  tick(moment: Moment): Transition[];
  /** States changed since the last call, each (rule, group) that is gone before one that took its place. */
  takeDirty(): StateRow[];
  /**
   * Takes states back; after `configure` and `deviceChanged`, before anything else. A state of a rule, version or
   * device that is no more is dropped, and given as gone by the next `takeDirty`. Throws `disk` on bytes it cannot read.
   */
  restore(rows: Iterable<StateRow>): void;
  /** How many (rule, group) pairs have met a reading or wait for one. */
  instanceCount(): number;
  /** Why the rule's alert of the group stands as it does; null where the engine has no such rule. */
  explain(rule: string, group: string): Explanation | null;
  /** The same for every rule that is about the device: its own alerts, and those of its district and the city. */
  explainDevice(device: string): Explanation[];
}

/** Why an alert fires, or does not: one reason of the ladder, the first that holds. */
export const EXPLAIN_REASONS = {
  'rule-fault': 'the rule met an error and is disabled until it changes',
  'not-taken': 'the rule does not take this group: its where, or its profiles, leave it out',
  'no-reading': 'no reading of the rule’s metrics has come yet',
  unknown: 'too few readings, or still learning: no verdict yet',
  'not-matching': 'the condition is not true',
  'outside-calendar': 'the condition is true, but its calendar is off',
  'waiting-for': 'the condition is true, but has not held long enough',
  'held-by-limit': 'it would fire, but too many groups of the rule do already',
  'firing-kept': 'the condition is no longer true; the alert is kept firing for a while',
  'firing-silent': 'fires because nothing is heard',
  firing: 'the condition is true',
} as const;
export type ExplainReason = keyof typeof EXPLAIN_REASONS;

/** The alert of one (rule, group) taken apart. Times epoch ms. */
export interface Explanation {
  readonly rule: string;
  readonly version: string;
  readonly group: string;
  readonly state: 'inactive' | 'pending' | 'firing';
  readonly reason: ExplainReason;
  /** When the present episode began to match; null while inactive. */
  readonly sinceMs: number | null;
  /** When it fires, resolves, or is judged again by itself, if no reading comes before; null: never. */
  readonly dueMs: number | null;
  /** Whether the whole condition is true; null while unknown. */
  readonly matches: boolean | null;
  readonly clauses: readonly ClauseExplanation[];
}

/** One clause as it stands. */
export interface ClauseExplanation {
  /** Where it stands in the rule: `when`, `when.all[1]`. */
  readonly path: string;
  readonly kind: Rule['when']['kind'];
  /** `*` where it is about any metric. */
  readonly metric: string;
  readonly verdict: 'true' | 'false' | 'unknown';
  readonly value: number | null;
  readonly op: 'above' | 'below' | 'outside' | 'equals';
  /** What the figure is held against now; null while unknown. */
  readonly threshold: number | readonly [number, number] | null;
  /** What ends a match. */
  readonly clear: number | readonly [number, number] | null;
  /** Readings that count at present, and the newest of them. */
  readonly count: number;
  readonly newestMs: number | null;
}
