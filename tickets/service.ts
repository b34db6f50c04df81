import type { DatabaseSync } from 'node:sqlite';
import {
  boxAround,
  type Clock,
  distanceM,
  isoOf,
  type KeyActor,
  nearestAsset,
  type PersonActor,
  type Place,
  requesterId,
  requireName,
  type Service,
  type Ticket,
} from '../domain/index.ts';
import { newTicket, rebindIn } from './alert-changes.ts';
import { createDueStore } from './deadlines.ts';
import { doNextDue } from './due.ts';
import { createExplainableStore } from './folding.ts';
import { createIncidents, type Incidents } from './incidents.ts';
import {
  type ActionRequest,
  type Actor,
  type Change,
  changeOf,
  checkAction,
  isOfferedTo,
  moveOf,
  nameOf,
  refusal,
  requireParty,
  requireReach,
  requireText,
  type TicketAction,
} from './lifecycle.ts';
import type { FiringAlerts } from './match.ts';
import { Reporters } from './reporters.ts';
import { createSilenceNews, type SilenceChange, type SilenceNews } from './silence-news.ts';
import { createSilenceStore, type Silence, type SilenceStore } from './silence-store.ts';
import { FROM_NOW, type WantedSilence } from './silences.ts';
import { createMove } from './steps.ts';
import { createTicketStore, type TicketExtras, type TicketStore } from './store.ts';
import { createWaitStore, type WaitStore } from './waits.ts';
import { type TicketCity, TicketWriter } from './writer.ts';

/** A ticket that a citizen or an operator requests. */
export interface Request {
  /** Its place in the log, such as `812-0`: the id of the ticket is made of it. */
  readonly place: string;
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
  /** Names what a citizen wrote, which stands apart. */
  readonly statement?: string;
  /** The asset that it is about; absent: the nearest of the kinds of its service. */
  readonly asset?: string | null | undefined;
  /** An open ticket of the same service within this distance is the same one, reported again; null: never. */
  readonly same: { readonly withinM: number } | null;
  /** Whose permission is asked; absent: a citizen's request needs none. */
  readonly actor?: Actor;
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

/** When a silence was asked for, and its place in the log, such as `812-0`. */
interface SilenceMoment {
  readonly atMs: number;
  readonly place: string;
}

/** How ids of tickets that people request begin, by their origin. */
const ID_PREFIX = { citizen: 'r', operator: 'o' } as const satisfies Record<Request['origin'], string>;

interface Parts {
  /** A file that has `TICKET_SCHEMA`. */
  readonly db: DatabaseSync;
  readonly clock: Clock;
  /** The city in force. */
  readonly city: () => TicketCity;
  readonly firing: FiringAlerts;
}

/**
 * Does all that alerts, people and time do to tickets. One thread has it, and the caller holds the transaction. Methods
 * return every new version of a ticket in order, the ticket that the call is about last. What people request throws
 * `not-found`, and refusals with a reason of `TICKET_REFUSALS`.
 */
export class TicketService {
  readonly incidents: Incidents;
  readonly silences: SilenceStore;
  readonly reporters: Reporters;
  readonly #waits: Pick<WaitStore, 'nextGatheredMs' | 'holdAnew'>;
  readonly #news: SilenceNews;
  readonly #tickets: TicketStore;
  readonly #due: ReturnType<typeof createDueStore>;
  readonly #writer: TicketWriter;
  readonly #city: () => TicketCity;
  readonly #clock: Clock;
  readonly #move: (byMs: number) => void;
  readonly #rebind: (ticket: Ticket) => void;

  constructor({ db, clock, city, firing }: Parts) {
    const tickets = createTicketStore(db);
    const due = createDueStore(db);
    const writer = new TicketWriter({ tickets, due });
    const silences = createSilenceStore(db);
    const waits = createWaitStore(db);
    this.#waits = waits;
    const explainable = createExplainableStore(db);
    this.incidents = createIncidents({ tickets, waits, due, silences, writer, firing, explainable });
    this.silences = silences;
    this.#news = createSilenceNews(silences, waits);
    this.#tickets = tickets;
    this.#due = due;
    this.#writer = writer;
    this.#city = city;
    this.#clock = clock;
    this.#move = createMove(db);
    this.#rebind = rebindIn(tickets, firing);
    this.reporters = new Reporters({ tickets, writer, clock, city, rebind: this.#rebind });
  }

  /** Does a requested action, after checking its text, permission, version and open parts. */
  act(request: ActionRequest): Ticket[] {
    const { action, actor } = request;
    requireText(request);
    const allowed = this.#allowed({ ...request, action: moveOf(request) });
    if (action === 'resolve') this.#requireNoOpenParts(allowed);
    if (action === 'reopen') this.#rebind(allowed);
    // Binding its alerts again may have shown that some have ended.
    const before = action === 'reopen' ? this.#tickets.existing(allowed.id) : allowed;
    const city = this.#city();
    const atMs = this.#clock.now();
    const { highest: firing } = this.#tickets.firing(before.id);
    const change = changeOf(request, before, { departments: city.departments, atMs, firing });
    const changes = this.#writer.change(before, change, city);
    if (action !== 'decline' || !isOfferedTo(actor, before)) return changes;
    // A declined offer goes to the next party in line; after the last one the department has the ticket.
    const tiers = city.services.get(before.service)?.offers ?? [];
    const n = tiers.findIndex(({ to }) => to === before.offer?.to) + 1;
    return [...changes, ...this.#writer.offer(changes.at(-1)!, n, { atMs, city })];
  }

  /** Adds what a rule has to say to the history of a ticket; the same words once. */
  remark(id: string, by: string, note: string): Ticket[] {
    const ticket = this.#tickets.existing(id);
    if (ticket.history.some((entry) => entry.note === note)) return [];
    return this.#writer.change(ticket, { atMs: this.#clock.now(), by, action: 'commented', note }, this.#city());
  }

  /**
   * Opens the ticket of a request; near an open ticket of the same service, as another report of that one. Throws
   * `invalid`, with a suggestion, where an operator names a district or an asset that the city does not have.
   */
  open({ place, by, same, actor, extras = {}, ...wanted }: Request): Ticket[] {
    const city = this.#city();
    requireKnown(wanted, city);
    const id = `${ID_PREFIX[wanted.origin]}-${place}`;
    const service = serviceOf(wanted.service, city);
    const of = { ...wanted, asset: assetOf(wanted, service, city) };
    if (actor !== undefined) requireReach(actor, 'tickets.open', [service.department]);
    const atMs = this.#clock.now();
    const note = of.origin === 'citizen' ? 'reported by a citizen' : 'opened by hand';
    const alone = newTicket({ id, ...of, department: service.department }, { at: isoOf(atMs), by, note });
    const opening = { atMs, resolveMs: service.deadlineMs, alerts: [], extras };
    const parent = same === null ? null : this.#nearest(of, extras.thing ?? null, same.withinM);
    if (parent === null) return this.#writer.open({ ticket: alone, ...opening }, service, city);
    const ticket: Ticket = { ...alone, department: parent.department, parent: parent.id, relation: 'report' };
    const opened = this.#writer.open({ ticket, ...opening }, service, city);
    const linked = { atMs, by: 'reporter', action: 'linked', note: `${id} reports the same` } as const;
    return [...this.#writer.change(parent, { ...linked, set: { reports: parent.reports + 1 } }, city), ...opened];
  }

  /** Opens a part of a ticket, which is a ticket of its own, for another department. */
  split({ department, note, ...request }: Split): Ticket[] {
    const before = this.#allowed({ ...request, action: 'split' });
    // It ends with what it reports, whose parts are the work.
    if (before.relation === 'report') throw refusal('goes-along', before.parent!);
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

  /**
   * Adds a silence, after checking that it is about departments that the actor may silence. Returns it; its id is made
   * of its place in the log.
   */
  silence(wanted: WantedSilence, actor: KeyActor | PersonActor, { atMs, place }: SilenceMoment): Silence {
    requireReach(actor, 'silences.write', this.#silencedBy(wanted));
    const createdAt = isoOf(atMs);
    const startsAt = wanted.startsAt === FROM_NOW ? createdAt : wanted.startsAt;
    const silence = { ...wanted, startsAt, id: `s-${place}`, author: requesterId(actor), createdAt };
    this.silences.add(silence);
    return silence;
  }

  /** Ends a silence now; false where it had ended or is none. The actor must have been allowed to add it. */
  endSilence(id: string, actor: Actor): boolean {
    const silence = this.silences.get(id);
    if (silence === null) return false;
    requireReach(actor, 'silences.write', this.#silencedBy(silence));
    return this.silences.end(id, this.#clock.now());
  }

  /** Returns the only departments whose alerts a silence can match; null: any. */
  #silencedBy({ matchers: { department, service } }: Pick<Silence, 'matchers'>): readonly string[] | null {
    if (department !== undefined) return department;
    const { services } = this.#city();
    return service?.map((id) => services.get(id)?.department ?? '') ?? null;
  }

  /** Moves what was promised in durations with the wall clock, so that it comes due after the same time. */
  stepped(byMs: number): void {
    if (byMs !== 0) this.#move(byMs);
  }

  /** The city has changed: its calendars say from now on when silences that hold tickets back pause. */
  cityChanged(): void {
    this.#waits.holdAnew(this.#clock.now());
  }

  /** Whether anything is due: for a ticket, for alerts that wait, or to be announced of a silence. */
  isDue(nowMs: number, city: TicketCity): boolean {
    const next = this.nextDueMs(city);
    if (next !== null && next <= nowMs) return true;
    return this.incidents.hasReleases(nowMs, city) || this.#news.isDue(nowMs, city);
  }

  /**
   * Returns when the next thing comes due whose time is known: a deadline, the end of a silence, also where its
   * calendar goes off, the warning of it, or the end of a gathering; null where there is none.
   */
  nextDueMs(city: TicketCity): number | null {
    const ends = [this.silences.nextEndMs(), this.#news.nextMs(city)];
    const times = [this.#due.nextMs(), ...ends, this.#waits.nextGatheredMs()];
    const known = times.filter((ms) => ms !== null);
    return known.length === 0 ? null : Math.min(...known);
  }

  /** Does the oldest deadline that was due at a moment, once; null where none was. */
  doNextDue(atMs: number, nowMs: number, city: TicketCity): readonly Ticket[] | null {
    return doNextDue({ tickets: this.#tickets, due: this.#due, writer: this.#writer }, atMs, nowMs, city);
  }

  /** Returns what happened to silences and was not announced yet, each once. */
  silenceNews(nowMs: number, city: TicketCity): SilenceChange[] {
    return this.#news.take(nowMs, city);
  }

  /** Returns the ticket where the actor may do this to the version that it has seen. */
  #allowed(request: Pick<ActionRequest, 'ticket' | 'actor' | 'version'> & { readonly action: TicketAction }): Ticket {
    const ticket = this.#tickets.existing(request.ticket);
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
    const { origin, title, titleZh, service, district, severity, location, address, statement, asset } = whole;
    const id = `${whole.id}-p${this.#partsOf(whole.id).length + 1}`;
    const of = { id, origin, title, titleZh, service, department, district, severity };
    return { ...newTicket(of, opened), location, address, statement, asset, relation: 'part' };
  }

  /**
   * What is about the same asset is the same thing, and what is about another, or is named otherwise by its citizen, is
   * not, however near.
   */
  #nearest(
    { service, location, asset }: Pick<Ticket, 'service' | 'location' | 'asset'>,
    thing: string | null,
    withinM: number,
  ): Ticket | null {
    const about = asset === null ? [] : this.#tickets.findAbout(service, asset, thing);
    const [same] = about.sort((a, b) => rank(a) - rank(b));
    if (same !== undefined || location === null) return same ?? null;
    const near = this.#tickets.findWithin(service, boxAround(location, withinM), thing);
    const possible = near.filter(
      (ticket) => asset === null || (ticket.asset === null && !this.#isOfOther(ticket, asset)),
    );
    return nearestOf(possible, location, withinM);
  }

  /** Whether a report of a ticket is about another asset. */
  #isOfOther({ id }: Ticket, asset: string): boolean {
    return this.#tickets.children(id).some((child) => child.asset !== null && child.asset !== asset);
  }
}

/**
 * A citizen's place and asset were looked up when the request was submitted: where the city has changed since, what
 * they wrote is not lost.
 */
function requireKnown({ origin, district, asset }: Pick<Request, 'origin' | 'district' | 'asset'>, city: TicketCity) {
  if (origin === 'citizen') return;
  requireName('district', district, city.districts);
  if (asset !== undefined && asset !== null) requireName('asset', asset, city.assets);
}

/** An asset that the city does not have any more is none. */
function assetOf(
  { asset = null, location }: Pick<Request, 'asset' | 'location'>,
  { asset: wanted }: Service,
  { assets }: Pick<TicketCity, 'assets'>,
): string | null {
  if (asset !== null) return assets.has(asset) ? asset : null;
  if (wanted === null || location === null) return null;
  return nearestAsset(assets, wanted.kinds, location, wanted.withinM)?.id ?? null;
}

function serviceOf(id: string, { services }: Pick<TicketCity, 'services'>): Service {
  requireName('service', id, services, '', 'not-found');
  return services.get(id)!;
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
