import { type Condition, type KnownDevice, type Rule, SEVERITIES, type Severity } from '../../../../domain/index.ts';
import { type Course, coursesOf, decidedValueOf, type Verdict } from './clauses.ts';
import { byId, type Instant } from './journal.ts';

/** The state of one (rule, group). */
export interface Group {
  readonly rule: Rule;
  readonly id: string;
  /** Devices of the group by id; their own clauses count only where the rule has a quorum. */
  readonly devices: Map<string, Course[]>;
  /** Devices as they are, or as they were before they left. */
  readonly known: Map<string, KnownDevice>;
  /** The group's clauses, where the rule has no quorum. */
  readonly clauses: Course[];
  state: 'inactive' | 'pending' | 'firing';
  /** It would fire if the rule were not over its limit. */
  held: boolean;
  /** When the present episode started to match. */
  since: Instant;
  /** While firing: when it stopped matching, and how long it keeps firing. */
  ceased: { readonly runMs: number; readonly delayMs: number } | null;
  severity: Severity;
  /** All times at which it began to fire. */
  readonly fired: number[];
  /** Time of the last reading that counted; before the first, of the beginning. */
  lastRead: Instant;
  /** Whether a reading that counts ever arrived. */
  spoken: boolean;
  /** The present silence has had its effect. */
  silenceHandled: boolean;
  /** It fires because of silence. */
  silent: boolean;
  /** It fires on from before its rule was changed, and the changed condition was not known since. */
  carried: boolean;
  /** Changes of the calendar up to this time have been handled. */
  calendarCheckedMs: number;
}

/** A group that has just received its first device. */
export function newGroup(rule: Rule, id: string, now: Instant): Group {
  return {
    rule,
    id,
    devices: new Map(),
    known: new Map(),
    clauses: coursesOf(rule, now),
    state: 'inactive',
    held: false,
    since: now,
    ceased: null,
    severity: rule.severity,
    fired: [],
    lastRead: now,
    spoken: false,
    silenceHandled: false,
    silent: false,
    carried: false,
    calendarCheckedMs: now.atMs,
  };
}

/** Whether a rule applies to a device. */
export function takesDevice({ where, profiles }: Rule, { id, profile, district, tags }: KnownDevice): boolean {
  const has = (list: readonly string[] | undefined, value: string) => list === undefined || list.includes(value);
  const tagged = Object.entries(where.tags ?? {}).every(([key, value]) => tags?.[key] === value);
  return (
    profiles.includes(profile) &&
    has(where.profile, profile) &&
    has(where.district, district) &&
    has(where.device, id) &&
    tagged
  );
}

/** The group that a device belongs to. */
export function groupOf({ forEach }: Rule, { id, district }: KnownDevice): string {
  return forEach === 'device' ? id : forEach === 'district' ? district : 'city';
}

/** All clauses of the group. */
export const everyClause = (group: Group): Course[] =>
  group.rule.quorum === null ? group.clauses : [...group.devices.values()].flat();

/** Kleene's three-valued logic. */
function verdictOf(when: Condition, clauses: Course[]): Verdict {
  if (when.kind === 'not') {
    const verdict = verdictOf(when.of, clauses);
    return verdict === 'unknown' ? 'unknown' : verdict === 'true' ? 'false' : 'true';
  }
  if (!('of' in when)) return clauses.shift()!.verdict;
  const verdicts = when.of.map((part) => verdictOf(part, clauses));
  const decides = when.kind === 'all' ? 'false' : 'true';
  if (verdicts.includes(decides)) return decides;
  if (verdicts.includes('unknown')) return 'unknown';
  return decides === 'false' ? 'true' : 'false';
}

/** Devices whose own condition is true, in order of id. */
export function matchingDevices({ rule, devices }: Group): string[] {
  const matching = [...devices].filter(([, clauses]) => verdictOf(rule.when, [...clauses]) === 'true');
  return matching.map(([id]) => id).toSorted(byId);
}

/** How many devices must match. */
export function neededDevices({ rule, devices }: Group): number {
  const quorum = rule.quorum!;
  if ('devices' in quorum) return quorum.devices;
  return Math.max(1, Math.ceil((quorum.percent * devices.size) / 100));
}

/** Whether the condition of the group is true. */
export function isTrue(group: Group): boolean {
  const { rule, clauses } = group;
  if (rule.quorum !== null) return matchingDevices(group).length >= neededDevices(group);
  return verdictOf(rule.when, [...clauses]) === 'true';
}

/** Whether the condition of the group is neither known to be true nor to be false. */
export function isOpen(group: Group): boolean {
  const { rule, clauses, devices } = group;
  if (rule.quorum === null) return verdictOf(rule.when, [...clauses]) === 'unknown';
  const may = [...devices.values()].filter((courses) => verdictOf(rule.when, [...courses]) !== 'false');
  return may.length >= neededDevices(group);
}

export const isHigher = (a: Severity, b: Severity): boolean => SEVERITIES.indexOf(a) > SEVERITIES.indexOf(b);

/** The highest severity whose step the value of the only clause is beyond; at least the rule's own severity. */
export function severityOf({ rule, clauses }: Group, now: Instant): Severity {
  const [course] = clauses;
  const value = course === undefined ? null : decidedValueOf(course, now);
  const below = course !== undefined && 'op' in course.clause && course.clause.op === 'below';
  let severity = rule.severity;
  for (const step of rule.steps) {
    const passed = value !== null && (below ? value < step.at : value > step.at);
    if (passed && isHigher(step.severity, severity)) severity = step.severity;
  }
  return severity;
}

/** A due time: engine time (`atMs`), or engine time without gaps (`runMs`). */
export type Due = { readonly atMs: number } | { readonly runMs: number };

/** When silence begins if no reading comes. */
export function silentFrom({ rule, lastRead, spoken }: Group): number {
  return lastRead.runMs + (spoken ? rule.noDataAfterMs : rule.noDataGraceMs);
}

/** When an alert that matches has waited long enough: as long as its condition, or its silence, has to last. */
export function waitsUntil(group: Group): number {
  const ofSilence = group.silent ? silentFrom(group) + group.rule.noDataForMs : Number.POSITIVE_INFINITY;
  const ofCondition = !group.silent || isTrue(group) ? group.since.runMs + group.rule.forMs : Number.POSITIVE_INFINITY;
  return Math.min(ofSilence, ofCondition);
}

/** All due times of a group if nothing else happens. */
export function dues(group: Group, nextChange: (ms: number) => number): Due[] {
  const { rule, state, ceased } = group;
  const found: Due[] = [{ atMs: nextChange(group.calendarCheckedMs) }];
  for (const { clause, silent, since } of everyClause(group))
    if (clause.kind === 'absent' && !silent) found.push({ runMs: since.runMs + clause.absentMs });
  if (rule.onNoData !== 'keep' && !group.silenceHandled) found.push({ runMs: silentFrom(group) });
  if (state === 'pending' && !group.held) found.push({ runMs: waitsUntil(group) });
  if (state === 'firing' && ceased !== null) found.push({ runMs: ceased.runMs + ceased.delayMs });
  return found;
}
