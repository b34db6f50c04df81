import type { Clock } from '../domain/index.ts';
import { shown } from '../limits/index.ts';

/** Sources with a line of their own at the same time; the lines of all others are one line for each reason. */
const MOST_SOURCES = 1_000;
const EVERY_MS = 60_000;

/** The part of a logger that is used. */
interface Lines {
  warn(fields: object, message: string): void;
}

interface Entry {
  readonly source: string;
  readonly why: string;
  /** When its next line may be written, epoch ms. */
  readonly againMs: number;
  /** How many lines were left out since the last one. */
  leftOut: number;
}

/**
 * The log of what clients cause: one line for each source, reason and minute. A line says how many were left out since
 * the one before it (`leftOut`). Memory and lines are bounded, whoever causes them.
 */
export class QuietLog {
  readonly #log: Lines;
  readonly #clock: Clock;
  /** In the order of `againMs`. */
  readonly #entries = new Map<string, Entry>();

  constructor(log: Lines, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Writes a line unless this source had one for the same reason in the last minute; then counts it. */
  warn(source: string, why: string, message: string, fields: object = {}): void {
    const nowMs = this.#clock.now();
    this.#forget(nowMs);
    const entry = this.#entryOf(source, why);
    if (entry !== undefined) {
      entry.leftOut++;
      return;
    }
    const others = this.#entries.size >= MOST_SOURCES;
    const key = others ? othersOf(why) : keyOf(source, why);
    this.#entries.set(key, { source: others ? 'others' : source, why, againMs: nowMs + EVERY_MS, leftOut: 0 });
    this.#log.warn({ from: shown(source), why, ...fields }, message);
  }

  /** Writes a line for what was left out of the entries whose minute is over, by default of all: call it at the end. */
  flush(untilMs = Number.POSITIVE_INFINITY): void {
    this.#forget(untilMs);
  }

  #entryOf(source: string, why: string): Entry | undefined {
    const own = this.#entries.get(keyOf(source, why));
    if (own !== undefined || this.#entries.size < MOST_SOURCES) return own;
    return this.#entries.get(othersOf(why));
  }

  #forget(nowMs: number): void {
    for (const [key, { source, why, againMs, leftOut }] of this.#entries) {
      if (againMs > nowMs) return;
      this.#entries.delete(key);
      if (leftOut > 0) this.#log.warn({ from: shown(source), why, leftOut }, 'more of the same was left out');
    }
  }
}

const keyOf = (source: string, why: string) => `${why} ${source}`;
/** No source has an empty name. */
const othersOf = (why: string) => keyOf('', why);
