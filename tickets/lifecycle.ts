import {
  districtOf,
  isoOf,
  type Rule,
  SEVERITIES,
  type Service,
  type Severity,
  type Subject,
  TICKET_STATUSES,
  type Ticket,
  type TicketStatus,
  type Transition,
} from '../domain/index.ts';
import type { Change } from './change.ts';
import { figureOf } from './figure.ts';
import type { Titles } from './title.ts';

/** The statuses in which a ticket still asks for something; an alert has at most one such ticket (promise 3). */
export const OPEN_STATUSES: readonly TicketStatus[] = TICKET_STATUSES.filter((s) => s !== 'resolved' && s !== 'closed');

/** Whether a ticket in this status still asks for something. */
export function isOpen(status: TicketStatus): boolean {
  return OPEN_STATUSES.includes(status);
}

/** What an alert's ticket is made of. */
export interface Opening extends Titles {
  readonly transition: Transition;
  readonly rule: Pick<Rule, 'id' | 'source'>;
  readonly subject: Subject;
  /** Time to resolve, ms of working time. */
  readonly resolveMs: number;
  readonly service: Pick<Service, 'id' | 'department'>;
}

/** A new ticket before anything happened to it but its opening; deadlines are set by its service. */
export function blankTicket(
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

/** The ticket that a firing alert opens: its evidence is kept as it was at this moment. */
export function openTicket(opening: Opening): Ticket {
  const { transition, rule, subject, title, titleZh, service } = opening;
  const { group, severity, evidence } = transition;
  const at = isoOf(transition.atMs);
  const id = `t-${transition.id.replace('.', '-')}`;
  const named = { id, origin: 'sensor', title, titleZh, severity, district: districtOf(subject) } as const;
  const opened = { at, by: `rule:${rule.id}`, note: `opened: ${figureOf(transition)}` };
  return {
    ...blankTicket({ ...named, service: service.id, department: service.department }, opened),
    rule: transition.rule,
    group,
    location: locationOf(subject),
    evidence: { ...evidence, rule: rule.source },
  };
}

/** An open ticket whose alert fired once more: severity and history move, the evidence of the opening stays. */
export function updateOf(transition: Transition): Change {
  const { severity } = transition;
  return { ...ofRule(transition), action: 'updated', note: `fired again: ${figureOf(transition)}`, set: { severity } };
}

/** An open ticket whose firing alert became harder: the severity rises and never falls. */
export function escalationOf(ticket: Ticket, transition: Transition): Change {
  const severity = harder(ticket.severity, transition.severity);
  const note = `escalated from ${ticket.severity} to ${severity}: ${figureOf(transition)}`;
  return { ...ofRule(transition), action: 'escalated', note, set: { severity } };
}

/** A ticket whose alert resolved. */
export function resolutionOf(transition: Transition): Change {
  return { ...ofRule(transition), action: 'resolved', to: 'resolved', note: `alert resolved: ${figureOf(transition)}` };
}

/** A ticket whose alert resolved, and that somebody else has to end: who looks on site, or the departments that have a part. */
export function confirmationOf(transition: Transition, reason: 'confirm-on-site' | 'parts-open'): Change {
  const left = reason === 'parts-open' ? 'parts of it are open' : 'confirm on site';
  return { ...ofRule(transition), action: 'updated', note: `alert resolved, ${left}: ${figureOf(transition)}` };
}

/** A ticket that was resolved, and whose alert fires again. */
export function reopeningOf(ticket: Ticket, transition: Transition): Change {
  const set = { severity: harder(ticket.severity, transition.severity), party: null, assignee: null };
  return { ...ofRule(transition), action: 'reopened', to: 'open', note: `fired again: ${figureOf(transition)}`, set };
}

function ofRule({ atMs, rule }: Transition) {
  return { atMs, by: `rule:${rule}` };
}

/** The harder of two severities. */
export function harder(a: Severity, b: Severity): Severity {
  return SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b;
}

function locationOf(subject: Subject): Ticket['location'] {
  const location = subject.kind === 'device' ? subject.device.location : undefined;
  return location === undefined ? null : { lat: location.lat, lon: location.lon };
}
