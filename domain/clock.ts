/** The source of time: epoch milliseconds. Injected, so that tests set it. */
export interface Clock {
  now(): number;
}

/** The machine's own clock. */
export const systemClock: Clock = { now: () => Date.now() };

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
