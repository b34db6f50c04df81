import { timingSafeEqual } from 'node:crypto';
import { type Clock, DAY_MS, isoOf, type Service, type Ticket } from '../domain/index.ts';
import { type Change, checkAction, isOpen, refusal, reopenedFrom } from './lifecycle.ts';
import type { TicketStore } from './store.ts';
import type { TicketCity, TicketWriter } from './writer.ts';

/** A citizen's rating of the work. */
export interface Rating {
  readonly ticket: string;
  /** SHA-256 of the reporter's token. */
  readonly hash: Uint8Array;
  readonly stars: number;
  /** Names the comment, which stands apart; null: none. */
  readonly statement: string | null;
}

/** What a citizen says about a ticket of theirs after it was opened. */
export interface Saying {
  readonly ticket: string;
  /** SHA-256 of the reporter's token; null: an app says it for its users. */
  readonly hash: Uint8Array | null;
  /** Names the words, which stand apart; null: none. */
  readonly statement: string | null;
}

interface Parts {
  readonly tickets: TicketStore;
  readonly writer: TicketWriter;
  readonly clock: Clock;
  /** The city in force. */
  readonly city: () => TicketCity;
  /** Binds the alerts of a ticket that opens again. */
  readonly rebind: (ticket: Ticket) => void;
}

/** What the citizens who reported tickets say about them. Its methods return and throw as those of `TicketService`. */
export class Reporters {
  readonly #tickets: TicketStore;
  readonly #writer: TicketWriter;
  readonly #clock: Clock;
  readonly #city: () => TicketCity;
  readonly #rebind: (ticket: Ticket) => void;

  constructor({ tickets, writer, clock, city, rebind }: Parts) {
    this.#tickets = tickets;
    this.#writer = writer;
    this.#clock = clock;
    this.#city = city;
    this.#rebind = rebind;
  }

  /** Stores the rating of the citizen who reported a ticket, once. */
  rate({ ticket: id, hash, stars, statement }: Rating): Ticket[] {
    const before = this.#tickets.existing(id);
    checkRating(before, this.#isReporter(id, hash));
    const atMs = this.#clock.now();
    const rating = { stars, comment: '', at: isoOf(atMs), statement };
    const note = `${stars} of 5`;
    return this.#writer.change(before, { atMs, by: 'reporter', action: 'rated', note, set: { rating } }, this.#city());
  }

  /** Stores that the citizen who reported a ticket wrote about it. */
  write({ ticket: id, hash, statement }: Saying): Ticket[] {
    const before = this.#tickets.existing(id);
    checkWriting(before, this.#isReporter(id, hash), this.#clock.now());
    return this.#wrote(before, statement);
  }

  /** Opens a ticket again, as the citizen who reported it says that it is not fixed; a report with what it reports. */
  notFixed({ ticket: id, hash, statement }: Saying): Ticket[] {
    const before = this.#tickets.existing(id);
    const [atMs, city] = [this.#clock.now(), this.#city()];
    checkNotFixed(before, { isReporter: this.#isReporter(id, hash), service: city.services.get(before.service), atMs });
    if (statement !== null) checkWriting(before, true, atMs);
    const wrote = statement === null ? [] : this.#wrote(before, statement);
    const parent = before.relation === 'report' ? this.#tickets.existing(before.parent!) : null;
    // Where somebody still works on what it reports, that goes on, and only the report opens again.
    const whole = parent === null || isOpen(parent.status) ? this.#tickets.existing(id) : parent;
    if (!isOpen(whole.status)) this.#rebind(whole);
    const { severity } = this.#tickets.existing(whole.id);
    const set = reopenedFrom({ severity }, this.#tickets.firing(whole.id).highest);
    const by = whole.id === id ? 'reporter' : `reporter:${id}`;
    const note = 'the citizen who reported it says that it is not fixed';
    const change: Change = { atMs, by, action: 'reopened', to: 'open', note, set };
    const opened = this.#writer.change(this.#tickets.existing(whole.id), change, city);
    const all = [...wrote, ...opened];
    return [...all.filter((one) => one.id !== id), ...all.filter((one) => one.id === id)];
  }

  /** Returns a ticket where the citizen's words of this name are in its history already; null where they are not. */
  saidIn(id: string, statement: string | null): Ticket | null {
    const ticket = statement === null ? null : this.#tickets.get(id);
    return ticket?.history.some((change) => change.statement === statement) ? ticket : null;
  }

  /** Returns the ticket that opened for what a citizen wrote; null where none did. */
  reportedAs(statement: string): Ticket | null {
    return this.#tickets.findReported(statement);
  }

  /** The department that works on what several citizens reported reads what each of them writes. */
  #wrote(ticket: Ticket, statement: string | null): Ticket[] {
    const named = statement === null ? {} : { statement };
    const wrote = { atMs: this.#clock.now(), action: 'wrote', note: 'a citizen wrote', ...named } as const;
    const city = this.#city();
    const whole = ticket.relation === 'report' ? this.#tickets.get(ticket.parent!) : null;
    const changed = whole === null ? [] : this.#writer.change(whole, { ...wrote, by: `reporter:${ticket.id}` }, city);
    return [...changed, ...this.#writer.change(ticket, { ...wrote, by: 'reporter' }, city)];
  }

  #isReporter(id: string, hash: Uint8Array | null): boolean {
    const known = this.#tickets.reporterHash(id);
    return hash === null || (known !== null && sameBytes(known, hash));
  }
}

/** Throws the refusal where a ticket may not be rated: by who is not its reporter, twice, or before it is closed. */
export function checkRating(ticket: Ticket, isReporter: boolean): void {
  if (!isReporter) throw refusal('not-the-reporter', ticket.id);
  if (ticket.rating !== null) throw refusal('already-rated', ticket.rating.at);
  checkAction('rate', { kind: 'reporter' }, ticket);
}

/** How often a citizen may write about one request in a day. */
const MOST_WRITTEN = 20;

/** Throws the refusal where somebody may not write about a ticket: not its reporter, or too often. */
export function checkWriting(ticket: Ticket, isReporter: boolean, atMs: number): void {
  if (!isReporter) throw refusal('not-the-reporter', ticket.id);
  const since = isoOf(atMs - DAY_MS);
  const written = ticket.history.filter(({ at, by, action }) => action === 'wrote' && by === 'reporter' && at > since);
  if (written.length >= MOST_WRITTEN) throw refusal('too-often', `${MOST_WRITTEN} times in a day`);
  checkAction('write', { kind: 'reporter' }, ticket);
}

/** Returns until when the reporter of a ticket may say that it is not fixed, epoch ms; null: it is not resolved. */
export function notFixedUntil({ resolvedAt }: Ticket, service: Pick<Service, 'notFixedMs'> | undefined): number | null {
  return resolvedAt === null ? null : Date.parse(resolvedAt) + (service?.notFixedMs ?? 0);
}

/** Throws the refusal where somebody may not say that it is not fixed: not its reporter, before it is, or too late. */
export function checkNotFixed(
  ticket: Ticket,
  {
    isReporter,
    service,
    atMs,
  }: { isReporter: boolean; service: Pick<Service, 'notFixedMs'> | undefined; atMs: number },
): void {
  if (!isReporter) throw refusal('not-the-reporter', ticket.id);
  checkAction('not-fixed', { kind: 'reporter' }, ticket);
  const until = notFixedUntil(ticket, service);
  if (until !== null && until < atMs) throw refusal('too-late', `it was over on ${isoOf(until)}`);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
