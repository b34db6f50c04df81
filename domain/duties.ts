import { monotonicClock } from './clock.ts';

/** What one node does for all of a cluster. */
export const DUTIES = {
  clock: 'says what time it is: records of the log when the wall clock was set',
  notify: 'sends webhooks, mail and SMS',
  history: 'writes the InfluxDB that all nodes share',
  bridges: 'takes messages from other brokers',
  nightly: 'does what is done once a night',
  snapshots: 'puts snapshots into the object store, and trims the log behind them',
} as const;

export type Duty = keyof typeof DUTIES;

/**
 * Says which duties are this node's. A paused process may believe in a lease that it lost: what it does carries the
 * revision.
 */
export interface Duties {
  /**
   * The revision of the lease that this node holds, which grows with every holder; null: another node has the duty, or
   * none.
   */
  holds(duty: Duty): number | null;
  /** Of `DutyDeadlines`, for threads that act by themselves; null: what this node has it has for ever. */
  readonly deadlines: SharedArrayBuffer | null;
  /** Calls the listener when this node gained or lost a duty; returns how to stop listening. */
  onChange(listener: (duty: Duty) => void): () => void;
}

/** The duties of a node that is alone. */
export const ALONE: Duties = { holds: () => 1, deadlines: null, onChange: () => () => {} };

const NUMBERS = Object.keys(DUTIES) as Duty[];

/**
 * Until when this process has each duty, as all of its threads read it. A process that was paused goes on in any thread
 * first: that one must not wait to learn from another one that it has lost a duty meanwhile.
 */
export class DutyDeadlines {
  /** For other threads: they make their own of it. */
  readonly buffer: SharedArrayBuffer;
  readonly #untilMs: Float64Array<SharedArrayBuffer>;

  /** Without a buffer it is new, and every deadline is over. */
  constructor(buffer: SharedArrayBuffer | null = null) {
    this.buffer = buffer ?? new SharedArrayBuffer(NUMBERS.length * Float64Array.BYTES_PER_ELEMENT);
    this.#untilMs = new Float64Array(this.buffer);
  }

  /** Sets until when this process has a duty, on its monotonic clock. */
  set(duty: Duty, untilMs: number): void {
    this.#untilMs[NUMBERS.indexOf(duty)] = untilMs;
  }

  isOver(duty: Duty): boolean {
    return monotonicClock.now() >= this.#untilMs[NUMBERS.indexOf(duty)]!;
  }
}
