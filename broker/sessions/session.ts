import type { Subscription } from './filters.ts';

/** Who a session belongs to: a user name, and the SHA-256 of the secret that it was opened with. */
export interface Owner {
  readonly user: string;
  readonly secret: Uint8Array;
}

/** A packet as Aedes 1.2.0 makes them; `brokerId` and `brokerCounter` tell it from all others. */
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

/** A message of a queue: `n` rises in the order of publication. */
export interface Queued {
  readonly n: number;
  readonly bytes: number;
  /** The identifier under which it was sent; null while it was not. */
  readonly messageId: number | null;
  readonly packet: Packet;
}

/** A message that was sent and is not acknowledged. */
export interface InFlight {
  readonly n: number;
  readonly bytes: number;
  /** Null where it is only in the file. */
  readonly packet: Packet | null;
}

/** A kept session (MQTT 3.1.1 §3.1.2.4): what is held in memory of it. The messages of its queue are in the file. */
export interface Session {
  readonly key: number;
  readonly id: string;
  readonly owner: Owner;
  readonly subscriptions: Map<string, Subscription>;
  connected: boolean;
  /** When it was last connected. */
  seenMs: number;
  messages: number;
  bytes: number;
  /** Number of the newest message that was queued. */
  newest: number;
  /** By message id, oldest first. */
  readonly inFlight: Map<number, InFlight>;
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

/** Bytes that a message counts in a queue: topic and payload. */
export function bytesOf({ topic, payload }: Pick<Packet, 'topic' | 'payload'>): number {
  return Buffer.byteLength(topic) + Buffer.byteLength(payload);
}

/** What came out of SQLite as a payload: text stays text, as Aedes' persistences have it. */
export function payloadOf(value: unknown): Buffer | string {
  return typeof value === 'string' ? value : Buffer.from(value as Uint8Array);
}
