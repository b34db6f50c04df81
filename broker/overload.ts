import type { Account } from './accounts.ts';

/** Loads: above the first the shares shrink, below the second they grow again. */
const FULL = 1;
const EASED = 0.8;
const FIRST_CUT = 0.8;
const SHRINK = 0.7;
/** Growth of the shares at each step. */
const GROW = 1.1;
/** The load is compared over this time, since the rules take many messages at once, ms. */
const COMPARED_MS = 100;
/** How many times more than anybody uses the shares must be before they end. */
const ENOUGH = 2;
/** The shares never shrink below it. */
const LEAST_SHARE = 0.01;

/**
 * Shares an overload fairly: when more comes in than the rules can follow, it holds those who sent the most lately, and
 * lowers the limit while the load does not fall (max-min fairness). Who sends little goes on.
 */
export class Overload {
  readonly #load: () => number;
  readonly #accounts: () => readonly Account[];
  /** What an account may have used lately without being held. */
  #share = Number.POSITIVE_INFINITY;
  #compared = { load: 0, atMs: 0 };

  /** `load`: what waits for the rules, as a part of what may wait. */
  constructor(load: () => number, accounts: () => readonly Account[]) {
    this.#load = load;
    this.#accounts = accounts;
  }

  /** Whether it holds anybody. */
  get active(): boolean {
    return this.#share !== Number.POSITIVE_INFINITY;
  }

  /** Whether connections of this account must not be read now. */
  holds(account: Account, nowMs: number): boolean {
    if (!this.active && !this.#begins(nowMs)) return false;
    return account.recent(nowMs) > this.#share;
  }

  /** Adapts the shares; call it every few ms while active. */
  step(nowMs: number): void {
    if (!this.active) return;
    const load = this.#load();
    if (load < EASED) {
      this.#share *= GROW;
      if (this.#share > this.#heaviest(nowMs) * ENOUGH) this.#share = Number.POSITIVE_INFINITY;
      return;
    }
    const { load: before, atMs } = this.#compared;
    if (nowMs >= atMs && nowMs - atMs < COMPARED_MS) return;
    this.#compared = { load, atMs: nowMs };
    if (load > FULL && load >= before) this.#share = Math.max(LEAST_SHARE, this.#share * SHRINK);
  }

  #begins(nowMs: number): boolean {
    const load = this.#load();
    if (load <= FULL) return false;
    this.#share = Math.max(LEAST_SHARE, this.#heaviest(nowMs) * FIRST_CUT);
    this.#compared = { load, atMs: nowMs };
    return true;
  }

  #heaviest(nowMs: number): number {
    return this.#accounts().reduce((most, account) => Math.max(most, account.recent(nowMs)), 0);
  }
}
