import { z } from 'zod';
import { isoOf, MQTT_REASONS, type MqttReason, type ShapeOf } from '../domain/index.ts';
import { TokenBucket } from '../limits/index.ts';
import type { Identity } from '../registry/index.ts';

/** What a user name may send, packets and bytes a second; 0: no limit. */
export interface SendLimits {
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
}

/** The limits of all user names. */
export interface AccountLimits {
  /** Of a device whose profile has none of its own; those of keys are derived from it. */
  readonly device: SendLimits;
  /** Of the devices of a profile, by its id. */
  readonly profiles: Readonly<Record<string, SendLimits>>;
}

const ClientRefusalSchema = z.object({
  reason: z.enum(Object.keys(MQTT_REASONS) as [MqttReason, ...MqttReason[]]),
  count: z.int(),
  last: z.iso.datetime().describe('When it was last so'),
  from: z.string().nullable().describe('The address that it came from'),
  detail: z.string().describe('What it was about, the last time'),
});

/** One reason why something of a client was refused or ended, with its count since the start. */
export type ClientRefusal = ShapeOf<typeof ClientRefusalSchema>;

export const ClientRecordSchema = z
  .object({
    connections: z.int().describe('Open MQTT connections'),
    throttled: z
      .object({ count: z.int(), ms: z.number() })
      .describe('How often and how long in all it was not read, because it sent more than it may'),
    refusals: z.array(ClientRefusalSchema).describe('What was refused, delayed or ended, by reason'),
  })
  .meta({ id: 'Connection', description: 'What the MQTT broker knows of a device since the start of the server' });

/** What the broker knows of a user name since its start. */
export type ClientRecord = ShapeOf<typeof ClientRecordSchema>;

/** A device that was away sends what it measured meanwhile: ten seconds' worth may come at once, or this much. */
const BURST_SECONDS = 10;
const LEAST_BURST = { messages: 1_000, bytes: 1024 * 1024 };
/** A network server carries many devices; other keys only read. */
const NETWORK_SERVER_FACTOR = 10;
/** Refused messages that a device gets a notice of, one by one: so many at once, then one a second. */
const NOTICES = { perSecond: 1, burst: 20 };
/** Half-life of the use that an overload compares, ms. */
const HALF_LIFE_MS = 500;
/** Bytes that weigh as much as one packet. */
const BYTES_PER_PACKET = 256;
const LONGEST_DETAIL = 200;

/** What one user name uses of the broker over all its connections, and what was refused of it. */
export class Account {
  readonly id: string;
  /** Number of open connections. */
  connections = 0;
  #messages: TokenBucket | null = null;
  #bytes: TokenBucket | null = null;
  /** When it may send again, epoch ms; 0 where it may now. */
  #waitUntil = 0;
  #recent = 0;
  #recentAt = 0;
  #heldSince: number | null = null;
  #noticedAt = 0;
  readonly #notices = new TokenBucket(NOTICES);
  #held = { count: 0, ms: 0 };
  readonly #refusals = new Map<MqttReason, ClientRefusal>();

  constructor(id: string, limits: SendLimits) {
    this.id = id;
    this.limit(limits);
  }

  /** Replaces the limits; the buckets begin full. */
  limit({ messagesPerSecond, bytesPerSecond }: SendLimits): void {
    this.#messages = bucketOf(messagesPerSecond, LEAST_BURST.messages);
    this.#bytes = bucketOf(bytesPerSecond, LEAST_BURST.bytes);
    this.#waitUntil = 0;
  }

  /** Counts packets and bytes that were read. */
  charge(packets: number, bytes: number, nowMs: number): void {
    const level = Math.min(chargeOf(this.#messages, packets, nowMs), chargeOf(this.#bytes, bytes, nowMs));
    this.#waitUntil = level < 1 ? nowMs + this.#missingMs(nowMs) : 0;
    this.#recent = this.recent(nowMs) + packets + bytes / BYTES_PER_PACKET;
  }

  /** Returns after how many ms it may send again; 0 where it may now. */
  waitMs(nowMs: number): number {
    // A clock that went back says nothing about the time since.
    if (this.#waitUntil === 0 || nowMs < this.#recentAt) return 0;
    return Math.max(0, this.#waitUntil - nowMs);
  }

  #missingMs(nowMs: number): number {
    return Math.max(this.#messages?.waitMs(nowMs) ?? 0, this.#bytes?.waitMs(nowMs) ?? 0);
  }

  /** Returns what it used lately: packets, and bytes as packets, halved every half second. */
  recent(nowMs: number): number {
    const elapsed = nowMs - this.#recentAt;
    this.#recentAt = nowMs;
    if (elapsed > 0) this.#recent *= 2 ** (-elapsed / HALF_LIFE_MS);
    return this.#recent;
  }

  /** Notes that its connections are not read; returns whether they were read until now. */
  hold(nowMs: number): boolean {
    if (this.#heldSince !== null) return false;
    this.#heldSince = nowMs;
    this.#held.count++;
    return true;
  }

  /** Notes that its connections are read again. */
  resume(nowMs: number): void {
    if (this.#heldSince === null) return;
    this.#held.ms += Math.max(0, nowMs - this.#heldSince);
    this.#heldSince = null;
  }

  /** Returns whether a notice is due that is given at most once in `everyMs`. */
  noticeDue(nowMs: number, everyMs: number): boolean {
    if (Math.abs(nowMs - this.#noticedAt) < everyMs) return false;
    this.#noticedAt = nowMs;
    return true;
  }

  /** Returns whether the device gets a notice of one more refused message now. */
  mayNotify(nowMs: number): boolean {
    return this.#notices.take(1, nowMs);
  }

  /** Counts a refusal. */
  refuse(reason: MqttReason, detail: string, from: string | null, nowMs: number): void {
    const count = (this.#refusals.get(reason)?.count ?? 0) + 1;
    this.#refusals.set(reason, { reason, count, last: isoOf(nowMs), from, detail: detail.slice(0, LONGEST_DETAIL) });
  }

  throttledMs(nowMs: number): number {
    return this.#held.ms + (this.#heldSince === null ? 0 : Math.max(0, nowMs - this.#heldSince));
  }

  record(nowMs: number): ClientRecord {
    const throttled = { count: this.#held.count, ms: this.throttledMs(nowMs) };
    return { connections: this.connections, throttled, refusals: [...this.#refusals.values()] };
  }
}

function chargeOf(bucket: TokenBucket | null, amount: number, nowMs: number): number {
  return bucket === null ? Number.POSITIVE_INFINITY : bucket.charge(amount, nowMs);
}

function bucketOf(perSecond: number, leastBurst: number): TokenBucket | null {
  if (perSecond === 0) return null;
  return new TokenBucket({ perSecond, burst: Math.max(leastBurst, perSecond * BURST_SECONDS) });
}

/** The accounts of all user names that connected or tried to; at most one for each that is registered. */
export class BrokerAccounts {
  readonly #byId = new Map<string, { account: Account; identity: Identity }>();
  #limits: AccountLimits;

  constructor(limits: AccountLimits) {
    this.#limits = limits;
  }

  /** Returns the account of a registered user name. */
  of(identity: Identity): Account {
    const known = this.#byId.get(identity.id);
    if (known !== undefined) return known.account;
    const account = new Account(identity.id, this.#limitsOf(identity));
    this.#byId.set(identity.id, { account, identity });
    return account;
  }

  /** Returns the account of a user name; null where it has not been seen since the start. */
  get(id: string): Account | null {
    return this.#byId.get(id)?.account ?? null;
  }

  /** Applies limits that changed. */
  limit(limits: AccountLimits): void {
    this.#limits = limits;
    for (const { account, identity } of this.#byId.values()) account.limit(this.#limitsOf(identity));
  }

  /** Applies an identity that may have changed: a device its profile, a key its role. */
  update(identity: Identity): void {
    const known = this.#byId.get(identity.id);
    if (known === undefined) return;
    this.#byId.set(identity.id, { account: known.account, identity });
    known.account.limit(this.#limitsOf(identity));
  }

  /** Forgets a user name that is no longer registered. */
  forget(id: string): void {
    this.#byId.delete(id);
  }

  all(): Account[] {
    return [...this.#byId.values()].map(({ account }) => account);
  }

  #limitsOf(identity: Identity): SendLimits {
    const { device, profiles } = this.#limits;
    if (identity.kind === 'device') return profiles[identity.profile] ?? device;
    if (identity.key.role !== 'network-server') return device;
    return {
      messagesPerSecond: device.messagesPerSecond * NETWORK_SERVER_FACTOR,
      bytesPerSecond: device.bytesPerSecond * NETWORK_SERVER_FACTOR,
    };
  }
}
