import {
  type HistoryAction,
  type KeyRole,
  LamppostError,
  TICKET_REFUSALS,
  type Ticket,
  type TicketRefusal,
  type TicketStatus,
} from '../domain/index.ts';

/** What people of departments and parties do to a ticket, by its name in addresses. */
export const ACTS = [
  'acknowledge',
  'assign',
  'take',
  'decline',
  'start',
  'resolve',
  'close',
  'reopen',
  'comment',
  'hand-over',
] as const;

/** All that is done to tickets. */
export const TICKET_ACTIONS = [...ACTS, 'split', 'rate'] as const;
export type TicketAction = (typeof TICKET_ACTIONS)[number];

/** Who acts: a key; the alert behind the ticket; what came due; the citizen who reported it. */
export type Actor =
  | { readonly kind: 'key'; readonly id: string; readonly role: KeyRole; readonly department: string | null }
  | { readonly kind: 'rule'; readonly id: string }
  | { readonly kind: 'clock' }
  | { readonly kind: 'reporter' };

/** How an actor stands to a ticket; the first that fits, from the nearest to the farthest. */
export type Standing =
  /** An operator of the whole city. */
  | 'city'
  /** Of the department that answers for it. */
  | 'department'
  /** Of the party that does the work. */
  | 'party'
  /** Of the party that may take it now. */
  | 'offered'
  /** Of another department that has a share in it. */
  | 'joint'
  | 'other'
  | 'viewer'
  | 'rule'
  | 'clock'
  | 'reporter';

const WORKING: readonly TicketStatus[] = ['open', 'acknowledged', 'assigned', 'in_progress'];
const ANY: readonly TicketStatus[] = [...WORKING, 'resolved', 'closed'];

interface Move {
  readonly from: readonly TicketStatus[];
  /** Null: the status stays. */
  readonly to: TicketStatus | null;
  readonly by: readonly Standing[];
  readonly done: HistoryAction;
}

/** The lifecycle: from where to where, and who may. Whatever is not here is refused. */
export const MOVES: Readonly<Record<TicketAction, Move>> = {
  acknowledge: { from: ['open'], to: 'acknowledged', by: ['city', 'department', 'party'], done: 'acknowledged' },
  assign: { from: WORKING, to: 'assigned', by: ['city', 'department'], done: 'assigned' },
  take: { from: ['open', 'acknowledged'], to: 'assigned', by: ['offered'], done: 'taken' },
  decline: { from: ['open', 'acknowledged'], to: null, by: ['offered', 'department', 'city'], done: 'declined' },
  start: {
    from: ['open', 'acknowledged', 'assigned'],
    to: 'in_progress',
    by: ['city', 'department', 'party'],
    done: 'started',
  },
  resolve: { from: WORKING, to: 'resolved', by: ['city', 'department', 'party', 'rule'], done: 'resolved' },
  close: { from: ['resolved'], to: 'closed', by: ['city', 'department', 'clock'], done: 'closed' },
  reopen: { from: ['resolved', 'closed'], to: 'open', by: ['city', 'department', 'rule'], done: 'reopened' },
  comment: { from: ANY, to: null, by: ['city', 'department', 'party', 'offered', 'joint'], done: 'commented' },
  'hand-over': { from: WORKING, to: 'open', by: ['city', 'department'], done: 'handed-over' },
  split: { from: WORKING, to: null, by: ['city', 'department'], done: 'split' },
  rate: { from: ['closed'], to: null, by: ['reporter'], done: 'rated' },
};

/** What decides besides actor and action. */
export type Judged = Pick<Ticket, 'status' | 'department' | 'party' | 'offer'> & {
  /** Departments that have another part of it. */
  readonly joint?: readonly string[];
};

/** How an actor stands to a ticket. */
export function standingOf(actor: Actor, { department, party, offer, joint = [] }: Judged): Standing {
  if (actor.kind !== 'key') return actor.kind;
  if (actor.role !== 'operator' && actor.role !== 'admin') return 'viewer';
  const own = actor.department;
  if (own === null) return 'city';
  if (own === department) return 'department';
  if (own === party) return 'party';
  if (own === offer?.to) return 'offered';
  return joint.includes(own) ? 'joint' : 'other';
}

/** Whether somebody may do something to a ticket as it stands: null, or the reason why not. */
export function refuseAction(action: TicketAction, actor: Actor, ticket: Judged): TicketRefusal | null {
  const { from, by } = MOVES[action];
  const standing = standingOf(actor, ticket);
  if (standing === 'viewer') return 'not-your-role';
  if (action === 'take' && standing !== 'offered') return 'not-offered';
  if (!by.includes(standing)) return standing === 'reporter' ? 'not-your-role' : 'not-your-ticket';
  if (!from.includes(ticket.status)) return 'wrong-status';
  if (action === 'decline' && ticket.offer === null) return 'not-offered';
  return null;
}

const FORBIDDEN: ReadonlySet<TicketRefusal> = new Set([
  'not-your-ticket',
  'not-your-role',
  'not-offered',
  'not-the-reporter',
]);

/** The refusal as an error for its asker: `precondition`, `forbidden`, `invalid` or `conflict`, with its reason. */
export function refusal(reason: TicketRefusal, detail: string): LamppostError {
  const code =
    reason === 'ticket-changed'
      ? 'precondition'
      : reason === 'unknown-party'
        ? 'invalid'
        : FORBIDDEN.has(reason)
          ? 'forbidden'
          : 'conflict';
  return new LamppostError(code, `${TICKET_REFUSALS[reason]}: ${detail}`, { reason });
}
