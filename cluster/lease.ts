/** How long a lease lives after the request that last renewed it was sent. */
export const TTL_MS = 5_000;
/** Others wait so much longer: clocks of two machines that run at different speeds. */
export const MARGIN_MS = 500;

/** What a lease's key holds. */
export interface LeaseValue {
  readonly node: string;
  /** Of the process that holds it, and of no other one. */
  readonly run: string;
  /** Grows with every holder. */
  readonly term: number;
  /** Whether it was given back. */
  readonly free: boolean;
}

/** A lease as it was read; revision 0: there is none. */
export interface LeaseEntry {
  readonly revision: number;
  readonly value: LeaseValue | null;
}

/**
 * A write that counts only where the newest revision is still the expected one; `value.free`: it gives the lease back.
 */
export interface LeaseWrite {
  readonly expected: number;
  readonly value: LeaseValue;
  /** Monotonic, before it was sent. */
  readonly sentMs: number;
}

interface Held {
  readonly term: number;
  readonly revision: number;
  readonly untilMs: number;
}

/**
 * One lease as one process sees it, without I/O. Times are monotonic and each process uses only its own: a holder
 * believes for `TTL_MS` after it sent what was acknowledged; another one takes over once it has seen the same revision
 * for longer than that. So the clocks of servers and nodes need not agree, and two never believe at once.
 */
export class Lease {
  readonly #who: Pick<LeaseValue, 'node' | 'run'>;
  #held: Held | null = null;
  /** What another one wrote, and since when no newer write was seen. */
  #watched: { readonly entry: LeaseEntry; readonly sinceMs: number } | null = null;

  constructor(who: Pick<LeaseValue, 'node' | 'run'>) {
    this.#who = who;
  }

  /** The term in which this process holds the lease; null where it does not. */
  holds(nowMs: number): number | null {
    return this.#held !== null && nowMs < this.#held.untilMs ? this.#held.term : null;
  }

  /** Until when this process believes, monotonic; null where it does not. */
  untilMs(): number | null {
    return this.#held?.untilMs ?? null;
  }

  /** Whether it has to be read before `next` can say anything. */
  mustRead(nowMs: number): boolean {
    return this.holds(nowMs) === null;
  }

  /** Notes what a read returned at `nowMs`. */
  saw(entry: LeaseEntry, nowMs: number): void {
    if (this.holds(nowMs) !== null) return;
    this.#held = null;
    if (this.#watched?.entry.revision !== entry.revision) this.#watched = { entry, sinceMs: nowMs };
  }

  /** Returns the write that is due; null: none is. `fit`: whether this process wants the lease. */
  next(nowMs: number, wallMs: number, fit: boolean): LeaseWrite | null {
    const term = this.holds(nowMs);
    if (term !== null) return fit ? this.#write(this.#held!.revision, term, nowMs) : this.giveBack(nowMs);
    if (!fit || this.#watched === null || !this.#isFree(nowMs)) return null;
    const { revision, value } = this.#watched.entry;
    // Where all keys of NATS were lost, terms go on above those of before.
    return this.#write(revision, value === null ? Math.floor(wallMs / 1_000) : value.term + 1, nowMs);
  }

  /** Believes no longer, and returns the write that lets others take over at once; null where it did not hold it. */
  giveBack(nowMs: number): LeaseWrite | null {
    const term = this.holds(nowMs);
    if (term === null) return null;
    const { revision } = this.#held!;
    this.#held = null;
    this.#watched = null;
    return { ...this.#write(revision, term, nowMs), value: { ...this.#who, term, free: true } };
  }

  /** Notes that a write was acknowledged with its revision. */
  wrote({ value, sentMs }: LeaseWrite, revision: number): void {
    this.#watched = null;
    if (!value.free) this.#held = { term: value.term, revision, untilMs: sentMs + TTL_MS };
  }

  /** Notes what the lease is where a write found another revision. */
  overtaken(entry: LeaseEntry, nowMs: number): void {
    const { value, revision } = entry;
    // An earlier renewal whose acknowledgement was lost: it is stored, and counts from when it was acknowledged last.
    if (this.#held !== null && this.#isOurs(value) && value!.term === this.#held.term) {
      this.#held = { ...this.#held, revision };
      return;
    }
    this.#held = null;
    this.saw(entry, nowMs);
  }

  #isOurs = (value: LeaseValue | null) => value?.run === this.#who.run && !value.free;

  /** A lease of this very process, which does not believe in it, is free, too. */
  #isFree(nowMs: number): boolean {
    const { entry, sinceMs } = this.#watched!;
    if (entry.value?.free === true || this.#isOurs(entry.value)) return true;
    return nowMs - sinceMs > TTL_MS + MARGIN_MS;
  }

  #write(expected: number, term: number, sentMs: number): LeaseWrite {
    return { expected, value: { ...this.#who, term, free: false }, sentMs };
  }
}
