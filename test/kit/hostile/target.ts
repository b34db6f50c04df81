import type { KeyRole } from '../../../domain/index.ts';

/** A device with the secret that it was registered with. */
export interface Login {
  readonly id: string;
  readonly secret: string;
}

/** What an attacker knows of a server: where it listens, and the secrets that were stolen. */
export interface Target {
  readonly httpPort: number;
  readonly mqttPort: number;
  /** Two keys of each role; their ids are their user names over MQTT. */
  readonly keys: Readonly<Record<KeyRole, readonly [Login, Login]>>;
  /** Devices of attackers; the load has others. */
  readonly devices: readonly Login[];
  /** Ids of LoRaWAN devices whose codec is slow. */
  readonly slow: readonly string[];
  /** The seed of everything that is random. */
  readonly seed: number;
}

/** What an attack found or caused, for the table and for its own verdict. */
export type Figures = Readonly<Record<string, number>>;

/** What the server spent while it was attacked. */
export interface Spent {
  /** The most resident memory above that before the attack, MiB. */
  readonly peakMiB: number;
  /** Bytes of its log. */
  readonly logBytes: number;
  /** Growth of the data folder without the journal, which owes a disk to whatever it acknowledged; MiB. */
  readonly diskMiB: number;
}

/** An attack; it runs in a process of its own, until it has done its work or the signal says that its time is over. */
export interface Attack {
  /** The name of its test: what holds while it goes on. */
  readonly title: string;
  /** Whether it needs a city with 2,000 tickets. */
  readonly tickets?: boolean;
  /** The shortest time that shows anything. */
  readonly leastMs?: number;
  readonly run: (target: Target, signal: AbortSignal) => Promise<Figures>;
  /** Returns what is wrong beyond what every attack is judged by. */
  readonly judge?: (figures: Figures, spent: Spent) => string[];
}

/** Returns a generator of the same numbers in every run, in [0, 1) (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Repeats work in parallel until the signal, and past it until enough was done: a busy machine does little in a time.
 * Each lane gets its number and counts its rounds.
 */
export async function lanes(
  count: number,
  signal: AbortSignal,
  work: (lane: number, round: number) => Promise<unknown>,
  isEnough: () => boolean = () => true,
): Promise<void> {
  const lane = async (_: unknown, i: number) => {
    for (let round = 0; !(signal.aborted && isEnough()); round++) {
      await work(i, round);
      // A server that refuses at once must not turn this into a loop that never yields.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: count }, lane));
}

/** Resolves when the signal says that the time is over. */
export function over(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
