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

/** A message of a queue: `n` rises in the order of publication. */
export interface Queued {
  readonly n: number;
  readonly bytes: number;
  /** The message id under which it was sent; null before that. */
  readonly messageId: number | null;
  readonly packet: Packet;
}

/** A message that was sent and is not yet acknowledged. */
export interface InFlight {
  readonly n: number;
  readonly bytes: number;
  /** Null where the packet is only in the file. */
  readonly packet: Packet | null;
}

/** The state of a kept session (MQTT 3.1.1 §3.1.2.4) in memory. The messages of its queue are in the file. */
export interface Session {
  readonly key: number;
  readonly id: string;
  readonly owner: Owner;
  readonly subscriptions: Map<string, Subscription>;
  connected: boolean;
  /** When it was last connected, epoch ms. */
  seenMs: number;
  messages: number;
  bytes: number;
  /** Number of the newest queued message. */
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

/** Returns the bytes of a message in a queue: topic and payload. */
export function bytesOf({ topic, payload }: Pick<Packet, 'topic' | 'payload'>): number {
  return Buffer.byteLength(topic) + Buffer.byteLength(payload);
}

/** Converts a payload from SQLite: text stays text, as in other persistences of Aedes. */
export function payloadOf(value: unknown): Buffer | string {
  return typeof value === 'string' ? value : Buffer.from(value as Uint8Array);
}
