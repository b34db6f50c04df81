import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import {
  boxAround,
  type Clock,
  distanceM,
  isoOf,
  LamppostError,
  type Place,
  type Service,
  suggest,
  type Ticket,
} from '../domain/index.ts';
import { blankTicket } from './alert-changes.ts';
import { createDueStore } from './deadlines.ts';
import { doNextDue } from './due.ts';
import { createIncidents, type Incidents } from './incidents.ts';
import {
  type ActionRequest,
  type Actor,
  type Change,
  changeOf,
  checkAction,
  nameOf,
  refusal,
  relationOf,
  requireParty,
  type TicketAction,
} from './lifecycle.ts';
import type { FiringAlerts } from './match.ts';
import { createSilenceStore, type Silence, type SilenceStore } from './silence-store.ts';
import { createTicketStore, type TicketExtras, type TicketStore } from './store.ts';
import { createWaitStore } from './waits.ts';
import { type TicketCity, TicketWriter } from './writer.ts';

/** A ticket that a citizen or an operator asks for. */
export interface Request {
  /** Absent: drawn here. A citizen's is drawn before, since photo and reporter are kept under it first. */
  readonly id?: string;
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
  /** An open ticket of the same service so near is the same one, reported once more; null: this one is always its own. */
  readonly same: { readonly withinM: number } | null;
  readonly extras?: TicketExtras;
}

/** Another department's share in a ticket. */
export interface Split {
  readonly ticket: string;
  readonly actor: Actor;
  readonly version?: number | undefined;
  /** The department that is responsible for the share. */
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

interface Parts {
  /** A file that has `TICKET_SCHEMA`. */
  readonly db: DatabaseSync;
  readonly clock: Clock;
  /** The city in force. */
  readonly city: () => TicketCity;
  readonly firing: FiringAlerts;
  /** Returns the id of a ticket that an operator opens. */
  readonly newId?: () => string;
}

/** How long before its end a silence that holds tickets back is announced, ms. */
const WARNING_MS = 15 * 60_000;

/**
 * The writing side of the tickets: what alerts, people and time do to them. One thread has it, and the caller holds the
 * transaction. Methods return every version to be published, in order; the last is of the ticket that was asked for. What
 * people ask for throws `not-found`, and refusals with a reason of `TICKET_REFUSALS`.
 */
export class TicketService {
  readonly incidents: Incidents;
  readonly silences: SilenceStore;
  readonly #tickets: TicketStore;
  readonly #due: ReturnType<typeof createDueStore>;
  readonly #writer: TicketWriter;
  readonly #city: () => TicketCity;
  readonly #clock: Clock;
  readonly #newId: () => string;

  constructor({ db, clock, city, firing, newId = () => `o-${randomBytes(6).toString('hex')}` }: Parts) {
    const tickets = createTicketStore(db);
    const due = createDueStore(db);
    const writer = new TicketWriter({ tickets, due });
    const silences = createSilenceStore(db);
    this.incidents = createIncidents({ tickets, waits: createWaitStore(db), due, silences, writer, firing });
    this.silences = silences;
    this.#tickets = tickets;
    this.#due = due;
    this.#writer = writer;
    this.#city = city;
    this.#clock = clock;
    this.#newId = newId;
  }

  /** Does what somebody asks for: checks who may, the version that they saw, and what the action needs. */
  act(request: ActionRequest): Ticket[] {
    const { action, actor } = request;
    const before = this.#allowed(request);
    if (action === 'resolve') this.#requireNoOpenParts(before);
    if (action === 'reopen' && !this.#tickets.rebind(before.id)) throw refusal('superseded', before.id);
    const city = this.#city();
    const atMs = this.#clock.now();
    const change = changeOf(request, before, { departments: city.departments, atMs });
    const changes = this.#writer.change(before, change, city);
    if (action !== 'decline' || relationOf(actor, before) !== 'offered') return changes;
    // A declined offer goes to the next in line; after the last, the department has it.
    const tiers = city.services.get(before.service)?.offers ?? [];
    const n = tiers.findIndex(({ to }) => to === before.offer?.to) + 1;
    return [...changes, ...this.#writer.offer(changes.at(-1)!, n, { atMs, city })];
  }

  /** Opens a ticket, or reports an open one near by once more. */
  open({ id = this.#newId(), by, same, extras = {}, ...of }: Request): Ticket[] {
    const city = this.#city();
    const service = serviceOf(of.service, city);
    const atMs = this.#clock.now();
    const note = of.origin === 'citizen' ? 'reported by a citizen' : 'opened by hand';
    const blank = blankTicket({ id, ...of, department: service.department }, { at: isoOf(atMs), by, note });
    const opening = { atMs, resolveMs: service.deadlineMs, alerts: [], extras };
    const parent = same === null ? null : this.#nearest(of, same.withinM);
    if (parent === null) return this.#writer.open({ ticket: blank, ...opening }, service, city);
    const ticket: Ticket = { ...blank, department: parent.department, parent: parent.id, relation: 'report' };
    const opened = this.#writer.open({ ticket, ...opening }, service, city);
    const linked = { atMs, by: 'reporter', action: 'linked', note: `${id} reports the same` } as const;
    return [...this.#writer.change(parent, { ...linked, set: { reports: parent.reports + 1 } }, city), ...opened];
  }

  /** Gives another department a share in a ticket: a part, which is a ticket of its own. */
  split({ department, note, ...asked }: Split): Ticket[] {
    const before = this.#allowed({ ...asked, action: 'split' });
    const city = this.#city();
    requireParty(department, city.departments);
    if (department === before.department) throw refusal('same-department', department);
    const service = serviceOf(before.service, city);
    const atMs = this.#clock.now();
    const by = nameOf(asked.actor);
    const part = { ...this.#partOf(before, department, { at: isoOf(atMs), by, note }), parent: before.id };
    const opening = { ticket: part, atMs, resolveMs: service.deadlineMs, alerts: [] };
    const opened = this.#writer.open(opening, service, city);
    const change: Change = { atMs, by, action: 'split', note: `${part.id} for ${department}: ${note}` };
    return [...this.#writer.change(before, change, city), ...opened];
  }

  /** Stores the rating of the citizen who reported a ticket, once. */
  rate({ ticket: id, hash, stars, comment }: Rating): Ticket[] {
    const before = this.#find(id);
    const known = this.#tickets.reporterHash(id);
    if (known === null || !sameBytes(known, hash)) throw refusal('not-the-reporter', id);
    if (before.rating !== null) throw refusal('already-rated', before.rating.at);
    checkAction('rate', { kind: 'reporter' }, before);
    const atMs = this.#clock.now();
    const rating = { stars, comment, at: isoOf(atMs) };
    const note = comment === '' ? `${stars} of 5` : `${stars} of 5: ${comment}`;
    return this.#writer.change(before, { atMs, by: 'reporter', action: 'rated', note, set: { rating } }, this.#city());
  }

  /** Does the oldest thing that is due, once; null where nothing is due. */
  doNextDue(nowMs: number, city: TicketCity): readonly Ticket[] | null {
    return doNextDue({ tickets: this.#tickets, due: this.#due, writer: this.#writer }, nowMs, city);
  }

  /** Returns silences that end soon and were not announced yet, each once, with the alerts whose tickets they hold back. */
  endingSilences(nowMs: number): (Silence & { alerts: readonly { rule: string; group: string }[] })[] {
    const ending = this.silences.takeEnding(nowMs + WARNING_MS, nowMs);
    return ending.map((silence) => ({ ...silence, alerts: this.incidents.heldBy(silence) }));
  }

  #find(id: string): Ticket {
    const ticket = this.#tickets.get(id);
    if (ticket === null) throw new LamppostError('not-found', `there is no ticket "${id}"`);
    return ticket;
  }

  /** Returns the ticket, where the actor may do this to the version that it has seen. */
  #allowed(asked: Pick<ActionRequest, 'ticket' | 'actor' | 'version'> & { readonly action: TicketAction }): Ticket {
    const ticket = this.#find(asked.ticket);
    if (asked.version !== undefined && asked.version !== ticket.version)
      throw refusal('ticket-changed', `it is at version ${ticket.version}, not ${asked.version}`);
    checkAction(asked.action, asked.actor, { ...ticket, joint: this.#jointOf(ticket) });
    return ticket;
  }

  /** Departments that have a part of it, or of the ticket that it is a part of. */
  #jointOf({ id, parent }: Ticket): string[] {
    const root = parent ?? id;
    const parts = this.#partsOf(root);
    if (parts.length === 0) return [];
    return [...parts, this.#tickets.get(root)!].map(({ department }) => department);
  }

  #partsOf(id: string): Ticket[] {
    return this.#tickets.children(id).filter(({ relation }) => relation === 'part');
  }

  #requireNoOpenParts({ id }: Ticket): void {
    const open = this.#tickets.openParts(id);
    if (open.length > 0) throw refusal('parts-open', open.map((part) => `${part.id} (${part.department})`).join(', '));
  }

  #partOf(whole: Ticket, department: string, opened: Parameters<typeof blankTicket>[1]): Ticket {
    const { origin, title, titleZh, service, district, severity, location, address } = whole;
    const id = `${whole.id}-p${this.#partsOf(whole.id).length + 1}`;
    const of = { id, origin, title, titleZh, service, department, district, severity };
    return { ...blankTicket(of, opened), location, address, relation: 'part' };
  }

  #nearest({ service, location }: Pick<Request, 'service' | 'location'>, withinM: number): Ticket | null {
    if (location === null) return null;
    return nearestOf(this.#tickets.findWithin(service, boxAround(location, withinM)), location, withinM);
  }
}

function serviceOf(id: string, { services }: Pick<TicketCity, 'services'>): Service {
  const service = services.get(id);
  if (service === undefined)
    throw new LamppostError('not-found', `there is no service "${id}"${suggest(id, services.keys())}`);
  return service;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Returns the ticket within a distance of a place that a request means: a sensor's before others, then the nearest, then the oldest. */
export function nearestOf(tickets: readonly Ticket[], place: Place, metres: number): Ticket | null {
  const [first] = tickets
    .flatMap((ticket) => (ticket.location === null ? [] : [{ ticket, away: distanceM(ticket.location, place) }]))
    .filter(({ away }) => away <= metres)
    .sort(
      (a, b) => rank(a.ticket) - rank(b.ticket) || a.away - b.away || (a.ticket.openedAt < b.ticket.openedAt ? -1 : 1),
    );
  return first?.ticket ?? null;
}

function rank({ origin }: Ticket): number {
  return origin === 'sensor' ? 0 : 1;
}
