import type { KV } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  type Clock,
  DUTIES,
  type Duties,
  type Duty,
  DutyDeadlines,
  monotonicClock,
  systemClock,
  systemTimers,
  type Timers,
} from '../domain/index.ts';
import { bucketOf, isOvertaken, jsonOf, mayPass, REQUEST_MS } from './jetstream.ts';
import { Lease, type LeaseEntry, type LeaseWrite, TTL_MS } from './lease.ts';
import type { ClusterSettings } from './settings.ts';

/** A third of a lease's life, so that two renewals may fail. */
const RENEW_MS = 1_500;

const Value = z.object({ node: z.string(), run: z.string(), term: z.int().min(0), free: z.boolean() });

/** The duties of this node of a cluster. */
export interface Leases extends Duties {
  /** Opens the bucket and begins to apply. Throws `log-away`. */
  start(): Promise<void>;
  /** Gives back what it holds, so that others take over at once. Idempotent. */
  stop(): Promise<void>;
}

interface Options {
  readonly connection: NatsConnection;
  readonly settings: ClusterSettings;
  /** Of this process and no other one (`NodeIdentity`). */
  readonly run: string;
  /** Whether this node may have a duty now: one that is behind, or that decides differently, must not. */
  readonly isFit: (duty: Duty) => boolean;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Monotonic. */
  readonly clock?: Clock;
  readonly wall?: Clock;
  readonly timers?: Timers;
}

/** Returns the duties of a node, which it holds by leases in the bucket `<cluster>-leases`. */
export function createLeases(options: Options): Leases {
  return new LeasesOfNode(options);
}

class LeasesOfNode implements Leases {
  readonly #options: Required<Options>;
  readonly #leases: ReadonlyMap<Duty, Lease>;
  readonly #deadlines = new DutyDeadlines();
  readonly #listeners = new Set<(duty: Duty) => void>();
  /** Of each duty: the term that listeners know of. */
  readonly #said = new Map<Duty, number | null>();
  readonly #cancels = new Set<() => void>();
  readonly #working = new Set<Promise<void>>();
  #keys: KV | null = null;
  #stopping: Promise<void> | null = null;

  constructor(options: Options) {
    this.#options = { clock: monotonicClock, wall: systemClock, timers: systemTimers, ...options };
    const who = { node: options.settings.node, run: options.run };
    this.#leases = new Map((Object.keys(DUTIES) as Duty[]).map((duty) => [duty, new Lease(who)]));
  }

  async start(): Promise<void> {
    this.#keys = await bucketOf(this.#options.connection, this.#options.settings, 'leases');
    for (const duty of this.#leases.keys()) this.#beat(duty);
  }

  holds(duty: Duty): number | null {
    return this.#leases.get(duty)!.holds(this.#options.clock.now());
  }

  get deadlines(): SharedArrayBuffer {
    return this.#deadlines.buffer;
  }

  onChange(listener: (duty: Duty) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    await Promise.all(this.#working);
    const writes = [...this.#leases].map(async ([duty, lease]) => {
      const write = lease.giveBack(this.#options.clock.now());
      this.#say(duty);
      if (write !== null) await this.#attempt(duty, lease, write);
    });
    await Promise.all(writes);
  }

  /** One step of a duty now, and the next one after a while. */
  #beat(duty: Duty): void {
    if (this.#stopping !== null) return;
    const work = this.#step(duty).finally(() => {
      this.#working.delete(work);
      this.#say(duty);
      this.#after(RENEW_MS, () => this.#beat(duty));
    });
    this.#working.add(work);
  }

  async #step(duty: Duty): Promise<void> {
    const lease = this.#leases.get(duty)!;
    const { clock, wall, isFit } = this.#options;
    if (lease.mustRead(clock.now()) && !(await this.#read(duty, (entry) => lease.saw(entry, clock.now())))) return;
    const write = lease.next(clock.now(), wall.now(), isFit(duty));
    if (write !== null) await this.#attempt(duty, lease, write);
  }

  async #attempt(duty: Duty, lease: Lease, write: LeaseWrite): Promise<void> {
    try {
      const body = JSON.stringify(write.value);
      const revision = await this.#keys!.put(duty, body, { previousSeq: write.expected, timeout: REQUEST_MS });
      // One that was over is said to be, before it is renewed: whoever looked at its deadline did nothing more.
      this.#say(duty);
      lease.wrote(write, revision);
      this.#after(TTL_MS, () => this.#say(duty));
    } catch (error) {
      if (isOvertaken(error)) await this.#read(duty, (entry) => lease.overtaken(entry, this.#options.clock.now()));
      else this.#warn(duty, error);
    }
  }

  /** Reads a lease; false where NATS is away. */
  async #read(duty: Duty, use: (entry: LeaseEntry) => void): Promise<boolean> {
    try {
      const found = await this.#keys!.get(duty);
      use({ revision: found?.revision ?? 0, value: Value.safeParse(jsonOf(found)).data ?? null });
      return true;
    } catch (error) {
      this.#warn(duty, error);
      return false;
    }
  }

  #warn(duty: Duty, error: unknown): void {
    if (!mayPass(error)) this.#options.log.warn({ err: error, duty }, 'a lease could not be read or renewed');
  }

  #after(ms: number, run: () => void): void {
    if (this.#stopping !== null) return;
    const cancel = this.#options.timers.after(ms, () => {
      this.#cancels.delete(cancel);
      run();
    });
    this.#cancels.add(cancel);
  }

  /** Notifies listeners where the term has changed since the last time. */
  #say(duty: Duty): void {
    const term = this.holds(duty);
    this.#deadlines.set(duty, term === null ? 0 : this.#leases.get(duty)!.untilMs()!);
    if (term === (this.#said.get(duty) ?? null)) return;
    this.#said.set(duty, term);
    this.#options.log.info({ duty, term }, term === null ? 'another node may have a duty now' : 'this node has a duty');
    for (const listener of this.#listeners) listener(duty);
  }
}
