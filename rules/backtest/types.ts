import type { Rule, Severity } from '../../domain/index.ts';

/** What is to be tried, over which stored readings: `[fromMs, toMs)` in the time of the readings, epoch ms. */
export interface BacktestRequest {
  /**
   * A rule, new or changed or in force (`RuleRepository.resolve`). A rule that is in force under the same id, and says something
   * else, is run over the same readings for the difference.
   */
  readonly rule: Rule;
  readonly fromMs: number;
  readonly toMs: number;
}

/** How far a backtest is. Told at most ten times a second. */
export interface BacktestProgress {
  /** 0 to 1: how much of the time asked for (with the warm-up before it) is done. */
  readonly done: number;
  /** ISO 8601 UTC: where in the data it stands. */
  readonly at: string;
  readonly readings: number;
  readonly incidents: number;
}

/** How a backtest is watched and cancelled. One that is cancelled rejects with the signal's reason, within about 50 ms. */
export interface BacktestOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BacktestProgress) => void;
}

/**
 * Runs a backtest. Throws `invalid` (times), `busy`, retryable (another backtest runs), `history` (the history cannot be
 * read).
 */
export type Backtest = (request: BacktestRequest, options?: BacktestOptions) => Promise<BacktestReport>;

/** The ticket that an incident would have opened. */
export interface BacktestTicket {
  readonly service: string;
  readonly department: string;
  /** ISO 8601 UTC: when it should have been resolved. */
  readonly dueAt: string;
  readonly title: string;
  readonly titleZh: string;
}

/** From an alert's firing to its end. Times ISO 8601 UTC. */
export interface BacktestSpan {
  /** `from` of the backtest where it was firing already. */
  readonly firedAt: string;
  /** Null: still firing at the end. */
  readonly resolvedAt: string | null;
  /** The hardest that it reached. */
  readonly severity: Severity;
}

/** An alert that would have fired. */
export interface BacktestIncident extends BacktestSpan {
  readonly group: string;
  /** Empty for the city, and for the rule itself. */
  readonly district: string;
  /** Whether it was firing already when the time asked for began. */
  readonly before: boolean;
  /** The figure at which it fired. */
  readonly value: number | null;
  /** Null where it raises none: the rule only alerts. */
  readonly ticket: BacktestTicket | null;
}

/** What a rule would have done in all. */
export interface BacktestTotals {
  readonly incidents: number;
  readonly tickets: number;
  /** Of the incidents: firing already at the beginning, and still at the end. */
  readonly before: number;
  readonly firing: number;
  /** Episodes that ended before they fired, and those pending at the end. */
  readonly cancelled: number;
  readonly pending: number;
  /** Groups with an incident. */
  readonly groups: number;
  /** Time between firing and end of all incidents, ms. */
  readonly firingMs: number;
  /** Incidents by district, in order of id; `` for those of the city and of the rule itself. */
  readonly districts: readonly { readonly district: string; readonly incidents: number }[];
}

/**
 * What became of an incident of the rule in force: `added` (only now), `gone` (only before), `moved` (of the same group and
 * overlapping, with another begin or end), `regraded` (the same times, another severity).
 */
export interface BacktestChange {
  readonly kind: 'added' | 'gone' | 'moved' | 'regraded';
  readonly group: string;
  readonly district: string;
  /** Under the rule that was tried; null where gone. */
  readonly now: BacktestSpan | null;
  /** Under the rule in force; null where added. */
  readonly inForce: BacktestSpan | null;
}

/** The difference to the rule in force, over the same readings. */
export interface BacktestDifference {
  readonly version: string;
  readonly totals: BacktestTotals;
  /** Of each kind; `same` + `moved` + `regraded` + `added` are the incidents now, with `gone` in its place those in force. */
  readonly counts: { readonly same: number } & Readonly<Record<BacktestChange['kind'], number>>;
  /** The first 10,000, in order of time. */
  readonly changes: readonly BacktestChange[];
}

/** What a backtest found. Plain data. Times ISO 8601 UTC. */
export interface BacktestReport {
  readonly rule: string;
  readonly version: string;
  readonly from: string;
  readonly to: string;
  /** Readings from here on were read first, so that windows, `for` and silence stand at `from` as they would have. */
  readonly warmUpFrom: string;
  /** Devices that the rules take, and their readings that were read, warm-up included. */
  readonly devices: number;
  readonly readings: number;
  readonly tookMs: number;
  readonly totals: BacktestTotals;
  /** The first 10,000, in order of time. */
  readonly incidents: readonly BacktestIncident[];
  /** Null where no rule of this id is in force, or it says the same. */
  readonly difference: BacktestDifference | null;
  /** What went wrong inside the rule, where something did: from then on it was passed over. */
  readonly fault: string | null;
}
