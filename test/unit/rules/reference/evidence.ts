import type { ClauseEvidence, Evidence, Rule } from '../../../../domain/index.ts';
import { type Course, sayingOf, windowMs } from './clauses.ts';
import type { Instant } from './journal.ts';
import { cut, newestMs, type Window } from './windows.ts';

const HOUR = 3_600_000;

/** The window behind a clause's figure. Of Holt-Winters: the open hour. */
function seen({ clause, own }: Course): Window | null {
  if (clause.kind !== 'forecast' || clause.method === 'trend') return cut(own, windowMs(clause));
  if (own.length === 0) return null;
  const toMs = newestMs(own);
  const fromMs = Math.floor(toMs / HOUR) * HOUR;
  return { fromMs, toMs, readings: cut(own, 2 * HOUR)!.readings.filter(({ ts }) => ts >= fromMs) };
}

function limitOf({ clause, allowed }: Course): Pick<Evidence['window'], 'fn' | 'op' | 'threshold'> {
  switch (clause.kind) {
    case 'threshold':
      return { fn: clause.fn, op: clause.op, threshold: clause.threshold };
    case 'anomaly':
      return { fn: clause.fn, op: 'outside', threshold: allowed ?? [0, 0] };
    case 'absent':
      return { fn: 'absent', op: 'above', threshold: clause.absentMs / 1000 };
    case 'flat':
      return { fn: 'flat', op: 'below', threshold: clause.within };
    case 'jump':
      return { fn: 'jump', op: 'above', threshold: clause.by };
    case 'forecast':
      return { fn: 'forecast', op: clause.op, threshold: clause.threshold };
  }
}

/** The first clause that is true, or the first. */
export const deciding = (clauses: readonly Course[]): Course =>
  clauses.find(({ verdict }) => verdict === 'true') ?? clauses[0]!;

/** What is behind a transition of a group without a quorum. */
export function evidenceOf(rule: Rule, clauses: readonly Course[], now: Instant): Evidence {
  const course = deciding(clauses);
  const metric = course.clause.metric ?? '*';
  const window = course.clause.kind === 'absent' ? null : seen(course);
  const span =
    course.clause.kind === 'absent'
      ? { fromMs: course.since.atMs, toMs: now.atMs }
      : { fromMs: window?.fromMs ?? now.atMs, toMs: window?.toMs ?? now.atMs };
  const readings = window?.readings ?? [];
  return {
    ruleVersion: rule.version,
    window: { metric, ...span, count: readings.length, value: sayingOf(course, now), ...limitOf(course) },
    readings: readings.slice(-10).map(({ ts, value }) => [ts, value]),
    ...(clauses.length > 1 && { clauses: clauses.map((one) => clauseEvidence(one, now)) }),
  };
}

function clauseEvidence(course: Course, now: Instant): ClauseEvidence {
  const { path, clause, verdict } = course;
  return { path, kind: clause.kind, metric: clause.metric ?? '*', verdict, value: sayingOf(course, now) };
}

/** What is behind a transition that counts devices or groups. */
export function countEvidence(
  rule: Rule,
  counted: { fn: 'quorum' | 'limit'; value: number; threshold: number; since: Instant; devices?: readonly string[] },
  now: Instant,
): Evidence {
  const { fn, value, threshold, since, devices } = counted;
  return {
    ruleVersion: rule.version,
    window: { metric: '*', fn, fromMs: since.atMs, toMs: now.atMs, count: value, value, op: 'above', threshold },
    readings: [],
    ...(devices !== undefined && { devices: devices.slice(0, 10) }),
  };
}
