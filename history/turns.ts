import { LamppostError } from '../domain/index.ts';
import { createGate, type GateLimits } from '../limits/index.ts';

/** How many may have a turn at once, and how many may wait for one. */
interface TurnLimits extends GateLimits {
  readonly waiting: number;
}

/** Results that are being read; each is in memory until its reader has it: 22 MB of a million points. */
export const RESULTS_AT_ONCE: TurnLimits = { total: 8, perHolder: 3, waiting: 100 };

interface Waiting {
  readonly by: string;
  begin(leave: () => void): void;
}

/** Turns at something of which there is little. Who has its share waits, and lets others pass. */
export class Turns {
  readonly #gate: ReturnType<typeof createGate>;
  readonly #mostWaiting: number;
  readonly #waiting: Waiting[] = [];

  constructor({ waiting, ...limits }: TurnLimits) {
    this.#gate = createGate(limits);
    this.#mostWaiting = waiting;
  }

  /**
   * Resolves, in the order of arrival, to the function that ends the turn. Rejects with the signal's reason where that
   * aborts first, and with `busy` where too many wait.
   */
  async take(by: string, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    const leave = this.#enter(by);
    if (leave !== null) return leave;
    if (this.#waiting.length >= this.#mostWaiting) {
      throw new LamppostError('busy', 'too many reads of the history wait; try again later', { retryable: true });
    }
    const { promise, resolve, reject } = Promise.withResolvers<() => void>();
    const waiting: Waiting = { by, begin: resolve };
    const abort = () => {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      reject(signal!.reason);
    };
    this.#waiting.push(waiting);
    signal?.addEventListener('abort', abort, { once: true });
    return promise.finally(() => signal?.removeEventListener('abort', abort));
  }

  #enter(by: string): (() => void) | null {
    const leave = this.#gate.enter(by);
    if (leave === null) return null;
    return () => {
      leave();
      this.#next();
    };
  }

  #next(): void {
    for (const [at, waiting] of this.#waiting.entries()) {
      const leave = this.#enter(waiting.by);
      if (leave === null) continue;
      this.#waiting.splice(at, 1);
      waiting.begin(leave);
      return;
    }
  }
}
