import { type Rate, TokenBucket } from './bucket.ts';

/** Buckets of many holders: keys, persons, addresses. */
export interface Accounts {
  /** Takes an amount of a holder; returns 0, or after how many ms it would have it. */
  take(who: string, amount: number, nowMs: number): number;
  /**
   * Takes an amount that was used already; the holder waits afterwards where it was more than it had. The level does
   * not fall below `least` by it.
   */
  charge(who: string, amount: number, nowMs: number, least?: number): void;
  /** Returns after how many ms a holder has an amount again, by default any; 0 where it has it now. */
  waitMs(who: string, nowMs: number, amount?: number): number;
  /** Returns the part of the burst that a holder has left, rounded down; 0 where it waits. */
  left(who: string, nowMs: number): number;
}

const MOST_HOLDERS = 100_000;

/**
 * Returns accounts with the same rate for each holder. At most `most` holders are kept: beyond it, the one whose last
 * use is oldest is forgotten, and begins with a full bucket again.
 */
export function createAccounts(rate: Rate, { most = MOST_HOLDERS }: { readonly most?: number } = {}): Accounts {
  /** In the order of their last use. */
  const buckets = new Map<string, TokenBucket>();

  function use(who: string): TokenBucket {
    const bucket = buckets.get(who) ?? new TokenBucket(rate);
    buckets.delete(who);
    buckets.set(who, bucket);
    if (buckets.size > most) buckets.delete(buckets.keys().next().value!);
    return bucket;
  }

  return {
    take(who, amount, nowMs) {
      const bucket = use(who);
      return bucket.take(amount, nowMs) ? 0 : Math.max(1, bucket.waitMs(nowMs, amount));
    },
    charge: (who, amount, nowMs, least) => void use(who).charge(amount, nowMs, least),
    waitMs: (who, nowMs, amount = 1) => buckets.get(who)?.waitMs(nowMs, amount) ?? 0,
    left: (who, nowMs) => Math.max(0, Math.floor(buckets.get(who)?.tokens(nowMs) ?? rate.burst)),
  };
}
