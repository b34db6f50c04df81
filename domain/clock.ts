/** Where the time comes from: epoch milliseconds. Injected, so that tests own it. */
export interface Clock {
  now(): number;
}

/** The machine's own clock. */
export const systemClock: Clock = { now: () => Date.now() };

/** Timers, injected beside the clock that they go by. */
export interface Timers {
  /** Calls once, so many ms from now; answers how to call it off. */
  after(ms: number, run: () => void): () => void;
}

const LONGEST_MS = 2 ** 31 - 1;

/** The machine's own. What is further away than a timer reaches is called early. */
export const systemTimers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, LONGEST_MS));
    return () => clearTimeout(timer);
  },
};
