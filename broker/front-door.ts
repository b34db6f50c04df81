import type { Socket } from 'node:net';
import type { Clock, MqttReason, Timers } from '../domain/index.ts';
import { type Accounts, createAccounts } from '../limits/index.ts';

/** How many may be connected, and how many of them without having logged in. */
export interface DoorLimits {
  readonly maxConnections: number;
  /**
   * Connections of one address that have not logged in, and how many it may begin at once; a tenth of it is added each
   * second.
   */
  readonly maxPerAddress: number;
  /**
   * Time limit of a connection for its login, from its first moment: header of a proxy and TLS handshake included, ms.
   */
  readonly loginTimeoutMs: number;
}

/** Why a connection ends before its login. */
export type DoorRefusal = Extract<
  MqttReason,
  'stopping' | 'too-many-connections' | 'too-many-connects' | 'gave-way' | 'login-timeout'
>;

/** A connection that has not logged in. */
export interface Visitor {
  readonly socket: Socket;
  /** What its address is counted as. */
  source: string;
  readonly sinceMs: number;
}

/** Counts of connections that have not logged in, and since the start of those that were refused or ended. */
export interface DoorCounts {
  waiting: number;
  refusedConnections: number;
  gaveWay: number;
  loginTimeouts: number;
}

interface DoorDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Called for each connection that the door ends. */
  readonly refused: (source: string, why: DoorRefusal) => void;
}

/** Those without a login have at most this part of all connections. */
const SHARE = 1 / 4;
/** With more than this waiting, an address keeps none that waited longer than a login over a slow network takes. */
const CROWD = 64;
const CROWD_MS = 2_000;
const REFILL = 1 / 10;
/** How often one user name may log in without a charge to its address. */
const LOGINS = { perSecond: 1, burst: 200 };

/**
 * Bounds the connections that have not logged in. They have a share of all places, so that who logs in finds one.
 * Nobody is refused for the many that another address opens: where the share is full, the connection that waited
 * longest of the address with the most gives way. A connection costs its address a token once it says something; a
 * login returns it.
 */
export class FrontDoor {
  readonly counts: DoorCounts = { waiting: 0, refusedConnections: 0, gaveWay: 0, loginTimeouts: 0 };
  readonly #deps: DoorDeps;
  readonly #limits: DoorLimits;
  readonly #begun: Accounts;
  readonly #logins = createAccounts(LOGINS);
  /** In the order of their arrival; also those of each source. */
  readonly #waiting = new Set<Visitor>();
  readonly #bySource = new Map<string, Set<Visitor>>();
  readonly #known = new Set<Socket>();
  #cancelSweep: (() => void) | null = null;
  #stopped = false;

  constructor(deps: DoorDeps, limits: DoorLimits) {
    this.#deps = deps;
    this.#limits = limits;
    this.#begun = createAccounts({ perSecond: limits.maxPerAddress * REFILL, burst: limits.maxPerAddress });
  }

  /** The number of open connections. */
  get size(): number {
    return this.#known.size + this.#waiting.size;
  }

  /** Lets a new connection in; null where it is refused, and its socket destroyed. */
  arrive(socket: Socket, source: string): Visitor | null {
    const visitor = { socket, source, sinceMs: this.#deps.clock.now() };
    const free = this.#limits.maxConnections - this.#known.size;
    if (this.#stopped || free <= 0) return this.#refuse(visitor, this.#stopped ? 'stopping' : 'too-many-connections');
    this.#makeRoom(source, visitor.sinceMs, Math.min(free, Math.ceil(this.#limits.maxConnections * SHARE)));
    this.#waiting.add(visitor);
    this.#enterSource(visitor);
    this.counts.waiting = this.#waiting.size;
    socket.once('close', () => this.#left(visitor));
    this.#sweepLater();
    return visitor;
  }

  /** Counts a connection for the address that its proxy named. */
  speaksFor(visitor: Visitor, source: string): void {
    if (!this.#waiting.has(visitor)) return;
    this.#leaveSource(visitor);
    visitor.source = source;
    this.#makeRoom(source, this.#deps.clock.now(), Number.POSITIVE_INFINITY);
    this.#enterSource(visitor);
  }

  /** Called at the first bytes of a connection, before any work for it; false where it is refused and destroyed. */
  begins(visitor: Visitor): boolean {
    const { source, socket } = visitor;
    if (socket.destroyed) return false;
    if (this.#begun.take(source, 1, this.#deps.clock.now()) === 0) return true;
    this.#refuse(visitor, 'too-many-connects');
    return false;
  }

  /**
   * Called when a connection has logged in: its address is not charged for it, unless the user logs in all the time.
   */
  knows(visitor: Visitor, user: string): void {
    if (!this.#waiting.has(visitor)) return;
    this.#forget(visitor);
    this.#known.add(visitor.socket);
    const nowMs = this.#deps.clock.now();
    if (this.#logins.take(user, 1, nowMs) === 0) this.#begun.charge(visitor.source, -1, nowMs);
  }

  /** Refuses everyone from now on. */
  stop(): void {
    this.#stopped = true;
    this.#cancelSweep?.();
    this.#cancelSweep = null;
  }

  /** Ends every connection that has not logged in. */
  destroy(): void {
    for (const { socket } of this.#waiting) socket.destroy();
  }

  #makeRoom(source: string, nowMs: number, places: number): void {
    const own = this.#bySource.get(source);
    const oldest = own?.values().next().value;
    if (own !== undefined && oldest !== undefined) {
      const isCrowd = own.size >= CROWD && nowMs - oldest.sinceMs >= CROWD_MS;
      if (isCrowd || own.size >= this.#limits.maxPerAddress) this.#giveWay(oldest);
    }
    if (this.#waiting.size < places) return;
    const longest = this.#heaviest(own)?.values().next().value;
    if (longest !== undefined) this.#giveWay(longest);
  }

  /** Returns the source with the most; the own one where it has its part of the places, without a search. */
  #heaviest(own: Set<Visitor> | undefined): Set<Visitor> | undefined {
    let most = own;
    if (most !== undefined && most.size * this.#bySource.size > this.#waiting.size) return most;
    for (const one of this.#bySource.values()) if (one.size > (most?.size ?? 0)) most = one;
    return most;
  }

  #giveWay(visitor: Visitor): void {
    this.counts.gaveWay++;
    this.#end(visitor, 'gave-way');
  }

  #refuse(visitor: Visitor, why: DoorRefusal): null {
    this.counts.refusedConnections++;
    this.#end(visitor, why);
    return null;
  }

  #end(visitor: Visitor, why: DoorRefusal): void {
    this.#forget(visitor);
    visitor.socket.destroy();
    this.#deps.refused(visitor.source, why);
  }

  #left(visitor: Visitor): void {
    this.#forget(visitor);
    this.#known.delete(visitor.socket);
  }

  #forget(visitor: Visitor): void {
    if (!this.#waiting.delete(visitor)) return;
    this.#leaveSource(visitor);
    this.counts.waiting = this.#waiting.size;
  }

  #enterSource(visitor: Visitor): void {
    const own = this.#bySource.get(visitor.source) ?? new Set();
    this.#bySource.set(visitor.source, own.add(visitor));
  }

  #leaveSource(visitor: Visitor): void {
    const own = this.#bySource.get(visitor.source);
    own?.delete(visitor);
    if (own?.size === 0) this.#bySource.delete(visitor.source);
  }

  /** One timer for all: the first to come is the first whose time ends. */
  #sweepLater(): void {
    const [oldest] = this.#waiting;
    if (this.#cancelSweep !== null || this.#stopped || oldest === undefined) return;
    const inMs = oldest.sinceMs + this.#limits.loginTimeoutMs - this.#deps.clock.now();
    this.#cancelSweep = this.#deps.timers.after(Math.max(1, inMs), () => this.#sweep());
  }

  #sweep(): void {
    this.#cancelSweep = null;
    const beforeMs = this.#deps.clock.now() - this.#limits.loginTimeoutMs;
    for (const visitor of this.#waiting) {
      if (visitor.sinceMs > beforeMs) break;
      this.counts.loginTimeouts++;
      this.#end(visitor, 'login-timeout');
    }
    this.#sweepLater();
  }
}
