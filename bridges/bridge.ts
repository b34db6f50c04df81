import type { IPublishPacket, MqttClient } from 'mqtt';
import { z } from 'zod';
import { type Carried, type Carrier, matchesFilter } from '../broker/index.ts';
import {
  type BridgeSubscription,
  type CityBridge,
  type Clock,
  isoOf,
  LamppostError,
  SECOND_MS,
  type Timers,
} from '../domain/index.ts';
import { type DownlinkQueue, Downlinks } from './downlinks.ts';
import { acknowledge, type Taken, Waiting } from './waiting.ts';

/** The state of one bridge. */
export const BridgeStatusSchema = z
  .object({
    id: z.string(),
    url: z.string(),
    key: z.string().describe('The key in whose name its messages are admitted'),
    state: z.enum(['connecting', 'connected', 'waiting']).describe('`waiting`: not connected, until the next attempt'),
    since: z.iso.datetime().describe('When it came into this state'),
    received: z.int().describe('Messages that the other broker sent since the start of this server'),
    acknowledged: z.int().describe('Those that are on disk'),
    refused: z.int().describe('Those that were acknowledged and dropped: their topic is not one of the key'),
    commands: z.int().describe('Commands to devices that the other broker has acknowledged'),
    pending: z.int().describe('Those that wait for their commit'),
    lagSeconds: z.number().describe('How long the oldest of these has waited'),
    lastMessageAt: z.iso.datetime().nullable(),
    lastError: z.object({ at: z.iso.datetime(), message: z.string() }).nullable(),
  })
  .meta({ id: 'Bridge', description: 'A connection to another broker, from which messages are taken' });
export type BridgeStatus = z.infer<typeof BridgeStatusSchema>;

/** What a bridge is made with. */
export interface BridgeParts {
  readonly options: CityBridge;
  /** Opens a connection, with its secrets as they are now. Throws where one is missing. */
  readonly connect: () => MqttClient;
  /** Admits messages, in their order, in the name of the key. */
  readonly carry: Carrier;
  readonly maxMessage: number;
  /** Commands for the network server behind the other broker. */
  readonly downlinks: DownlinkQueue;
  readonly clock: Clock;
  readonly timers: Timers;
}

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;
/** What may come of a packet that is not whole, beyond the largest message. */
const SLACK_BYTES = 1024 * 1024;
const NOTHING = new Uint8Array();
/** What a broker kept and sends at each SUBSCRIBE is no new reading: it may be of last week. */
const STORED = 'it was stored';

/**
 * mqtt.js 5.16 sends PUBACK where the callback of `handleMessage` has no error, and reads the next packet in either
 * case: with this one it is left to us, and messages need not wait for each other's commits.
 */
const LATER = new Error('acknowledged after the commit');

/**
 * One connection to another broker. A message of QoS 1 is acknowledged to it once it is on disk here, or was refused
 * for good. What it cannot take yet (disk, limits, overload) it keeps in order and tries again; meanwhile it reads no
 * more than 4 MiB. Where a connection ends, what was not acknowledged comes again.
 */
export class Bridge {
  readonly #parts: BridgeParts;
  readonly #counts = { received: 0, acknowledged: 0, refused: 0 };
  readonly #waiting = new Waiting();
  readonly #downlinks: Downlinks | null;
  #client: MqttClient | null = null;
  #state: BridgeStatus['state'] = 'waiting';
  #sinceMs: number;
  #attempts = 0;
  #lastMessageMs: number | null = null;
  #lastError: { readonly atMs: number; readonly message: string } | null = null;
  readonly #cancels = { open: () => {}, settle: () => {} };
  #stopped = false;
  #busy = false;

  constructor(parts: BridgeParts) {
    this.#parts = parts;
    this.#sinceMs = parts.clock.now();
    const { options, downlinks } = parts;
    this.#downlinks = options.commands ? new Downlinks(downlinks, options, (why) => this.#note(why)) : null;
  }

  /** There may be new commands. */
  wake(): void {
    this.#downlinks?.wake();
  }

  start(): void {
    this.#open();
  }

  /** Ends the connection. What was not acknowledged stays with the other broker. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#cancels.open();
    this.#cancels.settle();
    this.#end();
  }

  status(): BridgeStatus {
    const { options, clock } = this.#parts;
    const { oldest, length } = this.#waiting;
    return {
      id: options.id,
      url: options.url,
      key: options.key,
      state: this.#state,
      since: isoOf(this.#sinceMs),
      ...this.#counts,
      commands: this.#downlinks?.sent ?? 0,
      pending: length,
      lagSeconds: oldest === undefined ? 0 : Math.max(0, (clock.now() - oldest.atMs) / SECOND_MS),
      lastMessageAt: this.#lastMessageMs === null ? null : isoOf(this.#lastMessageMs),
      lastError:
        this.#lastError === null ? null : { at: isoOf(this.#lastError.atMs), message: this.#lastError.message },
    };
  }

  #open(): void {
    this.#enter('connecting');
    try {
      const client = this.#parts.connect();
      this.#client = client;
      this.#listen(client);
    } catch (error) {
      this.#lost((error as Error).message);
    }
  }

  #listen(client: MqttClient): void {
    const isMine = () => this.#client === client;
    client.handleMessage = (packet, callback) => this.#received(client, packet, callback);
    client.on('connect', () => isMine() && this.#connected(client));
    client.on('error', (error) => isMine() && this.#lost(error.message));
    client.on('close', () => isMine() && this.#lost('the other broker ended the connection'));
    let unread = 0;
    client.on('packetreceive', () => {
      unread = 0;
    });
    client.stream.on('data', ({ length }: Buffer) => {
      unread += length;
      if (unread > this.#parts.maxMessage + SLACK_BYTES && isMine()) this.#lost('a packet is too large');
    });
  }

  #connected(client: MqttClient): void {
    const filters = this.#parts.options.subscribe.map(
      ({ filter, qos, retained }) => [filter, { qos, rh: retained ? 0 : 2 }] as const,
    );
    client.subscribe(Object.fromEntries(filters), (error, granted) => {
      if (this.#client !== client) return;
      if (error !== null) return this.#lost(`it refused the subscriptions: ${error.message}`);
      const refused = granted?.find(({ qos }) => qos > 2);
      if (refused !== undefined) return this.#lost(`it refused the subscription to ${refused.topic}`);
      this.#attempts = 0;
      this.#enter('connected');
      this.#downlinks?.connected(client);
    });
  }

  #enter(state: BridgeStatus['state']): void {
    this.#state = state;
    this.#sinceMs = this.#parts.clock.now();
  }

  #note(message: string): void {
    this.#lastError = { atMs: this.#parts.clock.now(), message: message.slice(0, 500) };
  }

  /** The connection is over; the next attempt comes later each time. */
  #lost(why: string): void {
    this.#end();
    if (this.#stopped) return;
    this.#note(why);
    this.#enter('waiting');
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#attempts++, 6));
    this.#after('open', longest * (0.5 + Math.random() / 2), () => this.#open());
  }

  #end(): void {
    const client = this.#client;
    this.#client = null;
    this.#downlinks?.connected(null);
    client?.end(true);
    // What is not on its way to the disk comes again over the next connection.
    if (!this.#busy) this.#waiting.drop();
    this.#waiting.readOn();
  }

  #after(what: 'open' | 'settle', ms: number, act: () => void): void {
    this.#cancels[what] = this.#parts.timers.after(ms, act);
  }

  #received(
    client: MqttClient,
    { topic, payload, qos, messageId, retain }: IPublishPacket,
    next: (error?: Error) => void,
  ): void {
    const { clock, maxMessage } = this.#parts;
    if (this.#client !== client) {
      next(LATER);
      return;
    }
    const of = this.#subscriptionOf(topic);
    const isStored = retain && of?.retained !== true;
    if (!isStored) this.#counts.received++;
    this.#lastMessageMs = clock.now();
    const tooLarge = payload.length > maxMessage ? 'it is too large' : null;
    const refused = isStored ? STORED : of === undefined ? 'no subscription is of it' : tooLarge;
    // A copy: the packet is a view of everything that was read with it.
    const own = refused === null ? new Uint8Array(payload as Buffer) : NOTHING;
    const id = qos === 0 ? null : messageId!;
    const atMs = this.#lastMessageMs;
    const taken = { client, messageId: id, from: topic, topic: topicBy(of, topic), payload: own, atMs, refused };
    this.#waiting.add(taken, () => next(id === null ? undefined : LATER));
    void this.#settle();
  }

  #subscriptionOf(topic: string): BridgeSubscription | undefined {
    const wanted = (filter: string) => filter.replace(/^\$share\/[^/]+\//, '');
    return this.#parts.options.subscribe.find(({ filter }) => matchesFilter(wanted(filter), topic));
  }

  /** Passes on what waits, one batch after the other: the next one collects while a commit is written. */
  async #settle(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    // What is read at once is one batch.
    await new Promise((resolve) => setImmediate(resolve));
    let waitMs = 0;
    while (this.#waiting.length > 0 && waitMs === 0 && !this.#stopped) waitMs = await this.#settleBatch();
    this.#busy = false;
    if (this.#stopped || this.#client === null) this.#waiting.drop();
    else if (waitMs > 0) {
      this.#busy = true;
      this.#after('settle', waitMs, () => {
        this.#busy = false;
        void this.#settle();
      });
    }
  }

  /** Returns after how many ms to try again what was not taken; 0: at once. */
  async #settleBatch(): Promise<number> {
    const batch = this.#waiting.batch();
    const { settled, fault } = await this.#carry(batch.filter(({ refused }) => refused === null));
    const outcomes = settled.values();
    let count = 0;
    for (const { from, refused } of batch) {
      const outcome = refused === null ? outcomes.next() : { done: false, value: refused };
      // Acknowledgements are in the order of the messages (MQTT 3.1.1 §4.6).
      if (outcome.done) break;
      count++;
      this.#count(from, outcome.value ?? null);
    }
    acknowledge(batch.slice(0, count), this.#client);
    this.#waiting.drop(count);
    if (fault === null) return 0;
    this.#note(fault.message);
    return Math.max(1, fault.retryAfterMs);
  }

  async #carry(batch: readonly Taken[]): Promise<Carried> {
    const messages = batch.map(({ topic, payload }) => ({ topic, payload }));
    try {
      if (messages.length > 0) return await this.#parts.carry(this.#parts.options.key, messages);
      return { settled: [], fault: null };
    } catch (error) {
      return { settled: [], fault: { message: (error as Error).message, retryAfterMs: retryAfter(error) } };
    }
  }

  #count(topic: string, why: string | null): void {
    if (why === STORED) return;
    if (why === null) this.#counts.acknowledged++;
    else {
      this.#counts.refused++;
      this.#note(`${topic}: ${why}`);
    }
  }
}

/** Returns the topic that a message gets here. */
function topicBy(of: BridgeSubscription | undefined, topic: string): string {
  if (of === undefined) return topic;
  if (of.format !== null) return `http/${of.format}`;
  return of.add + (topic.startsWith(of.remove) ? topic.slice(of.remove.length) : topic);
}

function retryAfter(error: unknown): number {
  const { retryAfterMs = 0 } = error instanceof LamppostError ? error : {};
  return Math.max(FIRST_RETRY_MS, retryAfterMs);
}
