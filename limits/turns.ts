import { LamppostError } from '../domain/index.ts';

/** How much work runs at once, and how much may wait: of one holder and of all. */
export interface TurnLimits {
  readonly atOnce: number;
  /** Of one holder; absent: as much as of all. */
  readonly eachAtOnce?: number;
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
export function createTurns({ atOnce, eachAtOnce = atOnce, perHolder, total }: TurnLimits): Turns {
  /** What each holder waits for; whose turn is next comes first. */
  const queues = new Map<string, (() => Promise<void>)[]>();
  /** How much runs of each holder. */
  const running = new Map<string, number>();
  let waiting = 0;
  let inAll = 0;

  function next(): readonly [who: string, work: () => Promise<void>] | null {
    for (const [who, queue] of queues) {
      if ((running.get(who) ?? 0) >= eachAtOnce) continue;
      const work = queue.shift()!;
      queues.delete(who);
      if (queue.length > 0) queues.set(who, queue);
      waiting--;
      return [who, work];
    }
    return null;
  }

  function count(who: string, more: 1 | -1): void {
    inAll += more;
    const own = (running.get(who) ?? 0) + more;
    if (own === 0) running.delete(who);
    else running.set(who, own);
  }

  function fill(): void {
    while (inAll < atOnce) {
      const found = next();
      if (found === null) return;
      const [who, work] = found;
      count(who, 1);
      void work().finally(() => {
        count(who, -1);
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
