import type { Condition, KnownDevice, Rule, Severity } from '../../../../domain/index.ts';
import { SEVERITIES } from '../../../../domain/index.ts';
import { type Course, courses, sayingOf, type Verdict } from './clauses.ts';
import { byId, type Instant } from './journal.ts';

/** Everything about one (rule, group). */
export interface Group {
  readonly rule: Rule;
  readonly id: string;
  /** Devices that the rule takes here, by id; each has its own clauses only where the rule has a quorum. */
  readonly devices: Map<string, Course[]>;
  /** Devices as they are, or were before they left. */
  readonly known: Map<string, KnownDevice>;
  /** The group's clauses, where the rule has no quorum. */
  readonly clauses: Course[];
  state: 'inactive' | 'pending' | 'firing';
  /** Would fire if fewer did. */
  held: boolean;
  /** When the present episode began to match. */
  since: Instant;
  /** While firing: when it ceased to match, and how long it goes on. */
  ceased: { readonly heardMs: number; readonly delayMs: number } | null;
  severity: Severity;
  /** When it began to fire, ever. */
  readonly fired: number[];
  /** The last reading that counted, or the beginning. */
  heard: Instant;
  /** That silence was seen to already. */
  silenceSeen: boolean;
  /** Fires because of silence. */
  silent: boolean;
  /** Up to where beginnings and ends of the calendar were looked at. */
  calendarSeenMs: number;
}

/** A group that has just got its first device. */
export function newGroup(rule: Rule, id: string, now: Instant): Group {
  return {
    rule,
    id,
    devices: new Map(),
    known: new Map(),
    clauses: courses(rule, now),
    state: 'inactive',
    held: false,
    since: now,
    ceased: null,
    severity: rule.severity,
    fired: [],
    heard: now,
    silenceSeen: false,
    silent: false,
    calendarSeenMs: now.atMs,
  };
}

/** Whether a rule takes a device. */
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

/** The group of a device's readings. */
export function groupOf({ forEach }: Rule, { id, district }: KnownDevice): string {
  return forEach === 'device' ? id : forEach === 'district' ? district : 'city';
}

/** Every clause that lives in the group. */
export const everyClause = (group: Group): Course[] =>
  group.rule.quorum === null ? group.clauses : [...group.devices.values()].flat();

/** Three values, by Kleene. */
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

export const harder = (a: Severity, b: Severity): boolean => SEVERITIES.indexOf(a) > SEVERITIES.indexOf(b);

/** The hardest step that the only clause's figure is beyond, at least the rule's own severity. */
export function severityOf({ rule, clauses }: Group, now: Instant): Severity {
  const [course] = clauses;
  const value = course === undefined ? null : sayingOf(course, now);
  const below = course !== undefined && 'op' in course.clause && course.clause.op === 'below';
  let severity = rule.severity;
  for (const step of rule.steps) {
    const passed = value !== null && (below ? value < step.at : value > step.at);
    if (passed && harder(step.severity, severity)) severity = step.severity;
  }
  return severity;
}

/** A due moment: on the wall (`atMs`) or by listening (`heardMs`). */
export type Due = { readonly atMs: number } | { readonly heardMs: number };

/** All that comes due in a group by itself, if nothing else happens. */
export function dues(group: Group, nextChange: (ms: number) => number): Due[] {
  const { rule, state, since, ceased, heard } = group;
  const found: Due[] = [{ atMs: nextChange(group.calendarSeenMs) }];
  for (const { clause, silent, since } of everyClause(group))
    if (clause.kind === 'absent' && !silent) found.push({ heardMs: since.heardMs + clause.absentMs });
  if (rule.onNoData !== 'keep' && !group.silenceSeen) found.push({ heardMs: heard.heardMs + rule.noDataAfterMs });
  if (state === 'pending' && !group.held) found.push({ heardMs: since.heardMs + rule.forMs });
  if (state === 'firing' && ceased !== null) found.push({ heardMs: ceased.heardMs + ceased.delayMs });
  return found;
}
