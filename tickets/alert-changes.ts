import {
  type AlertLabels,
  districtOf,
  END_CAUSES,
  isoOf,
  type Rule,
  type Service,
  type Severity,
  type Subject,
  saysSilent,
  type Ticket,
  type Transition,
} from '../domain/index.ts';
import { type Change, higherSeverity, isOpen, refusal, reopenedFrom } from './lifecycle.ts';
import type { FiringAlerts } from './match.ts';
import type { TicketStore } from './store.ts';
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
    leastSeverity: of.severity,
    rule: null,
    group: null,
    description: null,
    location: null,
    address: null,
    statement: null,
    asset: null,
    party: null,
    assignee: null,
    offer: null,
    escalatedTo: [],
    formerDepartments: [],
    parent: null,
    relation: null,
    foldedInto: null,
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

/**
 * Returns the ticket that a firing alert opens. Its id follows from the transition, so that a replay gives the same
 * one.
 */
export function openTicket(opening: Opening): Ticket {
  const { transition, rule, subject, title, titleZh, service } = opening;
  const { group, severity, evidence } = transition;
  const at = isoOf(transition.atMs);
  const id = `t-${transition.id.replace('.', '-')}`;
  const named = { id, origin: 'sensor', title, titleZh, severity, district: districtOf(subject) } as const;
  const opened = { at, by: `rule:${rule.id}`, note: `opened: ${describe(transition)}` };
  return {
    ...newTicket({ ...named, service: service.id, department: service.department }, opened),
    leastSeverity: null,
    rule: transition.rule,
    group,
    location: locationOf(subject),
    asset: (subject.kind === 'device' ? subject.device.asset : undefined) ?? null,
    evidence: { ...evidence, rule: rule.source },
  };
}

/**
 * Returns the change of an open ticket whose alert fires once more, or with a higher severity. The evidence of the
 * opening stays; a severity that rises is an escalation.
 */
export function firingOf(ticket: Ticket, transition: Transition, severity: Severity): Change {
  // Of a rule that was changed no reading has been judged yet.
  const again = transition.from !== 'firing';
  const isUnread = !again && transition.evidence.window.value === null;
  const value = isUnread ? 'the rule was changed' : describe(transition);
  const rises = higherSeverity(ticket.severity, severity) !== ticket.severity;
  const rise = `escalated from ${ticket.severity} to ${severity}`;
  const what = again
    ? ['fired again', ...(rises ? [rise] : [])]
    : [rises ? rise : `an alert rose to ${transition.severity}`];
  const note = `${what.join(', ')}: ${value}`;
  return { ...ofRule(transition), action: rises ? 'escalated' : 'updated', note, set: { severity } };
}

/** Returns the change of an open ticket that an alert of a higher severity has joined. */
export function risingOf(ticket: Ticket, transition: Transition, severity: Severity): Change {
  const { rule, group } = transition;
  const note = `escalated from ${ticket.severity} to ${severity}: ${rule} fires for ${group}: ${describe(transition)}`;
  return { ...ofRule(transition), action: 'escalated', note, set: { severity } };
}

/** Returns the change of an open ticket whose highest alert resolved while others fire. */
export function fallingOf(ticket: Ticket, transition: Transition, severity: Severity): Change {
  const note = `from ${ticket.severity} to ${severity}: ${endingOf(transition)}`;
  return { ...ofRule(transition), action: 'updated', note, set: { severity } };
}

/** Returns the change of a ticket whose last firing alert resolved. */
export function resolutionOf(transition: Transition): Change {
  return { ...ofRule(transition), action: 'resolved', to: 'resolved', note: endingOf(transition) };
}

/** Why a ticket whose last alert resolved stays open. */
export const LEFT = {
  'confirm-on-site': 'confirm on site',
  'parts-open': 'parts of it are open',
  'work-under-way': 'work is under way',
  'reported-otherwise': 'a citizen reported what no sensor measures',
} as const;

/**
 * Returns the change of a ticket whose last alert resolved, and that stays open until a person confirms or its parts
 * end. Until then its severity does not fall.
 */
export function confirmationOf({ severity }: Ticket, transition: Transition, reason: keyof typeof LEFT): Change {
  const note = endingOf(transition, `, ${LEFT[reason]}`);
  return { ...ofRule(transition), action: 'updated', note, set: { leastSeverity: severity } };
}

/** Returns why an alert ended: its value, or what was done to its rule or device. */
function endingOf(transition: Transition, left = ''): string {
  const { because } = transition;
  if (because === undefined) return `alert resolved${left}: ${describe(transition)}`;
  const cause = `${END_CAUSES[because]}${left}`;
  const isSeen = because === 'rule-changed' && transition.evidence.window.value !== null;
  return isSeen ? `${cause}: ${describe(transition)}` : cause;
}

/** Returns the change of a resolved ticket whose alert fires again. */
export function reopeningOf(ticket: Ticket, transition: Transition, firing: Severity | null): Change {
  const set = reopenedFrom(ticket, firing);
  const what = ticket.foldedInto === null ? 'fired again' : `still fires without what explained it`;
  return { ...ofRule(transition), action: 'reopened', to: 'open', note: `${what}: ${describe(transition)}`, set };
}

function ofRule({ atMs, rule }: Transition) {
  return { atMs, by: `rule:${rule}` };
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
export function labelsOf(
  transition: Pick<Transition, 'rule' | 'group' | 'severity' | 'evidence'>,
  subject: Subject,
  service: Service,
): AlertLabels {
  const { rule, group, severity } = transition;
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
    ...(device?.gateway === undefined ? {} : { gateway: device.gateway }),
    ...(saysSilent(transition) ? { silent: true } : {}),
  };
}

/**
 * Returns how the alerts of a ticket that opens again are bound, as they are now. Throws the refusal for a part whose
 * whole has ended: a part opens only under an open whole.
 */
export function rebindIn(tickets: TicketStore, firing: FiringAlerts): (ticket: Ticket) => void {
  return ({ id, parent, relation }) => {
    const whole = relation === 'part' ? tickets.get(parent!) : null;
    if (whole !== null && !isOpen(whole.status)) throw refusal('whole-ended', `${whole.id} is ${whole.status}`);
    if (!tickets.rebind(id)) throw refusal('superseded', id);
    for (const { rule, group } of tickets.alertsOf(id)) {
      const [now] = firing([rule], group);
      if (now === undefined) tickets.endAlert(rule, group);
      else tickets.setAlert(rule, group, { state: 'firing', severity: now.severity as Severity });
    }
  };
}
