import type { Band, Clause, ForecastCondition, Rule, ThresholdCondition } from '../../../../domain/index.ts';
import type { Instant } from './journal.ts';
import { clausesOf } from './kit.ts';
import { expected, holtWinters, hourIsOpen, type Remembered, remember, slotOf, trend } from './seasons.ts';
import { cut, figure, median, newestMs, type Reading, takes, tooFull, type Window } from './windows.ts';

export type Verdict = 'true' | 'false' | 'unknown';

/** All that a clause of one group (with a quorum: of one device) ever took, and what it says. */
export interface Course {
  readonly path: string;
  readonly clause: Clause;
  /** In order of arrival. */
  own: Reading[];
  /** Of the other metric of a comparison. */
  readonly other: Reading[];
  readonly memory: Remembered[];
  /** Where a trend's line begins. */
  lineFromMs: number;
  verdict: Verdict;
  /** As things are now; its verdict is of when it was judged. */
  value: () => number | null;
  /** What an anomaly allowed then. */
  allowed: Band | null;
  /** `absent`: what the silence is counted from, and whether it has been long enough. */
  since: Instant;
  silent: boolean;
}

/** What a clause is judged by, besides itself. */
export interface Surroundings {
  readonly now: Instant;
  readonly zone: string;
  /** The same clause's readings of each other device of the district and profile. */
  peers(): Reading[][];
  /** What is decided from here on is not promised to be exact. */
  inexact(): void;
}

/** The clauses of a rule, as nobody has read anything yet. */
export function courses({ when }: Rule, now: Instant): Course[] {
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

/** Length of the window that a clause looks at, ms; 0: the newest reading alone. */
export function windowMs(clause: Clause): number {
  if (clause.kind === 'absent') return 0;
  if (clause.kind === 'forecast') return clause.method === 'trend' ? clause.overMs : 0;
  return clause.windowMs;
}

/** The clause is told of a reading; whether it took it. A late one is heard by `absent` alone. */
export function hear(course: Course, metric: string, reading: Reading, late: boolean, around: Surroundings): boolean {
  const { clause } = course;
  if (clause.kind === 'absent') {
    if (clause.metric !== null && clause.metric !== metric) return false;
    Object.assign(course, { since: around.now, silent: false, verdict: 'false' });
    return true;
  }
  if (late) return false;
  if (clause.metric === metric) return takeOwn(course, reading, around);
  const compared = clause.kind === 'threshold' ? clause.compare?.with : undefined;
  if (compared === undefined || compared === 'peers' || compared.metric !== metric) return false;
  if (!takes(course.other, windowMs(clause), reading)) return false;
  course.other.push(reading);
  judge(course, around);
  return true;
}

function takeOwn(course: Course, reading: Reading, around: Surroundings): boolean {
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
  if (clause.kind !== 'anomaly' || inOrder) judge(course, around);
  return true;
}

function emptied({ reset, op, method }: ForecastCondition, own: readonly Reading[], { value }: Reading): boolean {
  const before = own.toSorted((a, b) => a.ts - b.ts).at(-1);
  if (reset === null || method !== 'trend' || before === undefined) return false;
  return (op === 'above' ? before.value - value : value - before.value) > reset;
}

function judge(course: Course, around: Surroundings): void {
  const { clause, own } = course;
  const held = course.verdict === 'true';
  course.value = () => figureOf(course, around);
  const value = course.value();
  if (clause.kind === 'anomaly') judgeSeason(course, value, around);
  else course.verdict = value === null ? 'unknown' : beyond(clause, value, held) ? 'true' : 'false';
  const window = cut(own, windowMs(clause));
  if ('fn' in clause && /^p\d/.test(clause.fn) && window !== null && tooFull(window, clause.windowMs)) around.inexact();
}

function judgeSeason(course: Course, value: number | null, { zone, inexact }: Surroundings): void {
  const { clause, memory, own } = course;
  if (clause.kind !== 'anomaly') return;
  const ts = newestMs(own);
  const slot = slotOf(clause, zone, ts);
  course.allowed = expected(clause, memory, { ts, slot });
  if (value === null || course.allowed === null) course.verdict = 'unknown';
  // On the very edge rounding decides.
  else if (course.allowed.some((edge) => Math.abs(value - edge) < 1e-9)) inexact();
  else course.verdict = value < course.allowed[0] || value > course.allowed[1] ? 'true' : 'false';
  if (value !== null) remember(clause, memory, { ts, slot, value });
}

function figureOf({ clause, own, other }: Course, around: Surroundings): number | null {
  if (clause.kind === 'forecast') return clause.method === 'trend' ? trend(clause, own) : holtWinters(clause, own);
  const window = cut(own, windowMs(clause));
  if (clause.kind === 'flat') return spread(own, window, clause.windowMs);
  if (clause.kind === 'jump') return distance(window, clause.direction);
  if (clause.kind === 'absent') return null;
  const value = figure(clause.fn, window);
  if (clause.kind === 'anomaly' || clause.compare === null) return value;
  const against =
    clause.compare.with === 'peers'
      ? peersFigure(clause, newestMs(own), around)
      : figure(clause.fn, cut(other, clause.windowMs));
  if (value === null || against === null) return null;
  if (clause.compare.as === 'difference') return value - against;
  return against === 0 ? null : value / against;
}

function peersFigure(
  { fn, windowMs, compare }: ThresholdCondition,
  newest: number,
  around: Surroundings,
): number | null {
  const figures = around
    .peers()
    .filter((series) => newestMs(series) >= newest - compare!.withinMs)
    .map((series) => figure(fn, cut(series, windowMs)))
    .filter((value) => value !== null);
  return figures.length < 3 ? null : median(figures);
}

function spread(own: readonly Reading[], window: Window | null, length: number): number | null {
  if (window === null || window.readings.length < 3) return null;
  if (window.toMs - Math.min(...own.map(({ ts }) => ts)) < length) return null;
  if (window.toMs - window.readings[0]!.ts < length / 2) return null;
  return figure('max', window)! - figure('min', window)!;
}

function distance(window: Window | null, direction: 'up' | 'down' | 'either'): number | null {
  if (window === null || window.readings.length < 2) return null;
  const newest = window.readings.at(-1)!.value;
  const up = newest - figure('min', window)!;
  const down = figure('max', window)! - newest;
  return direction === 'up' ? up : direction === 'down' ? down : Math.max(up, down);
}

/** Whether the figure matches, held against the limit or (while it matched before) against what ends that. */
function beyond(clause: Clause, value: number, held: boolean): boolean {
  if (clause.kind === 'flat') return value <= clause.within;
  if (clause.kind === 'jump') return value > (held ? clause.clear : clause.by);
  if (clause.kind === 'absent' || clause.kind === 'anomaly') return false;
  const limit = held ? clause.clear : clause.threshold;
  if (clause.op === 'equals') return value === clause.threshold;
  if (typeof limit !== 'number') return value < limit[0] || value > limit[1];
  return clause.op === 'above' ? value > limit : value < limit;
}

/** What a clause says now: its figure (`absent`: seconds of silence), null while unknown. */
export function sayingOf({ clause, verdict, value, since }: Course, now: Instant): number | null {
  if (verdict === 'unknown') return null;
  return clause.kind === 'absent' ? (now.heardMs - since.heardMs) / 1000 : value();
}
