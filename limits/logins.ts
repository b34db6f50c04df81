import { hash } from 'node:crypto';
import { type Clock, HOUR_MS, type LoginsFailing, type Timers } from '../domain/index.ts';
import { TokenBucket } from './bucket.ts';
import type { Counter } from './shared-failures.ts';

/** A refused login. */
export interface RefusedLogin {
  /** What the address is counted as. */
  readonly source: string;
  readonly user: string;
  /** Whether there is a device, a key or a person of this name. */
  readonly isKnown: boolean;
}

interface LoginsDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly newId: () => string;
  /** Called where the logins of one address fail again and again, at most once an hour for each name. */
  readonly onFailing: (failing: LoginsFailing) => void;
  /** Counts together with the other nodes of a cluster. */
  readonly counter: Counter;
}

/** The failures of a source, or of a name from a source. */
interface Failures {
  count: number;
  fromMs: number;
  toMs: number;
  /** When the last event about it was made, epoch ms. */
  reportedMs: number;
}

/** Failures are forgotten this long after the last one. */
const WINDOW_MS = 600_000;
/** Failures of a name from a source, and of all its names, up to which a response is not delayed. */
const FREE = 3;
const FREE_OF_SOURCE = 100;
const FIRST_DELAY_MS = 250;
const MOST_DELAY_MS = 5_000;
/** Failures, of a known name and of all names, that are an event. */
const REPORTED = 20;
const REPORTED_OF_SOURCE = 200;
const REPORT_EVERY_MS = HOUR_MS;
/** Events of all sources together. */
const REPORTS = { perSecond: 60 / 3_600, burst: 60 };
/** Delayed responses at once, of one source and of all: beyond it a connection is closed without one. */
const MOST_HELD = 64;
const MOST_HELD_OF_ALL = 512;
const MOST_SOURCES = 10_000;

/**
 * Slows down those whose logins fail, and nobody else. The secret is checked first: a right one is accepted at once,
 * whatever others did with the name or from the address. A wrong one is responded to later and later, by its name and
 * source; many names from one source count for the source. What other nodes refused counts as if it had been refused
 * here, but nobody gets a response or an event for it.
 */
export class Logins {
  readonly #deps: LoginsDeps;
  readonly #pairs = new Map<string, Failures>();
  readonly #sources = new Map<string, Failures>();
  readonly #held = new Map<string, number>();
  /** Cancels each delayed response. */
  readonly #cancels = new Set<() => void>();
  readonly #reports = new TokenBucket(REPORTS);
  readonly #passOn: ReturnType<Counter>;

  constructor(deps: LoginsDeps) {
    this.#deps = deps;
    this.#passOn = deps.counter((key, count) => this.#received(key, count));
  }

  /**
   * Counts a refused login. Calls `respond` when the client may get its response, `close` where its connection should
   * end without one.
   */
  refused(login: RefusedLogin, respond: () => void, close: () => void): void {
    const nowMs = this.#deps.clock.now();
    const key = pairOf(login.source, login.user);
    const pair = countIn(this.#pairs, key, 1, nowMs);
    const source = countIn(this.#sources, login.source, 1, nowMs);
    this.#passOn(key, 1);
    this.#report(login, pair, source);
    const delayMs = Math.max(
      delayOf(pair.count - FREE),
      delayOf(Math.ceil((source.count - FREE_OF_SOURCE) / FREE_OF_SOURCE)),
    );
    if (delayMs === 0) respond();
    else this.#hold(login.source, delayMs, respond, close);
  }

  /** Forgets the failures of a name from a source, whose right secret has come; not that there was an event. */
  succeeded(source: string, user: string): void {
    if (this.#pairs.size === 0) return;
    const key = pairOf(source, user);
    const pair = this.#pairs.get(key);
    if (pair === undefined || pair.count === 0) return;
    pair.count = 0;
    this.#passOn(key, 0);
  }

  /** Forgets the delayed responses, whose connections end. */
  stop(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  #received(key: string, count: number): void {
    const nowMs = this.#deps.clock.now();
    if (count === 0) {
      const pair = this.#pairs.get(key);
      if (pair !== undefined) pair.count = 0;
      return;
    }
    countIn(this.#pairs, key, count, nowMs);
    countIn(this.#sources, key.slice(0, key.lastIndexOf(' ')), count, nowMs);
  }

  #hold(source: string, delayMs: number, respond: () => void, close: () => void): void {
    const own = this.#held.get(source) ?? 0;
    if (own >= MOST_HELD || this.#cancels.size >= MOST_HELD_OF_ALL) {
      close();
      return;
    }
    this.#held.set(source, own + 1);
    const cancel = this.#deps.timers.after(delayMs, () => {
      this.#cancels.delete(cancel);
      const left = this.#held.get(source)! - 1;
      if (left === 0) this.#held.delete(source);
      else this.#held.set(source, left);
      respond();
    });
    this.#cancels.add(cancel);
  }

  #report({ source, user, isKnown }: RefusedLogin, pair: Failures, ofSource: Failures): void {
    if (isKnown && pair.count >= REPORTED) this.#reportOne(pair, source, shown(user));
    if (ofSource.count >= REPORTED_OF_SOURCE) this.#reportOne(ofSource, source, null);
  }

  #reportOne(failures: Failures, source: string, user: string | null): void {
    const { count, fromMs, toMs, reportedMs } = failures;
    if (toMs - reportedMs < REPORT_EVERY_MS || !this.#reports.take(1, toMs)) return;
    failures.reportedMs = toMs;
    this.#deps.onFailing({ id: this.#deps.newId(), source, user, failures: count, fromMs, toMs });
  }
}

/** Adds failures; the entry that was used longest ago is forgotten where there are too many. */
function countIn(entries: Map<string, Failures>, key: string, count: number, nowMs: number): Failures {
  const before = entries.get(key);
  entries.delete(key);
  const isOver = before !== undefined && nowMs - before.toMs >= WINDOW_MS;
  const reportedMs = before?.reportedMs ?? Number.NEGATIVE_INFINITY;
  const entry = before === undefined || isOver ? { count: 0, fromMs: nowMs, toMs: nowMs, reportedMs } : before;
  if (entry.count === 0) entry.fromMs = nowMs;
  entry.count += count;
  entry.toMs = nowMs;
  entries.set(key, entry);
  if (entries.size > MOST_SOURCES) entries.delete(entries.keys().next().value!);
  return entry;
}

/** A name may have the length of a packet: its hash is kept. */
const pairOf = (source: string, user: string) => `${source} ${hash('sha1', user)}`;

/** Returns the delay of the n-th failure beyond those that are free: twice as long each time. */
function delayOf(n: number): number {
  return n <= 0 ? 0 : Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** (n - 1));
}

const MOST_CHARACTERS = 64;

/** Returns a text of a client as a log may have it: its first 64 characters, with control characters escaped. */
export function shown(text: string): string {
  const head = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
  return head.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0)!.toString(16)}}`);
}
