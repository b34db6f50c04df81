import type { Logger } from 'pino';
import type { Clock, LoginsFailing, MessageSink, SessionDrop, Timers } from '../domain/index.ts';
import type { Counters } from '../limits/index.ts';
import type { CredentialChange } from '../registry/index.ts';
import type { DeclaredNames, Departments } from './access.ts';
import type { AccountLimits, ClientRecord } from './accounts.ts';
import type { DeviceCommands } from './commands.ts';
import type { DoorCounts } from './front-door.ts';
import type { GuardLimits } from './guard.ts';
import type { Listening, ListenOptions, MqttCertificate } from './listeners.ts';
import type { Outgoing } from './outgoing.ts';
import type { Carrier, OutsideMessage } from './outside.ts';
import type { MqttOutbox, SessionRecords } from './sessions/index.ts';
import type { KeepOptions } from './upkeep.ts';

/** Addresses and limits of the broker. */
export interface BrokerOptions extends GuardLimits, ListenOptions {
  readonly maxConnections: number;
  /** See `DoorLimits`. */
  readonly maxPerAddress: number;
  /** Unread bytes of a subscriber above which it is disconnected. */
  readonly maxUnread: number;
  readonly sessions: KeepOptions;
  readonly accounts: AccountLimits;
  readonly departments: Departments;
  /** Formats that the city declares; absent: none. */
  readonly declared?: DeclaredNames;
}

/** The parts around the broker. */
export interface BrokerDeps {
  readonly sink: MessageSink;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** The events of Lamppost. */
  readonly outbox: MqttOutbox;
  /** Called with whether any client is subscribed to live readings, whenever that may have changed. */
  readonly live: (isWanted: boolean) => void;
  /** Returns what waits for the rules, as a part of what may wait; above 1 those who send the most are held. */
  readonly load: () => number;
  /** Publishes dropped messages as events; resolves when these are stored. Rejected drops are passed again. */
  readonly publishDrops: (drops: readonly SessionDrop[]) => Promise<void>;
  /** Publishes that the logins of a source fail again and again, as an event. */
  readonly publishFailing: (failing: LoginsFailing) => void;
  /** Counts refused logins together with the other nodes of a cluster. */
  readonly counters: Counters;
  /** Commands to devices. */
  readonly commands: DeviceCommands;
  /** The log that this node shares with others, where kept sessions and presence are records; absent: it is alone. */
  readonly records?: SessionRecords | null;
}

/** Counts since the start. */
export interface BrokerCounts extends DoorCounts {
  connections: number;
  admitted: number;
  refused: number;
  /** Messages of network servers that are not uplinks. */
  dropped: number;
  cutSlow: number;
  cutOversize: number;
  /** Connections that did not begin as MQTT or, from a proxy, with its header, or whose TLS handshake failed. */
  cutForeign: number;
  refusedLogins: number;
  /** Kept sessions, and how many of them are connected. */
  sessions: number;
  sessionsConnected: number;
  /** Messages in their queues, and messages dropped since the start. */
  queued: number;
  queueDropped: number;
  retained: number;
  /** Connections that are not read at the moment. */
  held: number;
}

/** The MQTT side of Lamppost. */
export interface Broker extends Outgoing {
  /** Opens the sessions: from here on it publishes. Throws `disk` where they cannot be opened. */
  open(): Promise<void>;
  /** Admits the wills that a crash left, then listens; returns the ports. Throws `config` where a port is in use. */
  start(): Promise<Listening>;
  /** Takes no more messages, waits for pending commits, then closes connections and sessions. Idempotent. */
  stop(): Promise<void>;
  /**
   * Applies a change; closes connections whose secret is no longer valid, and ends their sessions. Returns their user
   * names.
   */
  credentials(change: CredentialChange): readonly string[];
  /** The log that it shares with other nodes may have more. */
  recorded(): void;
  /**
   * Admits a device's message that did not come over MQTT. Resolves to `acknowledged` when it is on disk, and to
   * `refused` where the secret is not the device's. Throws `limit` where it sends more than it may,
   * `busy`, `forbidden`, `disk` or `journal-full`.
   */
  ingest(message: OutsideMessage): Promise<'acknowledged' | 'refused'>;
  /**
   * Admits messages of a key that a bridge took from another broker, in their order, without its secret. Throws
   * `forbidden` where there is no such key, or it may not publish.
   */
  carry: Carrier;
  counts(): BrokerCounts;
  /** Returns the keys that logged in since the last call, or are connected. */
  keysUsed(): string[];
  /** Applies limits that changed. */
  limit(limits: AccountLimits): void;
  /** Applies what the city says of the departments. */
  departments(departments: Departments): void;
  /** Applies what formats the city declares. */
  declared(declared: DeclaredNames): void;
  /** Handshakes from now on show this certificate; connections that are open go on. */
  renew(certificate: MqttCertificate): void;
  /** Returns what is known of a user name since the start; null where it never connected nor tried to. */
  record(id: string): ClientRecord | null;
  /** Returns for how long user names were throttled since the start, ms: those that waited longest, at most `most`. */
  throttled(most: number): { readonly id: string; readonly ms: number }[];
}
