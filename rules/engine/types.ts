import type {
  Calendar,
  KnownDevice,
  LocalText,
  ReadingColumns,
  Rule,
  ThresholdCondition,
  Transition,
} from '../../domain/index.ts';

/** A position in the journal. */
export interface Moment {
  /** Number of the journal block. */
  readonly seq: number;
  /** Civil time when the block was written, epoch ms. */
  readonly atMs: number;
  /** Civil minus steady time of the block, ms; absent: 0. */
  readonly offsetMs?: number;
  /** Whether the server was down since the block before, however short that was. */
  readonly afterDown?: boolean;
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
   * Replaces the rules. A rule that decides the same keeps its state, whatever its words are. Alerts of removed rules
   * end: pending → cancelled, firing → resolved, in order of rule and group. A firing alert of a changed rule goes on
   * until the changed condition is known not to match; a pending one begins anew.
   */
  configure(inForce: RulesInForce, moment: Moment): Transition[];
  /** Adds or changes a device; its alerts under rules that no longer apply to it end. */
  deviceChanged(device: KnownDevice, moment: Moment): Transition[];
  /** Removes a device: its alerts end and its state is deleted. */
  deviceRevoked(device: KnownDevice, moment: Moment): Transition[];
  /** Reads readings in journal order. Readings of unknown devices are ignored. */
  step(readings: ReadingColumns, moment: Moment): Transition[];
  /** Lets anomalies and forecasts learn from readings of the past. No verdict changes by it, and nothing fires. */
  train(readings: ReadingColumns, moment: Moment): Transition[];
  /**
   * Reads stored readings in order of time, for backtests: `ts` of each is its engine time. All transitions get their
   * ids in block `seq`.
   */
  replay(readings: ReadingColumns, seq: number): Transition[];
  /** Civil minus steady time of the newest block, ms. */
  civilOffsetMs(): number;
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

/** Why an alert fires or not, in words for operators: the first of these reasons that holds. */
export const EXPLAIN_REASONS = {
  'rule-fault': { en: 'The rule met an error and is disabled until it changes', zh: '规则出错，修改前停用' },
  'not-taken': {
    en: 'The rule does not apply to it: its where or its profiles leave it out',
    zh: '不在规则的适用范围内',
  },
  'no-reading': { en: 'No reading of the rule’s metrics has arrived yet', zh: '尚未收到该规则所需指标的读数' },
  unknown: { en: 'Too few readings, or still learning: no verdict yet', zh: '读数不足或仍在学习，暂无结论' },
  'not-matching': { en: 'The condition is not true', zh: '条件不成立' },
  'outside-calendar': { en: 'The condition is true, but its calendar is off', zh: '条件成立，但不在生效时段内' },
  'waiting-for': { en: 'The condition is true, but has not held long enough', zh: '条件成立，但持续时间不足' },
  'held-by-limit': {
    en: 'It would fire, but too many groups of the rule fire already',
    zh: '本应报警，但该规则同时报警的对象已达上限',
  },
  'firing-kept': {
    en: 'The condition is no longer true; the alert keeps firing for a while',
    zh: '条件已不成立，报警仍保持一段时间',
  },
  'firing-silent': { en: 'Fires because no reading arrives', zh: '因收不到数据而报警' },
  firing: { en: 'Fires: the condition is true', zh: '正在报警：条件成立' },
} as const satisfies Readonly<Record<string, LocalText>>;
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
  readonly op: ThresholdCondition['op'];
  /** What the value is compared with; null while unknown. */
  readonly threshold: number | readonly [number, number] | null;
  /** The value that ends a match. */
  readonly clear: number | readonly [number, number] | null;
  /** Number of readings that count at present, and the time of the newest. */
  readonly count: number;
  readonly newestMs: number | null;
}
