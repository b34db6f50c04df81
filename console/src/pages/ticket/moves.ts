import type { Me, paths, ShownTicket } from '../../api/schema.ts';

export type Action = paths['/api/v1/tickets/{id}/{action}']['post']['parameters']['path']['action'];
type Status = ShownTicket['status'];
/** What the department of who acts is to a ticket. */
type Relation = 'city' | 'department' | 'party' | 'offered' | 'joint';

interface Move {
  readonly from: readonly Status[];
  readonly by: readonly Relation[];
}

const WORKING: readonly Status[] = ['open', 'acknowledged', 'assigned', 'in_progress'];
const STAFF = ['city', 'department'] as const;
const WORKERS = [...STAFF, 'party'] as const;

/**
 * From which status each action is possible, and by whom: the server's own table, which a test compares. The server
 * decides; pages use it to show no button that would be refused.
 */
export const MOVES: Readonly<Record<Action | 'split', Move>> = {
  acknowledge: { from: ['open'], by: WORKERS },
  take: { from: ['open', 'acknowledged'], by: ['offered'] },
  decline: { from: ['open', 'acknowledged'], by: ['offered', ...STAFF] },
  assign: { from: WORKING, by: STAFF },
  start: { from: ['open', 'acknowledged', 'assigned'], by: WORKERS },
  resolve: { from: WORKING, by: WORKERS },
  close: { from: ['resolved'], by: STAFF },
  reopen: { from: ['resolved', 'closed'], by: STAFF },
  'hand-over': { from: WORKING, by: STAFF },
  'set-severity': { from: WORKING, by: STAFF },
  comment: { from: [...WORKING, 'resolved', 'closed'], by: [...WORKERS, 'offered', 'joint'] },
  split: { from: WORKING, by: STAFF },
};

export const ACTIONS = Object.keys(MOVES).filter((action): action is Action => action !== 'split');

/** Actions that say to whom. */
export const NAMES_A_PARTY: readonly Action[] = ['assign', 'hand-over'];

/** The fields of a ticket that say who may do what to it. */
export type Permitted = Pick<ShownTicket, 'status' | 'department' | 'party' | 'offer'>;

/** The departments in which somebody may work on tickets; null among them: the whole city. */
function departmentsOf(me: Pick<Me, 'reach'>): readonly (string | null)[] {
  return me.reach.filter(({ rights }) => rights.includes('tickets.write')).map(({ department }) => department);
}

function relationOf(own: readonly (string | null)[], { department, party, offer }: Permitted): Relation {
  if (own.includes(null)) return 'city';
  if (own.includes(department)) return 'department';
  if (party !== null && own.includes(party)) return 'party';
  if (offer !== null && own.includes(offer.to)) return 'offered';
  // Who sees the ticket of another department has a part of it, or was notified: the server knows which.
  return 'joint';
}

/** Whether somebody may do something to a ticket as it is now. */
export function mayAct(me: Pick<Me, 'reach'>, action: Action | 'split', ticket: Permitted): boolean {
  const own = departmentsOf(me);
  const { from, by } = MOVES[action];
  if (own.length === 0 || !from.includes(ticket.status)) return false;
  if (ticket.offer === null && (action === 'take' || action === 'decline')) return false;
  // Also who is responsible for it already may take what is offered to them; the whole city's staff does not.
  if (action === 'take') return !own.includes(null) && own.includes(ticket.offer!.to);
  return by.includes(relationOf(own, ticket));
}

/** The action that moves a ticket into a status. */
export const MOVE_TO: Readonly<Record<Status, Action>> = {
  open: 'reopen',
  acknowledged: 'acknowledge',
  assigned: 'assign',
  in_progress: 'start',
  resolved: 'resolve',
  closed: 'close',
};

/** What undoes an action. */
interface Undo {
  readonly action: Action;
  readonly to?: string;
  readonly assignee?: string;
  readonly severity?: string;
}

/** Returns what takes a ticket back to where it was before an action; null where nothing does. */
export function undoOf(action: Action, before: ShownTicket, after: ShownTicket): Undo | null {
  if (action === 'resolve' || action === 'close') return { action: 'reopen' };
  if (action === 'set-severity') return { action, severity: before.severity };
  if (action === 'hand-over') return { action, to: before.department };
  if (action !== 'assign') return null;
  if (after.offer !== null && before.offer === null) return { action: 'decline' };
  return { action, to: before.party ?? before.department, assignee: before.assignee ?? '' };
}
