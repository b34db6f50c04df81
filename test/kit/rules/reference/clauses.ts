import type { Band, Clause, ForecastCondition, Rule, ThresholdCondition } from '../../../../domain/index.ts';
import type { Instant } from './journal.ts';
import { clausesOf, DAY } from './kit.ts';
import { addSample, expected, holtWinters, hourIsOpen, type SeasonSample, slotOf, trend } from './seasons.ts';
import { aggregate, cut, median, newestMs, type Reading, takes, tooFull, type Window } from './windows.ts';

export type Verdict = 'true' | 'false' | 'unknown';

/** All readings of a clause of one group (with a quorum: of one device), and its verdict. */
export interface Course {
  readonly path: string;
  readonly clause: Clause;
  /** In order of arrival. */
  own: Reading[];
  /** Readings of the other metric of a comparison. */
  readonly other: Reading[];
  readonly memory: SeasonSample[];
  /** Where the line of a trend begins. */
  lineFromMs: number;
  verdict: Verdict;
  /** The value as of now; the verdict is as of the last judgement. */
  value: () => number | null;
  /** What an anomaly allowed at the last judgement. */
  allowed: Band | null;
  /** `absent`: the start of the silence, and whether it has been long enough. */
  since: Instant;
  silent: boolean;
}

/** What a judgement uses besides the clause itself. */
export interface ClauseContext {
  readonly now: Instant;
  readonly zone: string;
  /** The readings of the same clause for each other device of the district and profile. */
  peers(): Reading[][];
  /** Marks all later decisions as not exact. */
  inexact(): void;
}

/** The clauses of a rule before any reading. */
export function coursesOf({ when }: Rule, now: Instant): Course[] {
  return clausesOf(when).map(({ path, clause }) => ({
    path,
    clause,
    own: [],
    other: [],
    memory: [],
    lineFromMs: Number.NEGATIVE_INFINITY,
    verdict: clause.kind === 'absent' ? 'false' : 'unknown',
    value: () => null,
    allowed: null,
    since: now,
    silent: false,
  }));
}

/** Length of the window of a clause, ms; 0: only the newest reading. */
export function windowMs(clause: Clause): number {
  if (clause.kind === 'absent') return 0;
  if (clause.kind === 'forecast') return clause.method === 'trend' ? clause.overMs : 0;
  return clause.windowMs;
}

/** Gives a reading to the clause; returns whether the clause used it; a late one is not used. */
export function takeReading(
  course: Course,
  metric: string,
  reading: Reading,
  late: boolean,
  context: ClauseContext,
): boolean {
  const { clause } = course;
  if (late) return false;
  if (clause.kind === 'absent') {
    if (clause.metric !== null && clause.metric !== metric) return false;
    if (context.now.atMs - reading.ts > DAY) return false;
    Object.assign(course, { since: context.now, silent: false, verdict: 'false' });
    return true;
  }
  if (clause.metric === metric) return takeOwn(course, reading, context);
  const compared = clause.kind === 'threshold' ? clause.compare?.with : undefined;
  if (compared === undefined || compared === 'peers' || compared.metric !== metric) return false;
  if (!takes(course.other, windowMs(clause), reading)) return false;
  course.other.push(reading);
  judge(course, context);
  return true;
}

function takeOwn(course: Course, reading: Reading, context: ClauseContext): boolean {
  const { clause, own } = course;
  const inOrder = reading.ts >= newestMs(own);
  if (clause.kind === 'forecast') {
    if (clause.method === 'holt_winters' && !hourIsOpen(own, reading)) return false;
    if (clause.method === 'trend' && !takes(own, clause.overMs, reading)) return false;
    if (clause.method === 'trend' && reading.ts < course.lineFromMs) return false;
    if (inOrder && emptied(clause, own, reading)) {
      course.own = [];
      course.lineFromMs = reading.ts;
    }
  } else if (!takes(own, windowMs(clause), reading)) return false;
  course.own.push(reading);
  if (clause.kind !== 'anomaly' || inOrder) judge(course, context);
  return true;
}

function emptied({ reset, op, method }: ForecastCondition, own: readonly Reading[], { value }: Reading): boolean {
  const before = own.toSorted((a, b) => a.ts - b.ts).at(-1);
  if (reset === null || method !== 'trend' || before === undefined) return false;
  return (op === 'above' ? before.value - value : value - before.value) > reset;
}

function judge(course: Course, context: ClauseContext): void {
  const { clause, own } = course;
  const held = course.verdict === 'true';
  course.value = () => presentValue(course, context);
  const value = course.value();
  if (clause.kind === 'anomaly') judgeSeason(course, value, context);
  else course.verdict = value === null ? 'unknown' : beyond(clause, value, held) ? 'true' : 'false';
  const window = cut(own, windowMs(clause));
  if ('fn' in clause && /^p\d/.test(clause.fn) && window !== null && tooFull(window, clause.windowMs))
    context.inexact();
}

function judgeSeason(course: Course, value: number | null, { zone, inexact }: ClauseContext): void {
  const { clause, memory, own } = course;
  if (clause.kind !== 'anomaly') return;
  const ts = newestMs(own);
  const slot = slotOf(clause, zone, ts);
  course.allowed = expected(clause, memory, { ts, slot });
  if (value === null || course.allowed === null) course.verdict = 'unknown';
  // Exactly on the edge rounding decides.
  else if (course.allowed.some((edge) => Math.abs(value - edge) < 1e-9)) inexact();
  else course.verdict = value < course.allowed[0] || value > course.allowed[1] ? 'true' : 'false';
  if (value !== null) addSample(clause, memory, { ts, slot, value });
}

function presentValue({ clause, own, other }: Course, context: ClauseContext): number | null {
  if (clause.kind === 'forecast') return clause.method === 'trend' ? trend(clause, own) : holtWinters(clause, own);
  const window = cut(own, windowMs(clause));
  if (clause.kind === 'flat') return spread(own, window, clause.windowMs);
  if (clause.kind === 'jump') return distance(window, clause.direction);
  if (clause.kind === 'absent') return null;
  const value = aggregate(clause.fn, window);
  if (clause.kind === 'anomaly' || clause.compare === null) return value;
  const against =
    clause.compare.with === 'peers'
      ? peersMedian(clause, newestMs(own), context)
      : aggregate(clause.fn, cut(other, clause.windowMs));
  if (value === null || against === null) return null;
  if (clause.compare.as === 'difference') return value - against;
  return against === 0 ? null : value / against;
}

function peersMedian(
  { fn, windowMs, compare }: ThresholdCondition,
  newest: number,
  context: ClauseContext,
): number | null {
  const values = context
    .peers()
    .filter((series) => newestMs(series) >= newest - compare!.withinMs)
    .map((series) => aggregate(fn, cut(series, windowMs)))
    .filter((value) => value !== null);
  return values.length < 3 ? null : median(values);
}

function spread(own: readonly Reading[], window: Window | null, length: number): number | null {
  if (window === null || window.readings.length < 3) return null;
  if (window.toMs - Math.min(...own.map(({ ts }) => ts)) < length) return null;
  if (window.toMs - window.readings[0]!.ts < length / 2) return null;
  return aggregate('max', window)! - aggregate('min', window)!;
}

function distance(window: Window | null, direction: 'up' | 'down' | 'either'): number | null {
  if (window === null || window.readings.length < 2) return null;
  const newest = window.readings.at(-1)!.value;
  const up = newest - aggregate('min', window)!;
  const down = aggregate('max', window)! - newest;
  return direction === 'up' ? up : direction === 'down' ? down : Math.max(up, down);
}

/** Whether the value is beyond the limit, or beyond `clear` where it matched before. */
function beyond(clause: Clause, value: number, held: boolean): boolean {
  if (clause.kind === 'flat') return value <= clause.within;
  if (clause.kind === 'jump') return value > (held ? clause.clear : clause.by);
  if (clause.kind === 'absent' || clause.kind === 'anomaly') return false;
  const limit = held ? clause.clear : clause.threshold;
  if (clause.op === 'equals') return value === clause.threshold;
  if (typeof limit !== 'number') return value < limit[0] || value > limit[1];
  return clause.op === 'above' ? value > limit : value < limit;
}

/** The value of a clause now (`absent`: seconds of silence); null while its verdict is unknown. */
export function decidedValueOf({ clause, verdict, value, since }: Course, now: Instant): number | null {
  if (verdict === 'unknown') return null;
  return clause.kind === 'absent' ? (now.runMs - since.runMs) / 1000 : value();
}
