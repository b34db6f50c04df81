import { FAULT_GROUP, type Rule, type Service, type Ticket, type Transition } from '../domain/index.ts';

/** Why a transition does to a ticket what it does. */
export const TICKET_REASONS = {
  'incident-began': 'the alert fires and its (rule, group) has no open ticket',
  'already-open': 'the alert fires and its (rule, group) has an open ticket',
  'alert-escalated': 'the firing alert of an open ticket became harder',
  'alert-resolved': 'the alert of an open ticket resolved',
  'not-firing-yet': 'the alert is pending',
  'never-fired': 'the alert ended before it fired',
  'nothing-open': 'the alert resolved and has no open ticket',
  'rule-raises-no-ticket': 'the rule only alerts',
  'rule-fault': 'the rule itself has a fault: an alarm for its author, and nothing that a department could mend',
  'unknown-service': 'the city folder does not describe the service of the rule',
} as const;
export type TicketReason = keyof typeof TICKET_REASONS;

/** A ticket is to be opened, for this service and with this time to resolve it, ms. */
export interface OpenDecision {
  readonly kind: 'open';
  readonly reason: 'incident-began';
  readonly service: Service;
  readonly deadlineMs: number;
}

/** What a transition does to the ticket of its (rule, group). */
export type TicketDecision =
  | OpenDecision
  | { readonly kind: 'update'; readonly reason: 'already-open'; readonly ticket: Ticket }
  | { readonly kind: 'escalate'; readonly reason: 'alert-escalated'; readonly ticket: Ticket }
  | { readonly kind: 'resolve'; readonly reason: 'alert-resolved'; readonly ticket: Ticket }
  | {
      readonly kind: 'none';
      readonly reason: Exclude<TicketReason, 'incident-began' | 'already-open' | 'alert-escalated' | 'alert-resolved'>;
    };

/** What a decision rests on besides the transition and the open ticket. */
export interface TicketContext {
  readonly rule: Pick<Rule, 'ticket'>;
  /** The service that the rule names, where the city has it. */
  readonly service: Service | undefined;
}

/** Decides what a transition does to `open`, the open ticket of its (rule, group) if there is one (promise 3). */
export function decideTicket(
  { from, to, group }: Pick<Transition, 'from' | 'to' | 'group'>,
  open: Ticket | null,
  { rule, service }: TicketContext,
): TicketDecision {
  if (group === FAULT_GROUP) return { kind: 'none', reason: 'rule-fault' };
  if (to === 'pending') return { kind: 'none', reason: 'not-firing-yet' };
  if (to === 'cancelled') return { kind: 'none', reason: 'never-fired' };
  if (to === 'resolved' && open === null) return { kind: 'none', reason: 'nothing-open' };
  if (to === 'resolved' && open !== null) return { kind: 'resolve', reason: 'alert-resolved', ticket: open };
  if (open !== null && from === 'firing') return { kind: 'escalate', reason: 'alert-escalated', ticket: open };
  if (open !== null) return { kind: 'update', reason: 'already-open', ticket: open };
  if (rule.ticket === undefined) return { kind: 'none', reason: 'rule-raises-no-ticket' };
  if (service === undefined) return { kind: 'none', reason: 'unknown-service' };
  return { kind: 'open', reason: 'incident-began', service, deadlineMs: rule.ticket.deadlineMs };
}
