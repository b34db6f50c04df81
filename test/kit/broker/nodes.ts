import type { SessionRecords, SessionsRecord } from '../../../broker/index.ts';
import { LamppostError, type SessionsControl, type Timers } from '../../../domain/index.ts';

/** Time that a test moves, with its timers. */
export class TestTime implements Timers {
  nowMs = Date.parse('2026-05-01T00:00:00Z');
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + ms, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  now(): number {
    return this.nowMs;
  }

  /** Moves the time on, and runs what comes due, in order. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.#timers.delete(next);
      next.run();
    }
    this.nowMs = untilMs;
  }
}

/** How one node sees the log of all. */
export interface NodeOfLog extends SessionRecords {
  /** While true, it cannot append. */
  isAway: boolean;
  /** While true, it appends, and does not learn it. */
  isUnheard: boolean;
  /** Up to which block it sees the log. */
  sees: number;
  /** Up to which block it has said that it does not need the log. */
  readonly until: number;
}

/** A log in memory that several nodes follow. Every third block is of another kind. */
export class MemoryLog {
  readonly records: SessionsRecord[] = [];
  readonly #now: () => number;
  #head = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get head(): number {
    return this.#head;
  }

  append(control: SessionsControl): void {
    this.#head += this.records.length % 3 === 2 ? 2 : 1;
    // What is in it crosses a file.
    const record = {
      seq: this.#head,
      atMs: this.#now(),
      control: JSON.parse(JSON.stringify(control)) as SessionsControl,
    };
    this.records.push(record);
  }

  /** Returns the view of a node, which sees all that there is unless the test says otherwise. */
  node(name: string): NodeOfLog {
    const view = {
      node: name,
      isAway: false,
      isUnheard: false,
      sees: Number.POSITIVE_INFINITY,
      until: 0,
      append: async (control: SessionsControl) => {
        if (!view.isAway) this.append(control);
        if (view.isAway || view.isUnheard) throw new LamppostError('log-away', 'the log is away', { retryable: true });
      },
      head: () => Math.min(this.#head, view.sees),
      after: (seq: number, limit: number) =>
        this.records.filter((one) => one.seq > seq && one.seq <= view.sees).slice(0, limit),
      followed(seq: number) {
        view.until = seq;
      },
    };
    return view;
  }
}
