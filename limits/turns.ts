import { LamppostError } from '../domain/index.ts';

/** How much work runs at once, and how much may wait: of one holder and of all. */
export interface TurnLimits {
  readonly atOnce: number;
  readonly perHolder: number;
  readonly total: number;
}

/** Expensive work that waits for its turn. Holders take turns, so that one who asks for much waits for itself. */
export interface Turns {
  /**
   * Runs the work in its turn and resolves to its result. Rejects with `limit` where the holder has too much waiting,
   * with `busy` where all have.
   */
  run<T>(who: string, work: () => Promise<T>): Promise<T>;
  /** How much waits. */
  readonly waiting: number;
}

/** Returns turns with nothing waiting. */
export function createTurns({ atOnce, perHolder, total }: TurnLimits): Turns {
  /** What each holder waits for; whose turn is next comes first. */
  const queues = new Map<string, (() => Promise<void>)[]>();
  let waiting = 0;
  let running = 0;

  function next(): (() => Promise<void>) | null {
    const [first] = queues;
    if (first === undefined) return null;
    const [who, queue] = first;
    const work = queue.shift()!;
    queues.delete(who);
    if (queue.length > 0) queues.set(who, queue);
    waiting--;
    return work;
  }

  function fill(): void {
    while (running < atOnce) {
      const work = next();
      if (work === null) return;
      running++;
      void work().finally(() => {
        running--;
        fill();
      });
    }
  }

  return {
    run<T>(who: string, work: () => Promise<T>): Promise<T> {
      const queue = queues.get(who) ?? [];
      if (queue.length >= perHolder) return Promise.reject(tooMany('limit', 'too much of yours is waiting already'));
      if (waiting >= total) return Promise.reject(tooMany('busy', 'too many are waiting'));
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      queue.push(() => work().then(resolve, reject));
      queues.set(who, queue);
      waiting++;
      fill();
      return promise;
    },
    get waiting() {
      return waiting;
    },
  };
}

function tooMany(code: 'limit' | 'busy', why: string): LamppostError {
  return new LamppostError(code, `${why}; try again in a moment`, { retryable: true, retryAfterMs: 2_000 });
}
