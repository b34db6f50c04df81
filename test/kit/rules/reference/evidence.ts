import type { ClauseEvidence, Evidence, Rule } from '../../../../domain/index.ts';
import { type Course, decidedValueOf, windowMs } from './clauses.ts';
import type { Group } from './group.ts';
import type { Instant } from './journal.ts';
import { clausesOf } from './kit.ts';
import { cut } from './windows.ts';

function limitOf({ clause, allowed }: Course): Pick<Evidence['window'], 'fn' | 'op' | 'threshold'> {
  switch (clause.kind) {
    case 'threshold':
      return { fn: clause.fn, op: clause.op, threshold: clause.threshold };
    case 'anomaly':
      return { fn: clause.fn, op: 'outside', threshold: allowed };
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
const deciding = (clauses: readonly Course[]): Course =>
  clauses.find(({ verdict }) => verdict === 'true') ?? clauses[0]!;

/** Evidence of a transition of a group without a quorum. */
export function evidenceOf({ rule, clauses }: Group, now: Instant): Evidence {
  const course = deciding(clauses);
  const metric = course.clause.metric ?? '*';
  const window = course.clause.kind === 'absent' ? null : cut(course.own, windowMs(course.clause));
  const silenceMs = now.runMs - course.since.runMs;
  const silent = { fromMs: now.atMs - silenceMs, toMs: now.atMs };
  const none = course.clause.kind === 'absent' ? silent : { fromMs: now.atMs, toMs: now.atMs };
  const span = window === null ? none : { fromMs: window.fromMs, toMs: window.toMs };
  // For the newest reading alone, evidence shows the readings before it too.
  const readings =
    windowMs(course.clause) === 0 ? course.own.toSorted((a, b) => a.ts - b.ts) : (window?.readings ?? []);
  return {
    ruleVersion: rule.version,
    window: {
      metric,
      ...span,
      count: window?.readings.length ?? 0,
      value: decidedValueOf(course, now),
      ...limitOf(course),
    },
    readings: readings.slice(-10).map(({ ts, value }) => [ts, value]),
    ...(clauses.length > 1 && { clauses: clauses.map((one) => clauseEvidence(one, now)) }),
  };
}

function clauseEvidence(course: Course, now: Instant): ClauseEvidence {
  const { path, clause, verdict } = course;
  return { path, kind: clause.kind, metric: clause.metric ?? '*', verdict, value: decidedValueOf(course, now) };
}

/** Evidence of a transition that silence causes. */
export function silenceEvidence(group: Group, now: Instant): Evidence {
  const { rule, lastRead, spoken } = group;
  const clauses = clausesOf(rule.when);
  const metric = clauses.length === 1 ? firstMetric(rule) : '*';
  const silenceMs = now.runMs - lastRead.runMs;
  const [value, threshold] = [silenceMs / 1000, (spoken ? rule.noDataAfterMs : rule.noDataGraceMs) / 1000];
  const span = { fromMs: now.atMs - silenceMs, toMs: now.atMs };
  const window = { metric, fn: 'absent', ...span, count: 0, value, op: 'above', threshold } as const;
  return { ruleVersion: rule.version, window, readings: [] };
}

const firstMetric = ({ when }: Rule): string => clausesOf(when)[0]!.clause.metric ?? '*';

/** Evidence of a transition that counts devices or groups. */
export function countEvidence(
  rule: Rule,
  counted: { fn: 'quorum' | 'limit'; count: number; value: number; threshold: number },
  { atMs }: Instant,
): Evidence {
  const window = { metric: firstMetric(rule), fromMs: atMs, toMs: atMs, op: 'above', ...counted } as const;
  return { ruleVersion: rule.version, window, readings: [] };
}
