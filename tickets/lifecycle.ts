import {
  type Department,
  type HistoryAction,
  isoOf,
  type KeyActor,
  LamppostError,
  suggest,
  TICKET_REFUSALS,
  TICKET_STATUSES,
  type Ticket,
  type TicketRefusal,
  type TicketStatus,
} from '../domain/index.ts';

/** The statuses of tickets that still need work. An alert has at most one such ticket (promise 3). */
export const OPEN_STATUSES: readonly TicketStatus[] = TICKET_STATUSES.filter((s) => s !== 'resolved' && s !== 'closed');

/** Reports whether a ticket in this status still needs work. */
export function isOpen(status: TicketStatus): boolean {
  return OPEN_STATUSES.includes(status);
}

/** The actions that the API offers on a ticket, by their name in addresses. */
export const ACTIONS = [
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

/** All actions on tickets. */
export const TICKET_ACTIONS = [...ACTIONS, 'split', 'rate'] as const;
export type TicketAction = (typeof TICKET_ACTIONS)[number];

/** Who acts: a key, the rule of an alert, the clock (something came due), or the citizen who reported the ticket. */
export type Actor =
  | KeyActor
  | { readonly kind: 'rule'; readonly id: string }
  | { readonly kind: 'clock' }
  | { readonly kind: 'reporter' };

/** The relation of an actor to a ticket: the first that fits, in this order. */
export type Relation =
  /** An operator of the whole city. */
  | 'city'
  /** Of the department that is responsible for it. */
  | 'department'
  /** Of the party that does the work. */
  | 'party'
  /** Of the party that may take it now. */
  | 'offered'
  /** Of another department that has a part of it. */
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
  readonly by: readonly Relation[];
  /** The action in the entry of the history. */
  readonly done: HistoryAction;
  /** Returns what else changes; absent: nothing else. Throws refusals that depend on the request. */
  readonly make?: (ticket: Ticket, request: ActionRequest) => Pick<Change, 'note' | 'set'>;
}

/** An action that somebody requests on a ticket. */
export interface ActionRequest {
  readonly ticket: string;
  readonly action: (typeof ACTIONS)[number];
  readonly actor: Actor;
  /** The version that the actor has seen; absent: any. */
  readonly version?: number | undefined;
  readonly note?: string | undefined;
  /** `assign`: the party that does the work; `hand-over`: the department that is responsible from now on. */
  readonly to?: string | undefined;
  /** `assign`: the person of that party. */
  readonly assignee?: string | undefined;
}

/** The lifecycle: for each action from which status to which, by whom, and what it changes. All else is refused. */
export const MOVES: Readonly<Record<TicketAction, Move>> = {
  acknowledge: { from: ['open'], to: 'acknowledged', by: ['city', 'department', 'party'], done: 'acknowledged' },
  assign: { from: WORKING, to: 'assigned', by: ['city', 'department'], done: 'assigned', make: assigned },
  take: { from: ['open', 'acknowledged'], to: 'assigned', by: ['offered'], done: 'taken', make: taken },
  decline: {
    from: ['open', 'acknowledged'],
    to: null,
    by: ['offered', 'department', 'city'],
    done: 'declined',
    make: declined,
  },
  start: {
    from: ['open', 'acknowledged', 'assigned'],
    to: 'in_progress',
    by: ['city', 'department', 'party'],
    done: 'started',
  },
  resolve: { from: WORKING, to: 'resolved', by: ['city', 'department', 'party', 'rule'], done: 'resolved' },
  close: { from: ['resolved'], to: 'closed', by: ['city', 'department', 'clock'], done: 'closed' },
  reopen: {
    from: ['resolved', 'closed'],
    to: 'open',
    by: ['city', 'department', 'rule'],
    done: 'reopened',
    make: (_ticket, { note = '' }) => ({ note, set: { party: null, assignee: null } }),
  },
  comment: { from: ANY, to: null, by: ['city', 'department', 'party', 'offered', 'joint'], done: 'commented' },
  'hand-over': { from: WORKING, to: 'open', by: ['city', 'department'], done: 'handed-over', make: handedOver },
  split: { from: WORKING, to: null, by: ['city', 'department'], done: 'split' },
  rate: { from: ['closed'], to: null, by: ['reporter'], done: 'rated' },
};

function assigned(ticket: Ticket, { to, assignee, note }: ActionRequest) {
  const party = to ?? ticket.party;
  const who = [party ?? ticket.department, assignee].filter(Boolean).join(': ');
  return { note: noteOf(`to ${who}`, note), set: { party, assignee: assignee ?? null, offer: null } };
}

function taken({ offer }: Ticket, { assignee, note = '' }: ActionRequest) {
  return { note, set: { party: offer!.to, assignee: assignee ?? null, offer: null } };
}

function declined(ticket: Ticket, { actor, note }: ActionRequest) {
  const how = relationOf(actor, ticket) === 'offered' ? 'declined by' : 'withdrawn from';
  return { note: noteOf(`${how} ${ticket.offer!.to}`, note), set: { offer: null } };
}

function handedOver({ department, formerDepartments }: Ticket, { to, note }: ActionRequest) {
  if (to === undefined) throw refusal('unknown-party', 'name the department: {"to": "<department>"}');
  if (to === department) throw refusal('same-department', to);
  const former = [...formerDepartments, department];
  const set = { department: to, formerDepartments: former, party: null, assignee: null, offer: null };
  return { note: noteOf(`from ${department} to ${to}`, note), set };
}

function noteOf(fact: string, note = ''): string {
  return note === '' ? fact : `${fact}: ${note}`;
}

/** The facts of a ticket that a permission depends on. */
export type Permitted = Pick<Ticket, 'status' | 'department' | 'party' | 'offer'> & {
  /** Departments that have another part of it. */
  readonly joint?: readonly string[];
};

/** Returns the relation of an actor to a ticket. */
export function relationOf(actor: Actor, { department, party, offer, joint = [] }: Permitted): Relation {
  if (actor.kind !== 'key') return actor.kind;
  if (actor.role !== 'operator' && actor.role !== 'admin') return 'viewer';
  const own = actor.department;
  if (own === null) return 'city';
  if (own === department) return 'department';
  if (own === party) return 'party';
  if (own === offer?.to) return 'offered';
  return joint.includes(own) ? 'joint' : 'other';
}

/** Returns why an actor may not do something to a ticket as it is now; null where it is allowed. */
export function refuseAction(action: TicketAction, actor: Actor, ticket: Permitted): TicketRefusal | null {
  const { from, by } = MOVES[action];
  const relation = relationOf(actor, ticket);
  if (relation === 'viewer') return 'not-your-role';
  if (action === 'take' && relation !== 'offered') return 'not-offered';
  if (!by.includes(relation)) return relation === 'reporter' ? 'not-your-role' : 'not-your-ticket';
  if (!from.includes(ticket.status)) return 'wrong-status';
  if (action === 'decline' && ticket.offer === null) return 'not-offered';
  return null;
}

/** Throws the refusal, with the facts behind it, where an actor may not do something to a ticket. */
export function checkAction(action: TicketAction, actor: Actor, ticket: Ticket & Permitted): void {
  const reason = refuseAction(action, actor, ticket);
  if (reason === null) return;
  const { id, status, department } = ticket;
  const own = actor.kind === 'key' ? actor.department : null;
  const yours = own === null ? '' : `, your key of ${own}`;
  const details: Partial<Record<TicketRefusal, string>> = {
    'wrong-status': `${id} is ${status}; ${action} is possible from ${MOVES[action].from.join(', ')}`,
    'not-your-ticket': `${id} is of ${department}${yours}`,
    'not-your-role': actor.kind === 'key' ? `yours is ${actor.role}` : action,
  };
  throw refusal(reason, details[reason] ?? id);
}

const FORBIDDEN: ReadonlySet<TicketRefusal> = new Set([
  'not-your-ticket',
  'not-your-role',
  'not-offered',
  'not-the-reporter',
]);

/** Returns a refusal as an error: `precondition`, `invalid`, `forbidden` or `conflict`, with its reason. */
export function refusal(reason: TicketRefusal, detail: string): LamppostError {
  return new LamppostError(codeOf(reason), `${TICKET_REFUSALS[reason]}: ${detail}`, { reason });
}

function codeOf(reason: TicketRefusal) {
  if (reason === 'ticket-changed') return 'precondition';
  if (reason === 'unknown-party') return 'invalid';
  return FORBIDDEN.has(reason) ? 'forbidden' : 'conflict';
}

/** Throws `unknown-party`, with a suggestion, where the city has no such department, contractor or community. */
export function requireParty(party: string, departments: ReadonlyMap<string, Department>): void {
  if (!departments.has(party)) throw refusal('unknown-party', `"${party}"${suggest(party, departments.keys())}`);
}

/** Returns the name of an actor in histories: `key:<id>`, `rule:<id>`, `clock` or `reporter`. */
export function nameOf(actor: Actor): string {
  return 'id' in actor ? `${actor.kind}:${actor.id}` : actor.kind;
}

/** A change of a ticket before it is applied. */
export interface Change {
  readonly atMs: number;
  /** `rule:<id>`, `key:<id>`, `reporter` or `clock`. */
  readonly by: string;
  readonly action: HistoryAction;
  /** The new status; absent: it stays. */
  readonly to?: TicketStatus;
  readonly note: string;
  /** Other fields that change. */
  readonly set?: Partial<Ticket>;
}

/** Returns the change that an allowed action makes. Throws `unknown-party` and `same-department`. */
export function changeOf(
  request: ActionRequest,
  ticket: Ticket,
  { departments, atMs }: { readonly departments: ReadonlyMap<string, Department>; readonly atMs: number },
): Change {
  const { action, actor, note = '', to: party } = request;
  if (party !== undefined) requireParty(party, departments);
  const { done, to, make } = MOVES[action];
  const change = { atMs, by: nameOf(actor), action: done, note, ...(to === null ? {} : { to }) };
  return { ...change, ...make?.(ticket, request) };
}

/** Returns the ticket after a change, with version, times and history. Its time never goes back. */
export function changed(ticket: Ticket, { atMs, by, action, to = ticket.status, note, set = {} }: Change): Ticket {
  const now = isoOf(atMs);
  const at = now > ticket.updatedAt ? now : ticket.updatedAt;
  const history = [...ticket.history, { at, by, action, from: ticket.status, to, note }];
  return {
    ...ticket,
    ...set,
    ...timesAfter(ticket, to, at),
    status: to,
    updatedAt: at,
    version: history.length,
    history,
  };
}

/** Returns when the ticket was acknowledged, resolved and closed, where its new status changes that. */
function timesAfter(ticket: Ticket, to: TicketStatus, at: string): Partial<Ticket> {
  if (to === ticket.status) return {};
  if (to === 'open') return { acknowledgedAt: null, resolvedAt: null, closedAt: null };
  const acknowledged = { acknowledgedAt: ticket.acknowledgedAt ?? at, acknowledgeBy: null };
  if (to === 'resolved') return { ...acknowledged, resolvedAt: at, offer: null };
  if (to === 'closed') return { ...acknowledged, resolvedAt: ticket.resolvedAt ?? at, closedAt: at, offer: null };
  return acknowledged;
}
