import type { Measure } from './kind.ts';
import type { DAY_MS, WEEK_MS } from './time.ts';

/** Severities, from lowest to highest. */
export const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Functions that aggregate the readings of a window to one value. */
export const WINDOW_FUNCTIONS = [
  'mean',
  'min',
  'max',
  'sum',
  'count',
  'p10',
  'p50',
  'p90',
  'p95',
  'stddev',
  'rate',
  'delta',
  'changes',
  'share',
  'faults',
] as const;
export type WindowFunction = (typeof WINDOW_FUNCTIONS)[number];

/**
 * An aggregate of a metric over a sliding window in event time, or its newest reading. It is unknown while there are
 * too few readings (`stddev`, `rate` and `delta` need two).
 * - `last`: the newest reading by event time; of equal times the later arrival. Has no window.
 * - `mean`, `min`, `max`, `sum`, `count`.
 * - `p10`, `p50`, `p90`, `p95`: nearest rank, ⌊q·n + 0.5⌋ counted from 1; at least 1: always a measured value.
 * - `stddev`: sample standard deviation (n − 1).
 * - `delta`: the newest minus the oldest reading of the window; `rate`: the delta divided by their distance, in units
 *   per hour.
 * - `changes`: how many readings of a state differ from the one before in the window.
 * - `share`: of the time from the oldest to the newest reading of the window, how much the state had one of the values
 *   `states`, percent; each value holds until the next reading. Needs two readings.
 * - `faults`: how many of the values were fault codes, percent.
 * Of a metric that is not a gauge (`measure`), `delta` and `rate` of a counter and `sum`, which is its delta, are what
 * it counted; `mean` and `stddev` of an angle are circular, and its `delta` the shortest turn; `mean` of a level is
 * Leq.
 */
export interface WindowAggregate {
  readonly metric: string;
  readonly fn: 'last' | WindowFunction;
  /** Length of the window, ms; 0 for `last`. */
  readonly windowMs: number;
  /** Absent for a gauge. */
  readonly measure?: Measure;
  /** Of a state, the codes that `is`, `is_not` and `share` are about. */
  readonly states?: readonly number[];
}

/** A lower and an upper bound; they may be equal. Of an angle, a sector, clockwise from the first to the second. */
export type Band = readonly [low: number, high: number];

/**
 * A value beyond a limit. It starts to match strictly beyond the limit. A match ends when the value is at `clear` or
 * back past it (hysteresis). `outside` starts below `low` or above `high`, and ends within `clear`; `equals` matches
 * while the value is the limit. `is` matches while a state has one of the values `states`, `is_not` while it has
 * another.
 */
export interface ThresholdCondition extends WindowAggregate {
  readonly kind: 'threshold';
  readonly op: 'above' | 'below' | 'outside' | 'equals' | 'is' | 'is_not';
  /** A number; for `outside` a band; 0 for `is` and `is_not`. */
  readonly threshold: number | Band;
  /** Of the same shape; equal to the threshold where the author wrote none. */
  readonly clear: number | Band;
  /** Where given, the limit applies to the difference from another aggregate, not to the aggregate itself. */
  readonly compare: Comparison | null;
}

/**
 * The other aggregate has the same function and window. It is that of another metric of the same group, or the median
 * of the other devices of the same profile and district to which the rule applies (of an even number the mean of the
 * middle two). At least three of these must have a value whose newest reading is at most `withinMs` older than the own
 * newest. `difference` is own − other, `ratio` own / other (unknown where the other is 0). Judged at readings of the
 * own metric, and of the other metric where there is one.
 */
export interface Comparison {
  readonly with: { readonly metric: string } | 'peers';
  readonly as: 'difference' | 'ratio';
  readonly withinMs: number;
}

/**
 * No reading arrived for `absentMs` of engine time, counted from the last reading, the registration of the device or
 * the start of the rule.
 */
export interface AbsentCondition {
  readonly kind: 'absent';
  /** Null: of any metric. */
  readonly metric: string | null;
  readonly absentMs: number;
}

/**
 * A stuck sensor: max − min of the window is at most `within`. Unknown until the series is as old as the window (from
 * the oldest reading that ever counted to the newest, by event time), and while the window holds fewer than three
 * readings or they span less than half of it.
 */
export interface FlatCondition {
  readonly kind: 'flat';
  readonly metric: string;
  readonly windowMs: number;
  readonly within: number;
}

/**
 * The newest reading is more than `by` above the minimum of the window (`up`), below its maximum (`down`), or one of
 * the two (`either`: the larger difference counts). Ends when the difference is at most `clear`. Unknown with fewer
 * than two readings.
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
 * A value that differs from what is usual in its season: |value − median| > deviations × spread. Median and spread
 * (1.4826 × the median absolute deviation, at least `leastSpread`) are those of the stored samples of the same slot of
 * the season and its neighbours: one to each side; two or three where fewer are not enough and their samples are of
 * three quarters of the seasons that `train` has. A slot is an hour of the local day (season `1d`) or week (`1w`, from
 * Monday).
 *
 * With n = ⌈train / season⌉ and per = max(1, ⌊16 / n⌋), a slot stores its newest n × per samples. A value becomes a
 * sample after it was judged, when it is at least 1 h / per (event time) newer than the slot's newest. At time T the
 * samples with T − train ≤ ts ≤ T − season / 2 count; the season of one is (T − ts) / season, rounded. Enough are 12;
 * unknown with fewer ("learning"). Readings out of order count for the window of the value, but are neither judged nor
 * stored as samples.
 */
export interface AnomalyCondition extends WindowAggregate {
  readonly kind: 'anomaly';
  readonly seasonMs: typeof DAY_MS | typeof WEEK_MS;
  readonly deviations: number;
  readonly trainMs: number;
  readonly leastSpread: number;
}

/**
 * The value that is expected within `withinMs` is beyond the threshold; `clear` as in a threshold.
 * - `trend`: least squares over the readings of the last `overMs` (in slices). The value is the larger (`above`) or
 *   smaller (`below`) of the newest reading and the line at T + within. A reading in order that moves more than `reset`
 *   against the direction (a bin was emptied) starts a new line with itself; older readings then no longer count.
 *   Unknown with fewer than five readings or where they span less than a quarter of `overMs`.
 * - `holt_winters`: additive, of hourly means in UTC, season 24 (`1d`) or 168 (`1w`) hours, α 0.2, β 0.05, γ 0.3. It
 *   learns two full seasons first (an hour without readings gets the value of the hour before); later such hours get
 *   their forecast. A gap of more than a season starts learning again. The value is the largest (smallest) of the
 *   newest reading and the forecasts of the hours that begin within `withinMs`. Readings of closed hours are ignored.
 */
export interface ForecastCondition {
  readonly kind: 'forecast';
  readonly metric: string;
  readonly method: 'trend' | 'holt_winters';
  readonly withinMs: number;
  /** Length of the window of the line; `trend` only. */
  readonly overMs: number;
  /** Null: no new line; `trend` only. */
  readonly reset: number | null;
  /** `holt_winters` only. */
  readonly seasonMs: typeof DAY_MS | typeof WEEK_MS;
  readonly op: 'above' | 'below';
  readonly threshold: number;
  readonly clear: number;
}

/** One clause: a condition on a single series. */
export type Clause =
  | ThresholdCondition
  | AbsentCondition
  | FlatCondition
  | JumpCondition
  | AnomalyCondition
  | ForecastCondition;

/**
 * Clauses combined in Kleene's three-valued logic: `all` is false with one false clause, `any` is true with one true
 * clause, `not` of unknown is unknown. A rule matches only where the whole is true. A clause keeps its verdict until
 * the next reading of its metric: silence changes nothing.
 */
export type Condition =
  | Clause
  | { readonly kind: 'all' | 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition };

/**
 * How many devices of a group must match, each by itself: a number, or a percentage (0 to 100) of those the rule
 * applies to.
 */
export type Quorum = { readonly devices: number } | { readonly percent: number };

/** What a rule has one alert for: each device, each district or the city. */
export const GROUPINGS = ['device', 'district', 'city'] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** A valid rule with its defaults filled in. */
export interface Rule {
  readonly id: string;
  /** First 12 hex digits of the SHA-256 of its canonical JSON. */
  readonly version: string;
  /** May hold `{{device.name}}`, `{{device.id}}`, `{{district}}`, `{{value}}`. */
  readonly title: string;
  /** The title in Chinese; equal to `title` where the author wrote none. */
  readonly titleZh: string;
  /**
   * With `district` and `city` the readings of all devices that the rule applies to share one window; with a quorum
   * each device has its own window and the group counts the devices that match.
   */
  readonly forEach: Grouping;
  /** A device must match every list and every tag; an empty object matches all devices. */
  readonly where: {
    readonly profile?: readonly string[];
    readonly district?: readonly string[];
    readonly device?: readonly string[];
    readonly tags?: Readonly<Record<string, string>>;
  };
  /** Profiles that measure every metric of the condition; the rule applies to devices of these only. */
  readonly profiles: readonly string[];
  readonly when: Condition;
  readonly quorum: Quorum | null;
  /** How long the condition must hold before the alert fires, ms. */
  readonly forMs: number;
  /** How long the alert keeps firing after the condition has ended, ms. */
  readonly keepFiringForMs: number;
  /** A reading that is older than this on arrival is ignored, also by an absent clause, ms; null: none is ignored. */
  readonly latenessMs: number | null;
  /**
   * `ignore`: a value that its message calls suspect counts for no clause but `absent`. Absent: it counts as any other.
   */
  readonly suspect?: 'ignore';
  /** Id of the calendar within whose times the condition can match; null: always. */
  readonly active: string | null;
  readonly severity: Severity;
  /**
   * Further limits of the only clause, each with a higher severity. The alert escalates, and never goes back while it
   * fires.
   */
  readonly steps: readonly { readonly at: number; readonly severity: Severity }[];
  /**
   * What silence does: `keep` changes nothing, with `resolve` the alert no longer matches, with `alert` it matches.
   * Silence means that no reading that counts arrived for `noDataAfterMs` of engine time; where none ever did, for
   * `noDataGraceMs` since the device was registered or the rule began, whichever is later.
   */
  readonly onNoData: 'keep' | 'resolve' | 'alert';
  readonly noDataAfterMs: number;
  readonly noDataGraceMs: number;
  /** With `alert`: how long the silence goes on before the alert fires, ms; `forMs` is about the condition. */
  readonly noDataForMs: number;
  /**
   * An alert that began to fire `times` times within `withinMs` ends only after its condition has not matched for
   * `withinMs`.
   */
  readonly flapping: { readonly times: number; readonly withinMs: number } | null;
  /** How many groups can fire at a time; beyond that the limit alarm of the rule fires instead. */
  readonly limit: number;
  /** The ticket that it opens; absent where the rule only alerts. */
  readonly ticket?: { readonly service: string; readonly deadlineMs: number };
  /** The text as its author wrote it (YAML), for evidence. */
  readonly source: string;
  /** `file:<path>` or `api:<key id>`. */
  readonly origin: string;
}

/** Groups of alarms about the rule itself; no device, district or city has such an id. */
export const LIMIT_GROUP = '~limit';
export const FAULT_GROUP = '~fault';
/** The only group of a rule with `for_each: city`. */
export const CITY_GROUP = 'city';

/** The local times at which rules are active or deadlines run. */
export interface Calendar {
  readonly id: string;
  readonly title: { readonly en: string; readonly zh: string };
  /** IANA zone. */
  readonly zone: string;
  /**
   * Spans of local time, [from, to) in minutes of the day; a span with to ≤ from ends on the next day. 1 is Monday (ISO
   * 8601).
   */
  readonly spans: readonly { readonly weekdays: readonly number[]; readonly fromMin: number; readonly toMin: number }[];
  /** Local dates (`2026-10-01`) on which no span begins. */
  readonly holidays: readonly string[];
  /** Local dates (make-up working days) on which the spans of `weekday` begin instead of those of their own weekday. */
  readonly workdays: readonly { readonly date: string; readonly weekday: number }[];
}
