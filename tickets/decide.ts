import { FAULT_GROUP, type Rule, type Service, type Ticket, type Transition } from '../domain/index.ts';
import type { WaitReason } from './waits.ts';

/** The reasons for what a transition does to a ticket. */
export const TICKET_REASONS = {
  'incident-began': 'the alert fires and has no open ticket',
  'joins-others': 'the alert fires, and others like it have an open ticket',
  'fires-again-soon': 'the alert fires again, soon after its ticket was resolved',
  inhibited: 'the alert fires, and another alert that fires explains it',
  silenced: 'the alert fires, and a silence or maintenance window holds its ticket back',
  gathering: 'the alert fires, and its ticket waits a moment for others like it',
  'still-waiting': 'the alert fires, and its ticket waits already',
  'already-open': 'the alert fires and has an open ticket',
  'alert-escalated': 'the severity of the firing alert of an open ticket rose',
  'alert-resolved': 'the last firing alert of an open ticket resolved',
  'others-still-fire': 'the alert resolved, and others of the same ticket still fire',
  'confirm-on-site': 'the alert resolved, and a person has to check on site first',
  'work-under-way': 'an alert ended with its rule or device, and somebody works on its ticket',
  'reported-otherwise': 'the alert resolved, and a citizen reported something that no sensor measures',
  'parts-open': 'the alert resolved, and other departments still have a part of its ticket',
  'ended-while-waiting': 'the alert resolved before it had a ticket',
  'not-firing-yet': 'the alert is pending',
  'never-fired': 'the alert ended before it fired',
  'nothing-open': 'the alert resolved and has no open ticket',
  'rule-raises-no-ticket': 'the rule only alerts',
  'rule-fault': 'the rule itself has a fault: an alarm for its author, and nothing that a department could repair',
  'unknown-service': 'the city folder does not describe the service of the rule',
} as const;
export type TicketReason = keyof typeof TICKET_REASONS;

/** What the ticket of an alert waits for. */
export interface Hold {
  readonly reason: WaitReason;
  readonly cause: string;
  /** When it stops waiting; null where the end of the cause decides. */
  readonly dueMs: number | null;
}

interface OfService {
  readonly service: Service;
  readonly deadlineMs: number;
}

/** What a transition does to the ticket of its alert. */
export type TicketDecision =
  | (OfService & { readonly kind: 'open'; readonly reason: 'incident-began' })
  | (OfService & { readonly kind: 'hold'; readonly reason: WaitReason; readonly hold: Hold })
  | { readonly kind: 'join'; readonly reason: 'joins-others'; readonly ticket: Ticket }
  | { readonly kind: 'reopen'; readonly reason: 'fires-again-soon'; readonly ticket: Ticket }
  | { readonly kind: 'update'; readonly reason: 'already-open'; readonly ticket: Ticket }
  | { readonly kind: 'escalate'; readonly reason: 'alert-escalated'; readonly ticket: Ticket }
  | { readonly kind: 'resolve'; readonly reason: 'alert-resolved'; readonly ticket: Ticket }
  | {
      readonly kind: 'confirm';
      readonly reason: 'confirm-on-site' | 'parts-open' | 'work-under-way' | 'reported-otherwise';
      readonly ticket: Ticket;
    }
  | { readonly kind: 'calm'; readonly reason: 'others-still-fire'; readonly ticket: Ticket }
  | { readonly kind: 'wait'; readonly reason: 'still-waiting' }
  | { readonly kind: 'forget'; readonly reason: 'ended-while-waiting' }
  | {
      readonly kind: 'none';
      readonly reason:
        | 'not-firing-yet'
        | 'never-fired'
        | 'nothing-open'
        | 'rule-raises-no-ticket'
        | 'rule-fault'
        | 'unknown-service';
    };

/**
 * What the steps ask about a firing alert without a ticket. Each is a query that runs only in the step that needs it.
 */
export interface Lookups {
  /** The firing alert that inhibits it; null where none does. */
  inhibition(): Hold | null;
  /** The oldest active silence that matches it; null where none does. */
  silence(): Hold | null;
  /** The open ticket of others like it; null where there is none. */
  gathered(): Ticket | null;
  /** The last ticket of the alert, where it may open again; null otherwise. */
  reopenable(): Ticket | null;
  /** The key and time of the alerts that it is gathered with; null where its service gathers none. */
  gathering(): Hold | null;
}

/** Lookups where nothing else is open, silenced or gathered. */
export const ALONE: Lookups = {
  inhibition: () => null,
  silence: () => null,
  gathered: () => null,
  reopenable: () => null,
  gathering: () => null,
};

/** What a decision depends on besides the transition. */
export interface TicketContext extends Lookups {
  readonly rule: Pick<Rule, 'ticket'>;
  /** The service that the rule names; undefined where the city has none of that id. */
  readonly service: Service | undefined;
  /** The open ticket of the alert. */
  readonly open: Ticket | null;
  /** Whether the ticket of the alert waits. */
  readonly waits: boolean;
  /** Whether another alert of the open ticket fires. */
  othersFire(): boolean;
  /** Whether other departments have an open part of the open ticket. */
  partsOpen(): boolean;
  /** Whether another alert of the open ticket ended with its rule or device. */
  endedUnseen(): boolean;
  /** Whether a citizen reported something about the open ticket that no sensor measures. */
  reportedOtherwise(): boolean;
  /** How the service of the open ticket says that it ends. */
  readonly resolution: Service['resolution'];
}

/** Returns what a transition does to the ticket of its alert (promise 3). */
export function decideTicket(
  transition: Pick<Transition, 'from' | 'to' | 'group' | 'because'>,
  context: TicketContext,
): TicketDecision {
  const { to, group } = transition;
  if (group === FAULT_GROUP) return { kind: 'none', reason: 'rule-fault' };
  if (to === 'pending') return { kind: 'none', reason: 'not-firing-yet' };
  if (to === 'cancelled') return { kind: 'none', reason: 'never-fired' };
  return to === 'resolved' ? decideResolved(transition, context) : decideFiring(transition, context);
}

/** Whether a person does something about a ticket, or citizens reported the same: it does not end by itself. */
export function isUnderWay({ status, party, assignee, reports }: Ticket): boolean {
  return status !== 'open' || party !== null || assignee !== null || reports > 0;
}

function decideResolved(
  { because }: Pick<Transition, 'because'>,
  { open: ticket, waits, resolution, othersFire, partsOpen, endedUnseen, reportedOtherwise }: TicketContext,
): TicketDecision {
  if (ticket === null && waits) return { kind: 'forget', reason: 'ended-while-waiting' };
  if (ticket === null) return { kind: 'none', reason: 'nothing-open' };
  if (othersFire()) return { kind: 'calm', reason: 'others-still-fire', ticket };
  if (partsOpen()) return { kind: 'confirm', reason: 'parts-open', ticket };
  if (isUnderWay(ticket) && (because !== undefined || endedUnseen()))
    return { kind: 'confirm', reason: 'work-under-way', ticket };
  if (resolution === 'confirm') return { kind: 'confirm', reason: 'confirm-on-site', ticket };
  if (reportedOtherwise()) return { kind: 'confirm', reason: 'reported-otherwise', ticket };
  return { kind: 'resolve', reason: 'alert-resolved', ticket };
}

function decideFiring({ from }: Pick<Transition, 'from'>, context: TicketContext): TicketDecision {
  const { open, waits, rule, service } = context;
  if (open !== null && from === 'firing') return { kind: 'escalate', reason: 'alert-escalated', ticket: open };
  if (open !== null) return { kind: 'update', reason: 'already-open', ticket: open };
  if (waits) return { kind: 'wait', reason: 'still-waiting' };
  if (rule.ticket === undefined) return { kind: 'none', reason: 'rule-raises-no-ticket' };
  if (service === undefined) return { kind: 'none', reason: 'unknown-service' };
  return placeAlert(context, { service, deadlineMs: rule.ticket.deadlineMs });
}

/** A step returns a decision with its reason, or null to pass the alert on to the next step. */
type Step = (lookups: Lookups, of: OfService) => TicketDecision | null;

const inhibit: Step = ({ inhibition }, of) => held(inhibition(), of);

const silence: Step = ({ silence }, of) => held(silence(), of);

const join: Step = ({ gathered }) => {
  const ticket = gathered();
  return ticket && { kind: 'join', reason: 'joins-others', ticket };
};

const reopen: Step = ({ reopenable }) => {
  const ticket = reopenable();
  return ticket && { kind: 'reopen', reason: 'fires-again-soon', ticket };
};

const gather: Step = ({ gathering }, of) => held(gathering(), of);

const open: Step = (_, of) => ({ kind: 'open', reason: 'incident-began', ...of });

const held = (hold: Hold | null, of: OfService): TicketDecision | null =>
  hold && { kind: 'hold', reason: hold.reason, hold, ...of };

/** The incident pipeline: a firing alert without a ticket takes these steps in order; the first decision ends it. */
export const INCIDENT_STEPS: readonly Step[] = [inhibit, silence, join, reopen, gather, open];

/** Returns what becomes of a firing alert without a ticket. It runs again when the alert has waited long enough. */
export function placeAlert(lookups: Lookups, of: OfService): TicketDecision {
  for (const step of INCIDENT_STEPS) {
    const decision = step(lookups, of);
    if (decision !== null) return decision;
  }
  throw new Error('the last step always decides');
}
