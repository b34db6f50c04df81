/** The source of time: epoch milliseconds. Injected, so that tests set it. */
export interface Clock {
  now(): number;
}

/** The machine's own clock. */
export const systemClock: Clock = { now: () => Date.now() };

/**
 * The two times of the log. Steady time never decreases and runs evenly: durations are measured by it. Civil time,
 * which `now` returns, is steady time plus an offset that only changes when the wall clock was set; people and
 * calendars use it.
 */
export interface LogClock extends Clock {
  readonly steady: Clock;
  /** Civil minus steady time, ms. */
  offsetMs(): number;
}

/** Timers, injected beside their clock. */
export interface Timers {
  /** Calls once, so many ms from now; returns a function that cancels it. */
  after(ms: number, run: () => void): () => void;
}

const LONGEST_MS = 2 ** 31 - 1;

/** The machine's own. A time that is further away than a timer reaches is called early. */
export const systemTimers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, LONGEST_MS));
    return () => clearTimeout(timer);
  },
};

/** Each thread counts from its own start; the difference to the machine's monotonic clock makes them agree. */
const THREAD_STARTED_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The machine's monotonic clock, ms: it runs while the machine does, and is the same in all threads. */
export const monotonicClock: Clock = { now: () => THREAD_STARTED_MS + performance.now() };

/** Returns a clock whose civil time is steady: for what knows of no steps, such as tests. */
export function unsteppedClock(clock: Clock): LogClock {
  return { now: () => clock.now(), steady: clock, offsetMs: () => 0 };
}

const [BASE, OFFSET] = [0, 1];

/** The log's clock as every thread of the process reads it. The journal's thread sets it. */
export class SharedClock implements LogClock {
  /** For other threads: they make their own clock of it. */
  readonly buffer: SharedArrayBuffer;
  readonly steady: Clock;
  readonly #monotonic: Clock;
  /** Steady minus monotonic time, and civil minus steady time: two places that are written and read whole. */
  readonly #values: Float64Array<SharedArrayBuffer>;

  /** Without a buffer it is a new clock, which follows the wall clock until it is set. */
  constructor(buffer: SharedArrayBuffer | null = null, wall: Clock = systemClock, monotonic: Clock = monotonicClock) {
    this.buffer = buffer ?? new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
    this.#values = new Float64Array(this.buffer);
    this.#monotonic = monotonic;
    if (buffer === null) this.#values[BASE] = wall.now() - monotonic.now();
    this.steady = { now: () => Math.floor(this.#monotonic.now() + this.#values[BASE]!) };
  }

  /** May be passed on without its clock. */
  readonly now = (): number => this.steady.now() + this.#values[OFFSET]!;

  offsetMs(): number {
    return this.#values[OFFSET]!;
  }

  /** Sets what steady time is now, and civil minus steady time. */
  set(steadyMs: number, offsetMs: number): void {
    this.#values[BASE] = steadyMs - this.#monotonic.now();
    this.#values[OFFSET] = offsetMs;
  }
}
