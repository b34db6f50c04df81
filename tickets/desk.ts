import { boxAround, type Clock, isoOf, LamppostError, type Service, type Ticket } from '../domain/index.ts';
import { type Actor, MOVES, refusal, refuseAction, standingOf } from './actions.ts';
import { type Act, changeOf, nameOf } from './acts.ts';
import type { Change } from './change.ts';
import type { Keeper, TicketCity } from './keeper.ts';
import { blankTicket } from './lifecycle.ts';
import { nearestOf } from './near.ts';
import type { TicketExtras, TicketStore } from './store.ts';

/** A ticket that a citizen or an operator asks for. */
export interface Request {
  readonly id: string;
  readonly origin: 'citizen' | 'operator';
  readonly by: string;
  readonly service: string;
  readonly title: string;
  readonly titleZh: string;
  readonly description: string | null;
  readonly district: string;
  readonly severity: Ticket['severity'];
  readonly location: Ticket['location'];
  readonly address: string | null;
  /** An open ticket of the same service so near is the same one, reported once more; null: this one stands for itself. */
  readonly same: { readonly withinM: number } | null;
  readonly extras?: TicketExtras;
}

/** Another department's share in a ticket. */
export interface Split {
  readonly ticket: string;
  readonly actor: Actor;
  readonly version?: number | undefined;
  /** Who answers for the share. */
  readonly department: string;
  /** What it is to do. */
  readonly note: string;
}

/** What a citizen thinks of a service done. */
export interface Rating {
  readonly ticket: string;
  /** SHA-256 of the reporter's token. */
  readonly hash: Uint8Array;
  readonly stars: number;
  readonly comment: string;
}

/**
 * Where people act upon tickets. Every function answers all versions to be told, the ticket that was asked for last; the
 * caller holds the transaction. Throws `not-found`, and refusals with a reason of `TICKET_REFUSALS`.
 */
export interface Desk {
  act(act: Act): Ticket[];
  open(request: Request): Ticket[];
  split(split: Split): Ticket[];
  rate(rating: Rating): Ticket[];
}

interface Deps {
  readonly tickets: TicketStore;
  readonly keeper: Keeper;
  readonly city: () => TicketCity;
  readonly clock: Clock;
}

/** Makes the desk. */
export function createDesk({ tickets, keeper, city, clock }: Deps): Desk {
  function find(id: string): Ticket {
    const ticket = tickets.get(id);
    if (ticket === null) throw new LamppostError('not-found', `there is no ticket "${id}"`);
    return ticket;
  }

  /** The ticket, where the actor may do this to the version that it has seen. */
  function allowed({
    ticket: id,
    action,
    actor,
    version,
  }: Pick<Act, 'ticket' | 'actor' | 'version'> & { action: Act['action'] | 'split' }): Ticket {
    const ticket = find(id);
    if (version !== undefined && version !== ticket.version)
      throw refusal('ticket-changed', `it is at version ${ticket.version}, not ${version}`);
    const reason = refuseAction(action, actor, { ...ticket, joint: jointOf(ticket) });
    if (reason !== null) throw refusal(reason, explained(reason, action, ticket, actor));
    return ticket;
  }

  function jointOf({ id, parent }: Ticket): string[] {
    const root = parent ?? id;
    const parts = tickets.children(root).filter(({ relation }) => relation === 'part');
    if (parts.length === 0) return [];
    return [...parts, tickets.get(root)!].map(({ department }) => department);
  }

  function checkParts({ id }: Ticket): void {
    const open = tickets.openParts(id);
    if (open.length > 0) throw refusal('parts-open', open.map((part) => `${part.id} (${part.department})`).join(', '));
  }

  function nearest({ service, location }: Pick<Request, 'service' | 'location'>, withinM: number): Ticket | null {
    if (location === null) return null;
    return nearestOf(tickets.findWithin(service, boxAround(location, withinM)), location, withinM);
  }

  /** A declined offer goes to the next in line; when nobody is left, to the department. */
  function offerNext(before: Ticket, changed: Ticket[]): Ticket[] {
    const now = city();
    const tiers = now.services.get(before.service)?.offers ?? [];
    const n = tiers.findIndex(({ to }) => to === before.offer?.to) + 1;
    return [...changed, ...keeper.offer(changed.at(-1)!, n, { atMs: clock.now(), city: now })];
  }

  return {
    act(act) {
      const before = allowed(act);
      if (act.action === 'resolve') checkParts(before);
      if (act.action === 'reopen' && !tickets.rebind(before.id)) throw refusal('superseded', before.id);
      const atMs = clock.now();
      const change = changeOf(act, before, { departments: city().departments, atMs });
      const changed = keeper.change(before, change, city());
      const declined = act.action === 'decline' && standingOf(act.actor, before) === 'offered';
      return declined ? offerNext(before, changed) : changed;
    },
    open({ id, by, same, extras = {}, ...of }) {
      const now = city();
      const service = serviceOf(of.service, now);
      const atMs = clock.now();
      const blank = blankTicket(
        { id, ...of, department: service.department },
        { at: isoOf(atMs), by, note: of.origin === 'citizen' ? 'reported by a citizen' : 'opened by hand' },
      );
      const parent = same === null ? null : nearest(of, same.withinM);
      const ticket =
        parent !== null
          ? { ...blank, department: parent.department, parent: parent.id, relation: 'report' as const }
          : blank;
      const opened = keeper.open({ ticket, atMs, resolveMs: service.deadlineMs, alerts: [], extras }, service, now);
      return parent !== null ? [...linkTo(parent, opened[0]!, atMs), ...opened] : opened;
    },
    split({ department, note, ...asked }) {
      const before = allowed({ ...asked, action: 'split' });
      const now = city();
      if (!now.departments.has(department))
        throw refusal('unknown-party', `"${department}"; the city has ${[...now.departments.keys()].join(', ')}`);
      if (department === before.department) throw refusal('same-department', department);
      const known = serviceOf(before.service, now);
      const atMs = clock.now();
      const by = nameOf(asked.actor);
      const n = tickets.children(before.id).filter(({ relation }) => relation === 'part').length + 1;
      const { title, titleZh, service, district, severity, origin, location, address } = before;
      const part: Ticket = {
        ...blankTicket(
          { id: `${before.id}-p${n}`, origin, title, titleZh, service, department, district, severity },
          { at: isoOf(atMs), by, note },
        ),
        location,
        address,
        parent: before.id,
        relation: 'part',
      };
      const opened = keeper.open({ ticket: part, atMs, resolveMs: known.deadlineMs, alerts: [] }, known, now);
      const change: Change = { atMs, by, action: 'split', note: `${part.id} for ${department}: ${note}` };
      return [...keeper.change(before, change, now), ...opened];
    },
    rate({ ticket: id, hash, stars, comment }) {
      const before = find(id);
      const known = tickets.reporterHash(id);
      if (known === null || !same(known, hash)) throw refusal('not-the-reporter', id);
      if (before.rating !== null) throw refusal('already-rated', before.rating.at);
      const actor = { kind: 'reporter' } as const;
      const reason = refuseAction('rate', actor, before);
      if (reason !== null) throw refusal(reason, explained(reason, 'rate', before, actor));
      const atMs = clock.now();
      const rating = { stars, comment, at: isoOf(atMs) };
      const note = comment === '' ? `${stars} of 5` : `${stars} of 5: ${comment}`;
      return keeper.change(before, { atMs, by: 'reporter', action: 'rated', note, set: { rating } }, city());
    },
  };

  /** One more who says the same. */
  function linkTo(parent: Ticket, report: Ticket, atMs: number): Ticket[] {
    const reports = parent.reports + 1;
    const change: Change = {
      atMs,
      by: 'reporter',
      action: 'linked',
      note: `${report.id} reports the same`,
      set: { reports },
    };
    return keeper.change(parent, change, city());
  }
}

function serviceOf(id: string, { services }: Pick<TicketCity, 'services'>): Service {
  const service = services.get(id);
  if (service === undefined) throw new LamppostError('not-found', `there is no service "${id}"`);
  return service;
}

/** Equal in every byte; the time it takes tells nothing of where they differ. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  return a.reduce((different, byte, i) => different | (byte ^ b[i]!), 0) === 0;
}

function explained(
  reason: string,
  action: keyof typeof MOVES,
  { id, status, department }: Ticket,
  actor: Actor,
): string {
  if (reason === 'wrong-status')
    return `${id} is ${status}; ${action} is possible from ${MOVES[action].from.join(', ')}`;
  if (reason === 'not-your-ticket') return `${id} is of ${department}${ownOf(actor)}`;
  if (reason === 'not-your-role') return actor.kind === 'key' ? `yours is ${actor.role}` : action;
  return id;
}

function ownOf(actor: Actor): string {
  return actor.kind === 'key' && actor.department !== null ? `, your key of ${actor.department}` : '';
}
