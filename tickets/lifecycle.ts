import {
  type Device,
  type Rule,
  TICKET_STATUSES,
  type Ticket,
  type TicketChange,
  type TicketStatus,
  type Transition,
} from '../domain/index.ts';
import type { OpenDecision } from './decide.ts';
import { renderValue } from './title.ts';

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
  readonly device: Pick<Device, 'district' | 'location'>;
  readonly title: string;
  readonly titleZh: string;
}

/** The ticket that a firing alert opens: its evidence is kept as it was at this moment. */
export function openTicket({ transition, decision, rule, device, title, titleZh }: Opening): Ticket {
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
    district: device.district,
    severity: transition.severity,
    location: device.location === undefined ? null : { lat: device.location.lat, lon: device.location.lon },
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
  const change = {
    at: isoOf(transition.atMs),
    by: `rule:${transition.rule}`,
    from: ticket.status,
    to: ticket.status,
    note,
  };
  return { ...changed(ticket, change), severity: transition.severity };
}

/** The ticket after its alert resolved. */
export function resolveTicket(ticket: Ticket, transition: Transition): Ticket {
  const note = `alert resolved: ${figureOf(transition)}`;
  return changed(ticket, {
    at: isoOf(transition.atMs),
    by: `rule:${transition.rule}`,
    from: ticket.status,
    to: 'resolved',
    note,
  });
}

function changed(ticket: Ticket, change: TicketChange): Ticket {
  return { ...ticket, status: change.to, updatedAt: change.at, history: [...ticket.history, change] };
}

function figureOf({ value, evidence: { window } }: Transition): string {
  const what = window.fn === 'last' ? window.metric : `${window.fn} of ${window.metric}`;
  return `${what} is ${renderValue(value)} (alert ${window.op} ${window.threshold})`;
}

/** Epoch milliseconds as ISO 8601 UTC. */
export function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
