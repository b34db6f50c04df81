import type { Client } from 'aedes';
import { SECOND_MS, type Timers } from '../domain/index.ts';

/** A longer timer would end at once. */
const MOST_SECONDS = 2 ** 31 / SECOND_MS - 1;
/** Wills that wait at the same time: a key may have as many client ids as it likes. */
const MOST_WAITING = 1_000;

/** Returns whether a packet is the will of a client. Aedes 1.2.0 does not declare it. */
export function isWill(client: Client, packet: object): boolean {
  return (client as unknown as { readonly will: unknown }).will === packet;
}

/** Wills of MQTT 5 that wait for the return of their client (§3.1.3.2.2). A stop discards them, as it does all. */
export class DelayedWills {
  readonly #timers: Timers;
  readonly #waiting = new Map<string, () => void>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Publishes the will of a session later, unless its client returns; at once where too many wait. */
  later(session: string, seconds: number, publish: () => void): void {
    this.returned(session);
    if (this.#waiting.size >= MOST_WAITING) {
      publish();
      return;
    }
    const cancel = this.#timers.after(Math.min(seconds, MOST_SECONDS) * SECOND_MS, () => {
      this.#waiting.delete(session);
      publish();
    });
    this.#waiting.set(session, cancel);
  }

  /** The client of a session is back: its will is discarded. */
  returned(session: string): void {
    this.#waiting.get(session)?.();
    this.#waiting.delete(session);
  }

  /** Discards the wills of sessions, and returns these: nothing more is taken in the name of their users. */
  end(isOf: (session: string) => boolean): string[] {
    const ended = [...this.#waiting.keys()].filter(isOf);
    for (const session of ended) this.returned(session);
    return ended;
  }

  stop(): void {
    for (const cancel of this.#waiting.values()) cancel();
    this.#waiting.clear();
  }
}
