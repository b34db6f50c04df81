import type { DropReason } from '../../domain/index.ts';
import type { Share } from '../share.ts';
import type { Subscription } from './filters.ts';

/** The owner of a session: a user name, and the SHA-256 of the secret that opened it. */
export interface Owner {
  readonly user: string;
  readonly secret: Uint8Array;
}

/** A packet as Aedes 1.2.0 makes it; `brokerId` and `brokerCounter` identify it. */
export interface Packet {
  readonly cmd: 'publish';
  readonly brokerId: string;
  readonly brokerCounter: number;
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  messageId?: number | undefined;
}

/** A message that was sent and is not yet acknowledged: the number of its event, and which of its messages it is. */
export interface Sent {
  readonly n: number;
  readonly i: number;
  readonly bytes: number;
  /** Of a group: the member that got it last, and under which message id. */
  to?: { readonly id: string; readonly messageId: number };
}

/** A subscription, and the number of the newest event when it was made: only later ones are for it. */
export interface KeptSubscription {
  readonly subscription: Subscription;
  readonly since: number;
}

/**
 * The state of a kept session (MQTT 3.1.1 §3.1.2.4). Its queue is in the outbox: the messages of the events after
 * `place` that a subscription matches.
 */
export interface Session {
  readonly key: number;
  readonly id: string;
  readonly owner: Owner;
  readonly subscriptions: Map<string, KeptSubscription>;
  /** Whether its queue is this node's: on one machine always. */
  isHere: boolean;
  /** Whether its client is connected, to whatever node. */
  connected: boolean;
  /** When it was last connected, epoch ms. */
  seenMs: number;
  /** How long it is kept after the connection, s; null: as long as `SessionLimits.days`. */
  expiry: number | null;
  /** No event up to this number waits: each was sent or dropped, or is not for it. */
  place: number;
  /** Up to which event the log has it that the client has acknowledged; not used on one machine. */
  recorded: number;
  /**
   * Number and bytes of the messages that wait after `place`, counted up to event `counted`; null: up to the newest.
   */
  messages: number;
  bytes: number;
  counted: number | null;
  /** Messages that waited up to event `upTo` before the outbox lost some of them; null where it lost none. */
  before: { messages: number; readonly upTo: number } | null;
  /** By message id, oldest first. */
  readonly sent: Map<number, Sent>;
  lastMessageId: number;
}

/** Bounds of sessions and their queues. */
export interface SessionLimits {
  /** Days without a connection after which a session ends. */
  readonly days: number;
  /** Messages and bytes of one session's queue. */
  readonly messages: number;
  readonly bytes: number;
  /** Sessions of one key or device. */
  readonly perUser: number;
}

/** Called when messages of a session are dropped. */
export type OnDropped = (session: Session, reason: DropReason, messages: number) => void;

/** No client id has U+0000, so no session of a client has the name of a group's queue. */
const GROUP = '/\0';

/** Returns the name of the queue of a group of a user's shared subscriptions, which is a session, too. */
export function groupId(user: string, { group, filter }: Share): string {
  return `${user}${GROUP}${group}/${filter}`;
}

export function isGroup(id: string): boolean {
  return id.includes(GROUP);
}

/** Returns the name of a session for people: that of a group has the shared subscription. */
export function nameOf(id: string): string {
  return id.replace(GROUP, '/$share/');
}

/** Returns the bytes of a message in a queue: topic and payload. */
export function bytesOf({ topic, payload }: Pick<Packet, 'topic' | 'payload'>): number {
  return Buffer.byteLength(topic) + Buffer.byteLength(payload);
}

/** Converts a payload from SQLite: text stays text, as in other persistences of Aedes. */
export function payloadOf(value: unknown): Buffer | string {
  return typeof value === 'string' ? value : Buffer.from(value as Uint8Array);
}
