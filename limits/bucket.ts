/** What a holder may take: so much a second, and `burst` at once after a pause. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/**
 * A token bucket: it starts full, is refilled at a constant rate, and is never fuller than its burst. Times are epoch
 * ms; a clock that goes back refills nothing.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at = 0;

  constructor({ perSecond, burst }: Rate) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes an amount where the bucket has it; else takes nothing and returns false. */
  take(amount: number, nowMs: number): boolean {
    if (this.tokens(nowMs) < amount) return false;
    this.#tokens -= amount;
    return true;
  }

  /**
   * Takes an amount that was used already; returns the level. It may fall below zero, so that the holder waits
   * afterwards, but by this not below `least`.
   */
  charge(amount: number, nowMs: number, least = Number.NEGATIVE_INFINITY): number {
    this.#refill(nowMs);
    const level = this.#tokens - amount;
    this.#tokens = level < least ? Math.min(this.#tokens, least) : level;
    return this.#tokens;
  }

  /**
   * Returns after how many ms the bucket has an amount; 0 where it has it now. An amount above the burst counts as the
   * burst.
   */
  waitMs(nowMs: number, amount = 1): number {
    const missing = Math.min(amount, this.#burst) - this.tokens(nowMs);
    return missing <= 0 ? 0 : Math.ceil(missing / this.#perMs);
  }

  /** Returns the level. */
  tokens(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens;
  }

  /** Returns whether nothing would change if the bucket were a new one. */
  isFull(nowMs: number): boolean {
    return this.tokens(nowMs) >= this.#burst;
  }

  #refill(nowMs: number): void {
    const elapsed = nowMs - this.#at;
    this.#at = nowMs;
    if (elapsed > 0) this.#tokens = Math.min(this.#burst, this.#tokens + elapsed * this.#perMs);
  }
}
