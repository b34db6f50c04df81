import {
  type Department,
  grantsOf,
  type HistoryAction,
  isoOf,
  type KeyActor,
  LamppostError,
  lackOf,
  type Permission,
  type PersonActor,
  reaches,
  reachOf,
  SEVERITIES,
  type Severity,
  TICKET_REFUSALS,
  TICKET_STATUSES,
  type Ticket,
  type TicketRefusal,
  type TicketStatus,
  unknownName,
} from '../domain/index.ts';

/** Returns the higher of two severities. */
export function higherSeverity(a: Severity, b: Severity): Severity {
  return SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b;
}

/** The statuses of tickets that still need work. An alert has at most one such ticket (promise 3). */
export const OPEN_STATUSES: readonly TicketStatus[] = TICKET_STATUSES.filter((s) => s !== 'resolved' && s !== 'closed');

/** Reports whether a ticket in this status still needs work. */
export function isOpen(status: TicketStatus): boolean {
  return OPEN_STATUSES.includes(status);
}

/** Reports whether somebody did a change: not a rule, and not the time. */
export function isOfPerson(by: string): boolean {
  return by !== 'clock' && !by.startsWith('rule:');
}

/** The same in SQL, over a change. */
export const IS_OF_PERSON = `"by" <> 'clock' and "by" not like 'rule:%'`;

/** Returns the note of what a report of the same does along with its ticket. */
export const alongWith = (id: string): string => `with ${id}`;

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
  'set-severity',
] as const;

/** All actions on tickets. */
export const TICKET_ACTIONS = [...ACTIONS, 'reply', 'split', 'rate', 'write', 'not-fixed'] as const;
export type TicketAction = (typeof TICKET_ACTIONS)[number];

/**
 * Who acts: a key or a person, the rule of an alert, the clock (something came due), or the citizen who reported the
 * ticket.
 */
export type Actor =
  | KeyActor
  | PersonActor
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
  readonly make?: (
    ticket: Ticket,
    request: ActionRequest,
    firing: Severity | null,
  ) => Pick<Change, 'note' | 'set'> & { readonly action?: HistoryAction };
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
  /** `set-severity`: the severity that the ticket has at least from now on. */
  readonly severity?: Severity | undefined;
  /** `comment`: whether it is the department's word to the citizens who reported it, which everybody may read. */
  readonly public?: boolean | undefined;
}

/** Returns the move of a request: a public comment is a reply. */
export function moveOf({ action, public: isPublic = false }: Pick<ActionRequest, 'action' | 'public'>): TicketAction {
  return action === 'comment' && isPublic ? 'reply' : action;
}

/** Throws `invalid` where a comment, also a public one, has no text. */
export function requireText({ action, note = '' }: Pick<ActionRequest, 'action' | 'note'>): void {
  if (action === 'comment' && note === '') throw new LamppostError('invalid', 'note: a comment needs a text');
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
    make: (ticket, { note = '' }, firing) => ({ note, set: reopenedFrom(ticket, firing) }),
  },
  comment: { from: ANY, to: null, by: ['city', 'department', 'party', 'offered', 'joint'], done: 'commented' },
  reply: { from: ANY, to: null, by: ['city', 'department'], done: 'replied' },
  'hand-over': { from: WORKING, to: 'open', by: ['city', 'department'], done: 'handed-over', make: handedOver },
  'set-severity': { from: WORKING, to: null, by: ['city', 'department'], done: 'updated', make: ranked },
  split: { from: WORKING, to: null, by: ['city', 'department'], done: 'split' },
  rate: { from: ['closed'], to: null, by: ['reporter'], done: 'rated' },
  write: { from: ANY, to: null, by: ['reporter'], done: 'wrote' },
  'not-fixed': { from: ['resolved', 'closed'], to: 'open', by: ['reporter'], done: 'reopened' },
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
  const how = isOfferedTo(actor, ticket) ? 'declined by' : 'withdrawn from';
  return { note: noteOf(`${how} ${ticket.offer!.to}`, note), set: { offer: null } };
}

function handedOver({ department, formerDepartments, relation, parent }: Ticket, { to, note }: ActionRequest) {
  if (relation === 'report') throw refusal('goes-along', parent!);
  if (to === undefined) throw refusal('unknown-party', 'name the department: {"to": "<department>"}');
  if (to === department) throw refusal('same-department', to);
  const former = [...formerDepartments, department];
  const set = { department: to, formerDepartments: former, party: null, assignee: null, offer: null };
  return { note: noteOf(`from ${department} to ${to}`, note), set };
}

/** A severity that rises is an escalation, and one that falls an update. */
function ranked(ticket: Ticket, { severity, note }: ActionRequest, firing: Severity | null) {
  if (severity === undefined) throw refusal('no-severity', 'name it: {"severity": "high"}');
  if (higherSeverity(firing ?? severity, severity) !== severity)
    throw refusal('alerts-fire', `it is at least ${firing}`);
  const fact = `severity from ${ticket.severity} to ${severity}`;
  const action = higherSeverity(ticket.severity, severity) === ticket.severity ? 'updated' : 'escalated';
  return { action, note: noteOf(fact, note), set: { severity, leastSeverity: severity } } as const;
}

/** What a ticket that opens again has: nobody's work, and at least the severity that it had. */
export function reopenedFrom({ severity }: Pick<Ticket, 'severity'>, firing: Severity | null) {
  const highest = higherSeverity(severity, firing ?? severity);
  return { party: null, assignee: null, foldedInto: null, leastSeverity: severity, severity: highest };
}

function noteOf(fact: string, note = ''): string {
  return note === '' ? fact : `${fact}: ${note}`;
}

/** The facts of a ticket that a permission depends on. */
export type Permitted = Pick<Ticket, 'status' | 'department' | 'party' | 'offer'> & {
  /** Departments that have another part of it. */
  readonly joint?: readonly string[];
};

/** Whether an actor asks by a key or as a person. */
const asks = (actor: Actor): actor is KeyActor | PersonActor => 'role' in actor;

/** Returns the relation of an actor to a ticket. */
function relationOf(actor: Actor, { department, party, offer, joint = [] }: Permitted): Relation {
  if (!asks(actor)) return actor.kind;
  const own = reachOf(grantsOf(actor), 'tickets.write');
  if (own === 'city') return 'city';
  if (own.length === 0) return 'viewer';
  if (reaches(own, department)) return 'department';
  if (reaches(own, party)) return 'party';
  if (reaches(own, offer?.to ?? null)) return 'offered';
  return joint.some((one) => reaches(own, one)) ? 'joint' : 'other';
}

/** Whether the actor is of the party that may take the ticket now, also where it is responsible for it already. */
export function isOfferedTo(actor: Actor, { offer }: Pick<Ticket, 'offer'>): boolean {
  if (!asks(actor) || offer === null) return false;
  const own = reachOf(grantsOf(actor), 'tickets.write');
  return own !== 'city' && reaches(own, offer.to);
}

/** Returns why an actor may not do something to a ticket as it is now; null where it is allowed. */
export function refuseAction(action: TicketAction, actor: Actor, ticket: Permitted): TicketRefusal | null {
  const { from, by } = MOVES[action];
  const relation = relationOf(actor, ticket);
  if (relation === 'viewer') return 'not-your-role';
  if (action === 'take' && !isOfferedTo(actor, ticket)) return 'not-offered';
  if (action !== 'take' && !by.includes(relation)) return relation === 'reporter' ? 'not-your-role' : 'not-your-ticket';
  if (!from.includes(ticket.status)) return 'wrong-status';
  if (action === 'decline' && ticket.offer === null) return 'not-offered';
  return null;
}

/** Throws the refusal, with the facts behind it, where an actor may not do something to a ticket. */
export function checkAction(action: TicketAction, actor: Actor, ticket: Ticket & Permitted): void {
  const reason = refuseAction(action, actor, ticket);
  if (reason === null) return;
  const { id, status, department } = ticket;
  const own = asks(actor) ? actor.department : null;
  const yours = own === null ? '' : `, you are of ${own}`;
  const details: Partial<Record<TicketRefusal, string>> = {
    'wrong-status': `${id} is ${status}; ${action} is possible from ${MOVES[action].from.join(', ')}`,
    'not-your-ticket': `${id} is of ${department}${yours}`,
    'not-your-role': asks(actor) ? lackOf(grantsOf(actor), 'tickets.write') : action,
  };
  throw refusal(reason, details[reason] ?? id);
}

/**
 * Throws `not-your-role` or `not-your-department` where an actor may not do something to all of some departments; null:
 * of any department, also one to come.
 */
export function requireReach(actor: Actor, permission: Permission, departments: readonly string[] | null): void {
  if (!asks(actor)) return;
  const reach = reachOf(grantsOf(actor), permission);
  if (reach === 'city') return;
  if (reach.length === 0) throw refusal('not-your-role', lackOf(grantsOf(actor), permission));
  if (departments?.every((one) => reaches(reach, one))) return;
  const asked = departments === null ? 'it names no department' : `it is about ${departments.join(', ')}`;
  throw refusal('not-your-department', `${asked}; with ${permission} you reach ${reach.join(', ')}`);
}

const INVALID: ReadonlySet<TicketRefusal> = new Set(['unknown-party', 'no-severity']);
const FORBIDDEN: ReadonlySet<TicketRefusal> = new Set([
  'not-your-ticket',
  'not-your-role',
  'not-your-department',
  'not-offered',
  'not-the-reporter',
]);

/** Returns a refusal as an error: `precondition`, `invalid`, `forbidden` or `conflict`, with its reason. */
export function refusal(reason: TicketRefusal, detail: string): LamppostError {
  return new LamppostError(codeOf(reason), `${TICKET_REFUSALS[reason]}: ${detail}`, { reason });
}

function codeOf(reason: TicketRefusal) {
  if (reason === 'ticket-changed') return 'precondition';
  if (reason === 'too-often') return 'limit';
  if (INVALID.has(reason)) return 'invalid';
  return FORBIDDEN.has(reason) ? 'forbidden' : 'conflict';
}

/** Throws `unknown-party`, with a suggestion, where the city has no such department, contractor or community. */
export function requireParty(party: string, departments: ReadonlyMap<string, Department>): void {
  const fault = unknownName('party', party, departments);
  if (fault !== null) throw refusal('unknown-party', fault);
}

/** Returns the name of an actor in histories: `key:<id>`, `person:<id>`, `rule:<id>`, `clock` or `reporter`. */
export function nameOf(actor: Actor): string {
  return 'id' in actor ? `${actor.kind}:${actor.id}` : actor.kind;
}

/** A change of a ticket before it is applied. */
export interface Change {
  readonly atMs: number;
  /** As in the history: `rule:<id>`, `key:<id>`, `person:<id>`, `reporter`, `reporter:<ticket>` or `clock`. */
  readonly by: string;
  readonly action: HistoryAction;
  /** The new status; absent: it stays. */
  readonly to?: TicketStatus;
  readonly note: string;
  /** Names what a citizen wrote. */
  readonly statement?: string | undefined;
  /** Other fields that change. */
  readonly set?: Partial<Ticket>;
}

/** What the change of an action depends on besides the ticket. */
export interface ChangeFacts {
  readonly departments: ReadonlyMap<string, Department>;
  readonly atMs: number;
  /** The highest severity of the alerts of the ticket that fire; null where none does. */
  readonly firing: Severity | null;
}

/** Returns the change that an allowed action makes. Throws refusals that depend on the request. */
export function changeOf(request: ActionRequest, ticket: Ticket, { departments, atMs, firing }: ChangeFacts): Change {
  const { actor, note = '', to: party } = request;
  if (party !== undefined) requireParty(party, departments);
  const { done, to, make } = MOVES[moveOf(request)];
  const change = { atMs, by: nameOf(actor), action: done, note, ...(to === null ? {} : { to }) };
  return { ...change, ...make?.(ticket, request, firing) };
}

/** Returns the ticket after a change, with version, times and history. Its time never goes back. */
export function changed(ticket: Ticket, change: Change): Ticket {
  const { atMs, by, action, to = ticket.status, note, statement, set = {} } = change;
  const now = isoOf(atMs);
  const at = now > ticket.updatedAt ? now : ticket.updatedAt;
  const named = statement === undefined ? {} : { statement };
  const history = [...ticket.history, { at, by, action, from: ticket.status, to, note, ...named }];
  const { offer } = { ...ticket, ...set };
  return {
    ...ticket,
    ...set,
    // What cannot be taken is not offered: work is under way, or done.
    offer: MOVES.take.from.includes(to) ? offer : null,
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
  if (to === 'resolved') return { ...acknowledged, resolvedAt: at };
  if (to === 'closed') return { ...acknowledged, resolvedAt: ticket.resolvedAt ?? at, closedAt: at };
  return acknowledged;
}
