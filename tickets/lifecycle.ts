import {
  districtOf,
  type Rule,
  SEVERITIES,
  type Severity,
  type Subject,
  TICKET_STATUSES,
  type Ticket,
  type TicketChange,
  type TicketStatus,
  type Transition,
} from '../domain/index.ts';
import type { OpenDecision } from './decide.ts';
import { figureOf } from './figure.ts';

/** The statuses in which a ticket still asks for something; a (rule, group) has at most one such ticket (promise 3). */
export const OPEN_STATUSES: readonly TicketStatus[] = TICKET_STATUSES.filter((s) => s !== 'resolved' && s !== 'closed');

/** Whether a ticket in this status still asks for something. */
export function isOpen(status: TicketStatus): boolean {
  return OPEN_STATUSES.includes(status);
}

/** What a new ticket is made of. */
export interface Opening {
  readonly transition: Transition;
  readonly decision: OpenDecision;
  readonly rule: Pick<Rule, 'id' | 'source'>;
  readonly subject: Subject;
  readonly title: string;
  readonly titleZh: string;
}

/** The ticket that a firing alert opens: its evidence is kept as it was at this moment. */
export function openTicket({ transition, decision, rule, subject, title, titleZh }: Opening): Ticket {
  const at = isoOf(transition.atMs);
  return {
    id: `t-${transition.id.replace('.', '-')}`,
    status: 'open',
    rule: transition.rule,
    group: transition.group,
    title,
    titleZh,
    service: decision.service.id,
    department: decision.service.department,
    district: districtOf(subject),
    severity: transition.severity,
    location: locationOf(subject),
    openedAt: at,
    updatedAt: at,
    dueAt: isoOf(transition.atMs + decision.deadlineMs),
    evidence: { ...transition.evidence, rule: rule.source },
    history: [{ at, by: `rule:${rule.id}`, from: null, to: 'open', note: `opened: ${figureOf(transition)}` }],
  };
}

/** The open ticket after its alert fired once more: severity and history move, the evidence of the opening stays. */
export function updateTicket(ticket: Ticket, transition: Transition): Ticket {
  const note = `fired again: ${figureOf(transition)}`;
  return { ...changed(ticket, changeOf(ticket, transition, ticket.status, note)), severity: transition.severity };
}

/** The open ticket after its firing alert became harder: the severity rises and never falls. */
export function escalateTicket(ticket: Ticket, transition: Transition): Ticket {
  const severity = harder(ticket.severity, transition.severity);
  const note = `escalated from ${ticket.severity} to ${severity}: ${figureOf(transition)}`;
  return { ...changed(ticket, changeOf(ticket, transition, ticket.status, note)), severity };
}

/** The ticket after its alert resolved. */
export function resolveTicket(ticket: Ticket, transition: Transition): Ticket {
  const note = `alert resolved: ${figureOf(transition)}`;
  return changed(ticket, changeOf(ticket, transition, 'resolved', note));
}

function changeOf(ticket: Ticket, { atMs, rule }: Transition, to: TicketStatus, note: string): TicketChange {
  return { at: isoOf(atMs), by: `rule:${rule}`, from: ticket.status, to, note };
}

function harder(a: Severity, b: Severity): Severity {
  return SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b;
}

function locationOf(subject: Subject): Ticket['location'] {
  const location = subject.kind === 'device' ? subject.device.location : undefined;
  return location === undefined ? null : { lat: location.lat, lon: location.lon };
}

function changed(ticket: Ticket, change: TicketChange): Ticket {
  return { ...ticket, status: change.to, updatedAt: change.at, history: [...ticket.history, change] };
}

/** Epoch milliseconds as ISO 8601 UTC. */
export function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
