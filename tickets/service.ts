import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import {
  boxAround,
  type Clock,
  distanceM,
  isoOf,
  LamppostError,
  MINUTE_MS,
  type Place,
  type Service,
  suggest,
  type Ticket,
} from '../domain/index.ts';
import { newTicket } from './alert-changes.ts';
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

/** A ticket that a citizen or an operator requests. */
export interface Request {
  /** Absent: the service makes one. A citizen's id exists before, since photo and reporter are stored first. */
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
  /** An open ticket of the same service within this distance is the same one, reported again; null: never. */
  readonly same: { readonly withinM: number } | null;
  readonly extras?: TicketExtras;
}

/** A request to give another department a part of a ticket. */
export interface Split {
  readonly ticket: string;
  readonly actor: Actor;
  readonly version?: number | undefined;
  /** The department that is responsible for the part. */
  readonly department: string;
  /** The work of the part. */
  readonly note: string;
}

/** A citizen's rating of the work. */
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

/** The time before its end at which a silence that holds tickets back is announced. */
const WARNING_MS = 15 * MINUTE_MS;

/**
 * Does all that alerts, people and time do to tickets. One thread has it, and the caller holds the transaction. Methods
 * return every new version of a ticket in order, the ticket that the call is about last. What people request throws
 * `not-found`, and refusals with a reason of `TICKET_REFUSALS`.
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

  /** Does a requested action, after checking permission, version and open parts. */
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
    // A declined offer goes to the next party in line; after the last one the department has the ticket.
    const tiers = city.services.get(before.service)?.offers ?? [];
    const n = tiers.findIndex(({ to }) => to === before.offer?.to) + 1;
    return [...changes, ...this.#writer.offer(changes.at(-1)!, n, { atMs, city })];
  }

  /** Opens the ticket of a request; near an open ticket of the same service, as another report of that one. */
  open({ id = this.#newId(), by, same, extras = {}, ...of }: Request): Ticket[] {
    const city = this.#city();
    const service = serviceOf(of.service, city);
    const atMs = this.#clock.now();
    const note = of.origin === 'citizen' ? 'reported by a citizen' : 'opened by hand';
    const alone = newTicket({ id, ...of, department: service.department }, { at: isoOf(atMs), by, note });
    const opening = { atMs, resolveMs: service.deadlineMs, alerts: [], extras };
    const parent = same === null ? null : this.#nearest(of, same.withinM);
    if (parent === null) return this.#writer.open({ ticket: alone, ...opening }, service, city);
    const ticket: Ticket = { ...alone, department: parent.department, parent: parent.id, relation: 'report' };
    const opened = this.#writer.open({ ticket, ...opening }, service, city);
    const linked = { atMs, by: 'reporter', action: 'linked', note: `${id} reports the same` } as const;
    return [...this.#writer.change(parent, { ...linked, set: { reports: parent.reports + 1 } }, city), ...opened];
  }

  /** Opens a part of a ticket, which is a ticket of its own, for another department. */
  split({ department, note, ...request }: Split): Ticket[] {
    const before = this.#allowed({ ...request, action: 'split' });
    const city = this.#city();
    requireParty(department, city.departments);
    if (department === before.department) throw refusal('same-department', department);
    const service = serviceOf(before.service, city);
    const atMs = this.#clock.now();
    const by = nameOf(request.actor);
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

  /** Whether anything is due: for a ticket, for alerts that wait, or a silence that ends soon. */
  isDue(nowMs: number, city: TicketCity): boolean {
    const next = this.#due.nextMs();
    if (next !== null && next <= nowMs) return true;
    return this.silences.hasEnding(nowMs + WARNING_MS, nowMs) || this.incidents.hasReleases(nowMs, city);
  }

  /** Does the oldest thing that is due, once; null where nothing is due. */
  doNextDue(nowMs: number, city: TicketCity): readonly Ticket[] | null {
    return doNextDue({ tickets: this.#tickets, due: this.#due, writer: this.#writer }, nowMs, city);
  }

  /**
   * Returns silences that end soon and were not announced yet, each once, with the alerts whose tickets they hold
   * back.
   */
  endingSilences(nowMs: number): (Silence & { alerts: readonly { rule: string; group: string }[] })[] {
    const ending = this.silences.takeEnding(nowMs + WARNING_MS, nowMs);
    return ending.map((silence) => ({ ...silence, alerts: this.incidents.heldBy(silence) }));
  }

  #find(id: string): Ticket {
    const ticket = this.#tickets.get(id);
    if (ticket === null) throw new LamppostError('not-found', `there is no ticket "${id}"`);
    return ticket;
  }

  /** Returns the ticket where the actor may do this to the version that it has seen. */
  #allowed(request: Pick<ActionRequest, 'ticket' | 'actor' | 'version'> & { readonly action: TicketAction }): Ticket {
    const ticket = this.#find(request.ticket);
    if (request.version !== undefined && request.version !== ticket.version)
      throw refusal('ticket-changed', `it is at version ${ticket.version}, not ${request.version}`);
    checkAction(request.action, request.actor, { ...ticket, joint: this.#jointOf(ticket) });
    return ticket;
  }

  /** Returns the departments that have a part of the ticket, or of the ticket that it is a part of. */
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

  #partOf(whole: Ticket, department: string, opened: Parameters<typeof newTicket>[1]): Ticket {
    const { origin, title, titleZh, service, district, severity, location, address } = whole;
    const id = `${whole.id}-p${this.#partsOf(whole.id).length + 1}`;
    const of = { id, origin, title, titleZh, service, department, district, severity };
    return { ...newTicket(of, opened), location, address, relation: 'part' };
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

/**
 * Returns the ticket within a distance that a request is about: a sensor's first, then the nearest, then the oldest.
 */
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
