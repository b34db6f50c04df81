import type { Logger } from 'pino';
import type { Clock, MessageSink, SessionDrop } from '../domain/index.ts';
import type { CredentialChange } from '../registry/index.ts';
import type { GuardLimits } from './guard.ts';
import type { KeepOptions } from './keeping.ts';
import type { ListenOptions } from './listeners.ts';
import type { Outgoing } from './outgoing.ts';

/** Where the broker listens, and its limits. */
export interface BrokerOptions extends GuardLimits, ListenOptions {
  /** A subscriber with more unread bytes than this is cut. */
  readonly maxUnread: number;
  readonly sessions: KeepOptions;
}

/** What the broker asks of its surroundings. */
export interface BrokerDeps {
  readonly sink: MessageSink;
  readonly clock: Clock;
  readonly log: Logger;
  readonly overloaded: () => boolean;
  /** Takes what sessions lost; resolves when it has become events. What is rejected is told again. */
  readonly tell: (drops: readonly SessionDrop[]) => Promise<void>;
}

/** Counts since the start. */
export interface BrokerCounts {
  connections: number;
  admitted: number;
  refused: number;
  /** What network servers published beside uplinks. */
  dropped: number;
  cutSlow: number;
  cutOversize: number;
  refusedLogins: number;
  /** Kept sessions, and those of them that are connected. */
  sessions: number;
  sessionsConnected: number;
  /** Messages that wait in their queues, and those that were dropped since the start. */
  queued: number;
  queueDropped: number;
  retained: number;
}

/** The MQTT side of Lamppost. */
export interface Broker extends Pick<Outgoing, 'publish' | 'restate'> {
  /** From here on it takes publications of Lamppost's own. Throws `disk` where the sessions cannot be opened. */
  open(): Promise<void>;
  /** Listens. */
  start(): Promise<{ port: number; tlsPort: number | null }>;
  /** Stops taking messages, waits for commits on their way, closes. */
  stop(): Promise<void>;
  credentials(change: CredentialChange): void;
  /**
   * A device's message that came by another way than MQTT: resolves when it is on disk, or `refused` where the secret
   * is not the device's. Throws `busy`, `forbidden`, `disk` or `journal-full`.
   */
  ingest(message: OutsideMessage): Promise<'acknowledged' | 'refused'>;
  /** Whether anybody is subscribed to live readings. */
  wantsLive(): boolean;
  counts(): BrokerCounts;
}

/** A message with the credentials that came with it. */
export interface OutsideMessage {
  readonly device: string;
  readonly secret: string;
  readonly topic: string;
  readonly payload: Uint8Array;
}
