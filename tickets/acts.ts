import type { Department, Ticket } from '../domain/index.ts';
import { type ACTS, type Actor, MOVES, refusal, standingOf } from './actions.ts';
import type { Change } from './change.ts';

/** What somebody wants to do to a ticket. */
export interface Act {
  readonly ticket: string;
  readonly action: (typeof ACTS)[number];
  readonly actor: Actor;
  /** The version that the actor has seen; absent: whatever it is. */
  readonly version?: number | undefined;
  readonly note?: string | undefined;
  /** `assign`: who does the work; `hand-over`: who answers for it from now on. */
  readonly to?: string | undefined;
  /** `assign`: the person there. */
  readonly assignee?: string | undefined;
}

/** `key:<id>`, `rule:<id>`, `clock` or `reporter`, as histories name who did something. */
export function nameOf(actor: Actor): string {
  return 'id' in actor ? `${actor.kind}:${actor.id}` : actor.kind;
}

/** The change that an act makes, once it is allowed. Throws refusals: an unknown party, the department that has it already. */
export function changeOf(
  { action, actor, note = '', to, assignee }: Act,
  ticket: Ticket,
  { departments, atMs }: { readonly departments: ReadonlyMap<string, Department>; readonly atMs: number },
): Change {
  const { done, to: status } = MOVES[action];
  const change = { atMs, by: nameOf(actor), action: done, note, ...(status === null ? {} : { to: status }) };
  if (to !== undefined && !departments.has(to)) {
    throw refusal('unknown-party', `"${to}"; the city has ${[...departments.keys()].join(', ')}`);
  }
  switch (action) {
    case 'assign': {
      const party = to ?? ticket.party;
      const who = [party ?? ticket.department, assignee].filter(Boolean).join(': ');
      return { ...change, note: said(`to ${who}`, note), set: { party, assignee: assignee ?? null, offer: null } };
    }
    case 'take':
      return { ...change, set: { party: ticket.offer!.to, assignee: assignee ?? null, offer: null } };
    case 'decline': {
      const taken = standingOf(actor, ticket) === 'offered' ? 'declined by' : 'withdrawn from';
      return { ...change, note: said(`${taken} ${ticket.offer!.to}`, note), set: { offer: null } };
    }
    case 'hand-over': {
      if (to === undefined) throw refusal('unknown-party', 'say to whom: {"to": "<department>"}');
      if (to === ticket.department) throw refusal('same-department', to);
      const formerDepartments = [...ticket.formerDepartments, ticket.department];
      const set = { department: to, formerDepartments, party: null, assignee: null, offer: null };
      return { ...change, note: said(`from ${ticket.department} to ${to}`, note), set };
    }
    case 'reopen':
      return { ...change, set: { party: null, assignee: null } };
    default:
      return change;
  }
}

function said(fact: string, note: string): string {
  return note === '' ? fact : `${fact}: ${note}`;
}
