import { z } from 'zod';
import type { Clock, ShapeOf, Timers } from '../domain/index.ts';
import type { Accounts } from './accounts.ts';

const MOST_CHARACTERS = 128;

/** So many failures of one key of a counter; 0: its right secret came. */
const FailureSchema = z.object({
  counter: z.string().max(32),
  key: z.string().max(MOST_CHARACTERS),
  count: z.int().min(0).max(1_000_000),
});

/** Keys in one message to the other nodes. What is more counts at this node only. */
const MOST_KEYS = 256;

/** What one node counted in a moment, in its order. */
export const FailuresSchema = z.array(FailureSchema).max(MOST_KEYS);
export type CountedFailures = ShapeOf<typeof FailuresSchema>;

/** Counts failures of a key; a count of 0 forgets them. */
type Count = (key: string, count: number) => void;

/** Begins to count what other nodes count; returns what passes on what this node counts. */
export type Counter = (apply: Count) => Count;

/** Counters of failures that the nodes of a cluster have together. */
export interface Counters {
  /** Begins with a counter, which has the same name on every node. */
  counter(name: string, apply: Count): Count;
}

/** The counters of a node that is alone. */
export const COUNTED_HERE: Counters = { counter: () => () => {} };

/** How often at most something is sent. */
const EVERY_MS = 100;

interface Parts {
  readonly timers: Timers;
  /** Sends to the other nodes; it may be lost. */
  readonly send: (failures: CountedFailures) => void;
}

/**
 * Counts failures together with the other nodes: what is counted here is sent at once, and then ten times a second at
 * most; what others sent is applied here, and not sent again.
 */
export class SharedFailures implements Counters {
  readonly #parts: Parts;
  readonly #counters = new Map<string, Count>();
  /** In their order. */
  #waiting: { readonly counter: string; readonly key: string; count: number }[] = [];
  /** Those of them to which more may be added. */
  readonly #open = new Map<string, { count: number }>();
  #cancel: (() => void) | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  counter(name: string, apply: Count): Count {
    this.#counters.set(name, apply);
    return (key, count) => this.#add(name, key, count);
  }

  /** Applies what another node sent. What only a newer Lamppost counts is left out. */
  receive(failures: CountedFailures): void {
    for (const { counter, key, count } of failures) this.#counters.get(counter)?.(key, count);
  }

  /** Sends nothing more. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = () => {};
  }

  #add(counter: string, key: string, count: number): void {
    const name = `${counter} ${key}`;
    const open = this.#open.get(name);
    if (count > 0 && open !== undefined) {
      open.count += count;
      return;
    }
    if (this.#waiting.length >= MOST_KEYS || key.length > MOST_CHARACTERS) return;
    const failure = { counter, key, count };
    this.#waiting.push(failure);
    if (count > 0) this.#open.set(name, failure);
    else this.#open.delete(name);
    // Counters that count the same failure are sent together.
    this.#cancel ??= this.#parts.timers.after(0, () => this.#flush());
  }

  #flush(): void {
    this.#cancel = null;
    if (this.#waiting.length === 0) return;
    const failures = this.#waiting;
    this.#waiting = [];
    this.#open.clear();
    this.#cancel = this.#parts.timers.after(EVERY_MS, () => this.#flush());
    this.#parts.send(failures);
  }
}

/**
 * How far below zero what others counted takes an account: five nodes that each let a guess pass in one moment. Each of
 * them still passes one in a time, and nobody waits longer than five of these times.
 */
const LEAST = -4;

/** Returns accounts of failures that the other nodes charge, too: what is taken or charged here is passed on. */
export function countedTogether(accounts: Accounts, counter: Counter, clock: Clock): Accounts {
  const passOn = counter((who, amount) => accounts.charge(who, amount, clock.now(), LEAST));
  return {
    ...accounts,
    take(who, amount, nowMs) {
      const waitMs = accounts.take(who, amount, nowMs);
      if (waitMs === 0) passOn(who, amount);
      return waitMs;
    },
    charge(who, amount, nowMs) {
      accounts.charge(who, amount, nowMs);
      passOn(who, amount);
    },
  };
}
