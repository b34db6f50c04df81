/** Severities, from least to most. */
export const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** How the readings of a window become one figure. */
export const WINDOW_FUNCTIONS = [
  'mean',
  'min',
  'max',
  'sum',
  'count',
  'p50',
  'p95',
  'stddev',
  'rate',
  'delta',
] as const;
export type WindowFunction = (typeof WINDOW_FUNCTIONS)[number];

/**
 * Which reading, or which figure of a sliding window in event time. A figure that cannot be taken yet (`stddev`, `rate`
 * and `delta` of fewer than two readings) is unknown.
 * - `last`: the newest reading by event time; of equal times the later to come. Has no window.
 * - `mean`, `min`, `max`, `sum`, `count`.
 * - `p50`, `p95`: nearest rank, ⌊q·n + 0.5⌋ counted from 1, always a value that was measured.
 * - `stddev`: of a sample (n − 1).
 * - `delta`: the newest less the oldest reading of the window; `rate`: that by their distance, in units an hour.
 */
export interface WindowAggregate {
  readonly metric: string;
  readonly fn: 'last' | WindowFunction;
  /** Length of the window, ms; 0 for `last`. */
  readonly windowMs: number;
}

/** Two bounds; or a value and the same again. */
export type Band = readonly [low: number, high: number];

/**
 * A figure beyond a limit. It starts to match strictly beyond it; while matching, it holds until the figure is at or back
 * past `clear` (hysteresis). `outside` starts below `low` or above `high`, and holds while outside `clear`; `equals`
 * matches while the figure is the limit.
 */
export interface ThresholdCondition extends WindowAggregate {
  readonly kind: 'threshold';
  readonly op: 'above' | 'below' | 'outside' | 'equals';
  /** A number; for `outside` a band. */
  readonly threshold: number | Band;
  /** Of the same shape; the threshold where the author gave none. */
  readonly clear: number | Band;
  /** Where given, not the figure itself is held against the limit, but how it differs from another. */
  readonly compare: Comparison | null;
}

/**
 * The other figure is taken by the same function over the same window: of another metric of the same group, or the median
 * over the other devices of the same profile in the district that the rule also takes, of which at least three must have a
 * figure whose newest reading is at most `withinMs` older than the own newest (median of an even number: the mean of the
 * middle two). `difference` is own − other, `ratio` own / other (unknown where the other is 0). Judged when the own
 * metric is read, and with another metric also when that is.
 */
export interface Comparison {
  readonly with: { readonly metric: string } | 'peers';
  readonly as: 'difference' | 'ratio';
  readonly withinMs: number;
}

/** No reading came for so long, by engine time: since the last one, since the device was registered, since the rule is in force. */
export interface AbsentCondition {
  readonly kind: 'absent';
  /** Null: of any metric. */
  readonly metric: string | null;
  readonly absentMs: number;
}

/**
 * All readings of the window lie within `within` of one another (max − min ≤ within; once matching, the same): a stuck
 * sensor. Unknown before the series is as old as the window (from the oldest reading that ever counted to the newest, by
 * event time), and while the window holds fewer than three readings or they span less than half of it.
 */
export interface FlatCondition {
  readonly kind: 'flat';
  readonly metric: string;
  readonly windowMs: number;
  readonly within: number;
}

/**
 * The newest reading lies more than `by` from another of the window: over its minimum (`up`), under its maximum (`down`), or
 * the larger of both (`either`). Holds until the difference is at most `clear`. Unknown with fewer than two readings.
 */
export interface JumpCondition {
  readonly kind: 'jump';
  readonly metric: string;
  readonly windowMs: number;
  readonly by: number;
  readonly clear: number;
  readonly direction: 'up' | 'down' | 'either';
}

/**
 * A figure far from what the season lets expect: |figure − median| > deviations × spread, where median and spread
 * (1.4826 × the median absolute deviation, at least `leastSpread`) are those of remembered figures of the same slot of the
 * season and its two neighbours. A slot is an hour of the local day (season `1d`) or week (`1w`, from Monday).
 *
 * Remembering: with n = ⌈train / season⌉ and per = max(1, ⌊16 / n⌋), a slot keeps its newest n × per figures; a figure is
 * taken, after it was judged, when it is at least 1 h / per (event time) newer than the slot's newest. What counts at T:
 * those with T − train ≤ ts ≤ T − season / 2. Unknown with fewer than 12 of them ("learning"). Readings out of order count
 * for the figure's window, but are neither judged nor remembered.
 */
export interface AnomalyCondition extends WindowAggregate {
  readonly kind: 'anomaly';
  readonly seasonMs: 86_400_000 | 604_800_000;
  readonly deviations: number;
  readonly trainMs: number;
  readonly leastSpread: number;
}

/**
 * The value expected within the time ahead is beyond the threshold; `clear` as in a threshold.
 * - `trend`: least squares over the readings of the last `overMs` (in slices); the figure is the larger (`above`) or smaller
 *   (`below`) of the newest value and the line's value at T + within. A value in order that is more than `reset` against the
 *   direction from the newest before it (a bin was emptied) starts the line anew with itself; older readings then no longer
 *   count. Unknown with fewer than five readings or where they span less than a quarter of `overMs`.
 * - `holt_winters`: additive, of hourly means by UTC, season 24 (`1d`) or 168 (`1w`) hours, α 0.2, β 0.05, γ 0.3; learns two
 *   full seasons first (an hour without readings is given the value of the hour before); later such hours are expected to
 *   have gone as forecast. A gap of more than a season starts it anew. The figure is the largest (smallest) of the newest
 *   value and the forecasts of the hours that begin within `withinMs`. Readings of closed hours are ignored.
 */
export interface ForecastCondition {
  readonly kind: 'forecast';
  readonly metric: string;
  readonly method: 'trend' | 'holt_winters';
  readonly withinMs: number;
  /** What the line is laid through; `trend` only. */
  readonly overMs: number;
  /** Null: never anew; `trend` only. */
  readonly reset: number | null;
  /** `holt_winters` only. */
  readonly seasonMs: 86_400_000 | 604_800_000;
  readonly op: 'above' | 'below';
  readonly threshold: number;
  readonly clear: number;
}

/** One clause: what a single series is held against. */
export type Clause =
  | ThresholdCondition
  | AbsentCondition
  | FlatCondition
  | JumpCondition
  | AnomalyCondition
  | ForecastCondition;

/**
 * Clauses together, in three values (Kleene): an unknown clause neither fires nor resolves by itself; `all` is false with
 * one false clause, `any` true with one true, `not` of unknown is unknown. A rule matches only where the whole is true. A
 * clause keeps its verdict until its own metric is read again: silence changes nothing.
 */
export type Condition =
  | Clause
  | { readonly kind: 'all' | 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition };

/** When enough devices of a group match, each by itself: a number of them, or a share (percent, 0 to 100) of those that the rule takes. */
export type Quorum = { readonly devices: number } | { readonly percent: number };

/** What a rule is about: one alert a device, a district or the city at a time. */
export const GROUPINGS = ['device', 'district', 'city'] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** A rule, checked and with its defaults filled in. */
export interface Rule {
  readonly id: string;
  /** First 12 hex digits of the SHA-256 of its canonical JSON: changes when the rule changes. */
  readonly version: string;
  /** May hold `{{device.name}}`, `{{device.id}}`, `{{district}}`, `{{value}}`. */
  readonly title: string;
  /** Same in Chinese; the title where the author gave none. */
  readonly titleZh: string;
  /**
   * With `district` and `city` the readings of all devices that the rule takes go into one window; with a quorum each device
   * has its own and the group counts those that match.
   */
  readonly forEach: Grouping;
  /** Every list must hold the device's; an empty object matches all. */
  readonly where: {
    readonly profile?: readonly string[];
    readonly district?: readonly string[];
    readonly device?: readonly string[];
    readonly tags?: Readonly<Record<string, string>>;
  };
  /** Profiles that measure every metric of the condition: a rule takes devices of these only. */
  readonly profiles: readonly string[];
  readonly when: Condition;
  readonly quorum: Quorum | null;
  /** How long the condition must hold before the alert fires, ms. */
  readonly forMs: number;
  /** How long the alert goes on firing after the condition has ended, ms. */
  readonly keepFiringForMs: number;
  /** A reading that is older than this when it comes is passed over (an absent clause still hears it), ms; null: none is. */
  readonly latenessMs: number | null;
  /** Id of the calendar outside of whose times the condition does not match; null: always. */
  readonly active: string | null;
  readonly severity: Severity;
  /** Further steps of the (only) clause's figure, the next harder each: one alert that escalates, and never goes back while it fires. */
  readonly steps: readonly { readonly at: number; readonly severity: Severity }[];
  /**
   * What silence means: `keep` changes nothing; `resolve` ends the alert; `alert` fires it at once. Silence: no reading
   * that counted came for `noDataAfterMs` by engine time (since the device was registered, since the rule is in force).
   */
  readonly onNoData: 'keep' | 'resolve' | 'alert';
  readonly noDataAfterMs: number;
  /** An alert that has begun to fire `times` times within `withinMs` ends only when its condition has not matched for `withinMs`. */
  readonly flapping: { readonly times: number; readonly withinMs: number } | null;
  /** How many groups may fire at a time; beyond it the rule's limit alarm fires in their place. */
  readonly limit: number;
  /** The ticket it raises; none where the rule only alerts. */
  readonly ticket?: { readonly service: string; readonly deadlineMs: number };
  /** The source as its author wrote it (YAML), for evidence. */
  readonly source: string;
  /** `file:<path>` or `api:<key id>`. */
  readonly origin: string;
}

/** Groups that stand for the rule itself; no device, district or city has such an id. */
export const LIMIT_GROUP = '~limit';
export const FAULT_GROUP = '~fault';
/** The only group of a rule `for_each: city`. */
export const CITY_GROUP = 'city';

/** Local times at which rules are active or deadlines run. */
export interface Calendar {
  readonly id: string;
  readonly title: { readonly en: string; readonly zh: string };
  /** IANA zone. */
  readonly zone: string;
  /** Spans of local time, [from, to) in minutes of the day; a span with to ≤ from ends on the next day. 1 is Monday (ISO 8601). */
  readonly spans: readonly { readonly weekdays: readonly number[]; readonly fromMin: number; readonly toMin: number }[];
  /** Local dates (`2026-10-01`) on which no span begins. */
  readonly holidays: readonly string[];
  /** Local dates on which the spans of `weekday` begin, whatever the day (make-up working days). */
  readonly workdays: readonly { readonly date: string; readonly weekday: number }[];
}
