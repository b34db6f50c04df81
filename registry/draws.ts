import { createHmac, randomBytes } from 'node:crypto';
import { type Clock, HOUR_MS, type Requester, requesterId } from '../domain/index.ts';
import { newSecret } from './credentials.ts';

/** Who asks, and the `Idempotency-Key` of the request; null: none. */
export interface Drawer {
  readonly actor: Requester;
  readonly key: string | null;
}

/** What a request draws: secrets, and the moment from which it counts how long they are valid. */
export interface Draw {
  readonly nowMs: number;
  /** Returns the n-th secret of the request: 256 random bits, base64url. */
  secret(n?: number): string;
}

const KEPT_MS = HOUR_MS;
const MOST_KEPT = 10_000;

/**
 * Draws secrets. A request that is repeated with its `Idempotency-Key` draws the same again, so it asks for the same,
 * and its response shows the secret once more: the log has only the hash. What was drawn is in memory alone, for an
 * hour and of the newest 10,000 requests. After that, and after a start, a repeated request draws another secret, which
 * the engine refuses.
 */
export class Draws {
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #kept = new Map<string, { readonly seed: Buffer; readonly nowMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of({ actor, key }: Drawer): Draw {
    const nowMs = this.#clock.now();
    if (key === null) return { nowMs, secret: () => newSecret() };
    const { seed, nowMs: firstMs } = this.#first(JSON.stringify([requesterId(actor), key]), nowMs);
    return { nowMs: firstMs, secret: (n = 0) => createHmac('sha256', seed).update(`${n}`).digest('base64url') };
  }

  #first(request: string, nowMs: number) {
    for (const [oldest, { nowMs: atMs }] of this.#kept) {
      if (this.#kept.size <= MOST_KEPT && atMs > nowMs - KEPT_MS && atMs <= nowMs) break;
      this.#kept.delete(oldest);
    }
    const known = this.#kept.get(request);
    if (known !== undefined) return known;
    const first = { seed: randomBytes(32), nowMs };
    this.#kept.set(request, first);
    return first;
  }
}
