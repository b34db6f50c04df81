/** Some times, ms, and how many there were. */
export interface Times {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Returns the times of a list; of no times, zeros. */
function timesOf(list: readonly number[]): Times {
  const sorted = list.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round((sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0) * 10) / 10;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** What was sent and when; what has no answer yet counts with its age, so that a standstill is not left out. */
export class Stopwatch {
  #done: number[] = [];
  readonly #open = new Set<{ readonly at: number }>();

  /** Starts a time; returns the function that ends it. */
  start(): () => void {
    const one = { at: performance.now() };
    this.#open.add(one);
    return () => {
      if (this.#open.delete(one)) this.#done.push(performance.now() - one.at);
    };
  }

  /** Forgets what was measured, and what is under way. */
  reset(): void {
    this.#done = [];
    this.#open.clear();
  }

  /** Whether one was ended since. */
  get hasEnded(): boolean {
    return this.#done.length > 0;
  }

  get waiting(): number {
    return this.#open.size;
  }

  times(): Times {
    const now = performance.now();
    return timesOf([...this.#done, ...[...this.#open].map(({ at }) => now - at)]);
  }
}
