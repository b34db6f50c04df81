import {
  type AlertLabels,
  districtOf,
  isoOf,
  type Rule,
  SEVERITIES,
  type Service,
  type Severity,
  type Subject,
  type Ticket,
  type Transition,
} from '../domain/index.ts';
import type { Change } from './lifecycle.ts';
import { describe, type Titles } from './wording.ts';

/** All that the ticket of an alert is opened from. */
export interface Opening extends Titles {
  readonly transition: Transition;
  readonly rule: Pick<Rule, 'id' | 'source'>;
  readonly subject: Subject;
  /** Time to resolve, ms of working time. */
  readonly resolveMs: number;
  readonly service: Pick<Service, 'id' | 'department'>;
}

/** Returns a new ticket whose history has only its opening. The writer sets its deadlines. */
export function newTicket(
  of: Pick<Ticket, 'id' | 'origin' | 'title' | 'titleZh' | 'service' | 'department' | 'district' | 'severity'>,
  { at, by, note }: { readonly at: string; readonly by: string; readonly note: string },
): Ticket {
  return {
    version: 1,
    status: 'open',
    rule: null,
    group: null,
    description: null,
    location: null,
    address: null,
    party: null,
    assignee: null,
    offer: null,
    escalatedTo: [],
    formerDepartments: [],
    parent: null,
    relation: null,
    alerts: [],
    alertCount: 0,
    reports: 0,
    openedAt: at,
    updatedAt: at,
    acknowledgedAt: null,
    resolvedAt: null,
    closedAt: null,
    acknowledgeBy: null,
    dueAt: at,
    reopened: 0,
    rating: null,
    evidence: null,
    history: [{ at, by, action: 'opened', from: null, to: 'open', note }],
    ...of,
  };
}

/** Returns the ticket that a firing alert opens. Its id follows from the transition, so that a replay gives the same one. */
export function openTicket(opening: Opening): Ticket {
  const { transition, rule, subject, title, titleZh, service } = opening;
  const { group, severity, evidence } = transition;
  const at = isoOf(transition.atMs);
  const id = `t-${transition.id.replace('.', '-')}`;
  const named = { id, origin: 'sensor', title, titleZh, severity, district: districtOf(subject) } as const;
  const opened = { at, by: `rule:${rule.id}`, note: `opened: ${describe(transition)}` };
  return {
    ...newTicket({ ...named, service: service.id, department: service.department }, opened),
    rule: transition.rule,
    group,
    location: locationOf(subject),
    evidence: { ...evidence, rule: rule.source },
  };
}

/** Returns the change of an open ticket whose alert fires once more. The evidence of the opening stays. */
export function updateOf(transition: Transition): Change {
  const { severity } = transition;
  return { ...ofRule(transition), action: 'updated', note: `fired again: ${describe(transition)}`, set: { severity } };
}

/** Returns the change of an open ticket whose firing alert has a higher severity. The ticket's severity never falls. */
export function escalationOf(ticket: Ticket, transition: Transition): Change {
  const severity = higherSeverity(ticket.severity, transition.severity);
  const note = `escalated from ${ticket.severity} to ${severity}: ${describe(transition)}`;
  return { ...ofRule(transition), action: 'escalated', note, set: { severity } };
}

/** Returns the change of a ticket whose last firing alert resolved. */
export function resolutionOf(transition: Transition): Change {
  return { ...ofRule(transition), action: 'resolved', to: 'resolved', note: `alert resolved: ${describe(transition)}` };
}

/** Returns the change of a ticket whose last alert resolved, and that stays open until a person confirms or its parts end. */
export function confirmationOf(transition: Transition, reason: 'confirm-on-site' | 'parts-open'): Change {
  const left = reason === 'parts-open' ? 'parts of it are open' : 'confirm on site';
  return { ...ofRule(transition), action: 'updated', note: `alert resolved, ${left}: ${describe(transition)}` };
}

/** Returns the change of a resolved ticket whose alert fires again. */
export function reopeningOf(ticket: Ticket, transition: Transition): Change {
  const set = { severity: higherSeverity(ticket.severity, transition.severity), party: null, assignee: null };
  return { ...ofRule(transition), action: 'reopened', to: 'open', note: `fired again: ${describe(transition)}`, set };
}

function ofRule({ atMs, rule }: Transition) {
  return { atMs, by: `rule:${rule}` };
}

/** Returns the higher of two severities. */
export function higherSeverity(a: Severity, b: Severity): Severity {
  return SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b;
}

function locationOf(subject: Subject): Ticket['location'] {
  const location = subject.kind === 'device' ? subject.device.location : undefined;
  return location === undefined ? null : { lat: location.lat, lon: location.lon };
}

/** Returns the alert of a transition, as its ticket lists it. */
export function alertOf({ rule, group, severity, atMs }: Transition) {
  return { rule, group, state: 'firing', severity, since: isoOf(atMs) } as const;
}

/** Returns the labels that silences and inhibitions match. */
export function labelsOf({ rule, group, severity }: Transition, subject: Subject, service: Service): AlertLabels {
  const device = subject.kind === 'device' ? subject.device : null;
  return {
    rule,
    group,
    severity,
    service: service.id,
    department: service.department,
    district: districtOf(subject),
    device: device?.id ?? null,
    profile: device?.profile ?? null,
    tags: device?.tags ?? {},
  };
}
