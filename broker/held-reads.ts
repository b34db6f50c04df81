import type { Clock } from '../domain/index.ts';
import type { Account } from './accounts.ts';
import type { Connection } from './connection.ts';
import type { Overload } from './overload.ts';

/** Interval at which held reads are checked, ms. */
const CHECK_MS = 10;

/** The parts behind the held reads. */
interface Parts {
  readonly clock: Clock;
  readonly overload: Overload;
  /** Called when connections of an account are no longer read because it sent more than it may. */
  readonly onThrottled: (account: Account) => void;
}

/**
 * Connections that are not read for a while: MQTT's back-pressure. Their client sent more than it may, or sends the
 * most while more comes in than the rules can follow.
 */
export class HeldReads {
  readonly #parts: Parts;
  readonly #held = new Set<Connection>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Returns whether a connection must not be read now; it is resumed by `committed` later. */
  holds(connection: Connection): boolean {
    const { account } = connection;
    if (account === null) return false;
    const nowMs = this.#parts.clock.now();
    if (!this.#mustWait(account, nowMs)) return false;
    this.#held.add(connection);
    if (!this.#stopped) this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
    return true;
  }

  /** Forgets a connection that is closed. */
  closed(connection: Connection): void {
    this.#held.delete(connection);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #mustWait(account: Account, nowMs: number): boolean {
    const isThrottled = account.waitMs(nowMs) > 0;
    if (!isThrottled) {
      account.resume(nowMs);
      return this.#parts.overload.holds(account, nowMs);
    }
    if (account.hold(nowMs)) this.#parts.onThrottled(account);
    return true;
  }

  #check(): void {
    const nowMs = this.#parts.clock.now();
    this.#parts.overload.step(nowMs);
    for (const connection of this.#held) {
      // The client may be alive: its packets wait unread.
      connection.direct?.alive();
      if (connection.account !== null && this.#mustWait(connection.account, nowMs)) continue;
      this.#held.delete(connection);
      connection.committed();
    }
    if (this.#held.size > 0 || this.#parts.overload.active) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
