import type { Duplex } from 'node:stream';
import { generate, type Packet, parser } from 'mqtt-packet';
import type { MqttReason } from '../../domain/index.ts';
import type { TopicRefusal } from '../access.ts';
import { farewell } from '../farewell.ts';
import type { Subscription } from '../sessions/index.ts';
import { type ClientPacket, type Connect, Violation } from '../wire/index.ts';
import { type FiveLimits, Incoming, type Terms } from './incoming.ts';
import { Outgoing5, type OutgoingHooks, VERSION } from './outgoing.ts';
import { endCode, whyProperties } from './reasons.ts';

/** The connection behind the translation. */
export interface FiveHooks extends OutgoingHooks {
  isDevice(username: string): boolean;
  /** Returns a random client id. */
  newId(): string;
  isSubscribed(filter: string): boolean;
  /** Why a connection ends that the broker destroys. */
  whyEnds(error: Error | undefined): MqttReason;
}

/** The longest keep alive: a client that is gone without a word is `offline` after one and a half times that, s. */
const MOST_KEEPALIVE = 3_600;
const BAD_AUTHENTICATION_METHOD = 0x8c;
const PROTOCOL_ERROR = 0x82;
const EMPTY = Buffer.alloc(0);

/**
 * MQTT 5 on one connection: the client speaks it, Aedes behind it speaks 3.1.1. What the client sends is translated by
 * `read`; what is written to the socket, on its way out. Before the broker destroys the socket, the client gets the
 * reason.
 */
export class Five {
  /** Whether it has been sent why the connection ends: nothing more is read or written. */
  parting = false;
  readonly #socket: Duplex;
  readonly #hooks: FiveHooks;
  readonly #terms: Terms;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing5;
  readonly #write: (bytes: Buffer) => boolean;
  readonly #destroy: (error?: Error) => void;
  #why: MqttReason | null = null;
  #isConnected = false;
  #leaves = false;

  constructor(socket: Duplex, connect: Connect, hooks: FiveHooks, limits: FiveLimits) {
    this.#socket = socket;
    this.#hooks = hooks;
    this.#terms = termsOf(connect, hooks, limits);
    this.#incoming = new Incoming(this.#terms, limits, hooks.isSubscribed);
    this.#outgoing = new Outgoing5(this.#terms, this.#incoming, limits, hooks);
    this.#write = socket.write.bind(socket);
    this.#destroy = socket.destroy.bind(socket);
    this.#wrap();
  }

  /** How long its session is kept after the connection, s. */
  get expiry(): number {
    return this.#terms.expiry;
  }

  /** Whether its session begins anew and is kept afterwards, which 3.1.1 does not have (§3.1.2.4). */
  get startsFresh(): boolean {
    return this.#terms.connect.clean && this.#terms.expiry > 0;
  }

  /** How long its will waits for its return (§3.1.3.2.2), s: no longer than its session. */
  get willDelay(): number {
    return Math.min(this.#terms.connect.will?.properties.willDelayInterval ?? 0, this.#terms.expiry);
  }

  /** Whether another connection of the client has replaced this one, and goes on with its session. */
  get isReplaced(): boolean {
    return this.#why === 'taken-over';
  }

  /** Bytes of messages that wait until the client acknowledges others. */
  get waitingBytes(): number {
    return this.#outgoing.waitingBytes;
  }

  /** Returns the packet for Aedes; empty where there is none. Throws `Violation`. */
  read(packet: ClientPacket): Buffer {
    if (packet.cmd === 'connect' && packet.properties.authenticationMethod !== undefined)
      throw new Violation('there is no extended authentication', BAD_AUTHENTICATION_METHOD);
    if (packet.cmd === 'auth') throw new Violation('AUTH without an authentication method', PROTOCOL_ERROR);
    const translated = this.#incoming.translate(packet);
    if (packet.cmd === 'puback') this.#send(this.#outgoing.acknowledged(packet.messageId));
    if (packet.cmd !== 'disconnect') return translated;
    this.#leaves = true;
    if (packet.reasonCode === 0) return translated;
    // §3.1.2.5: only a normal end discards the will. What came before it is taken first.
    setImmediate(() => this.#destroy());
    return EMPTY;
  }

  /** Notes why a message was refused; called before its acknowledgement. */
  refused(messageId: number, why: TopicRefusal): void {
    if (messageId > 0) this.#outgoing.refusedMessages.set(messageId, why);
  }

  /** Notes why a filter was refused; called before SUBACK. */
  refusedFilter(filter: string, why: MqttReason): void {
    this.#outgoing.refusedFilters.set(filter, why);
  }

  /** Adds the options of a filter to its subscription, so that a kept session has them; reads them from an old one. */
  grant(subscription: Subscription): void {
    const { topic } = subscription;
    const asked = this.#incoming.filters.get(topic);
    if (asked === undefined) {
      const { identifier = null, asPublished = false } = subscription;
      this.#incoming.filters.set(topic, { identifier, asPublished, sendsRetained: false });
    } else {
      const { identifier, asPublished } = asked;
      Object.assign(subscription, identifier === null ? {} : { identifier }, asPublished ? { asPublished } : {});
    }
  }

  /** How many unacknowledged messages the client takes. */
  get receiveMaximum(): number {
    return this.#outgoing.receiveMaximum;
  }

  /** Calls `write`, which writes messages that are for this shared subscription. */
  shared(share: string, write: () => void): void {
    this.#outgoing.share = share;
    write();
    this.#outgoing.share = null;
  }

  /** Whether the client asked for the retained messages of a topic (§3.8.3.1, Retain Handling). */
  wantsRetained(topic: string): boolean {
    return this.#incoming.filters.matching(topic).some(({ sendsRetained }) => sendsRetained);
  }

  /** Notes why the broker will destroy the socket. */
  because(why: MqttReason): void {
    this.#why ??= why;
  }

  /** Ends the connection for a violation, before CONNACK with CONNACK (§4.13). */
  violated(why: MqttReason, detail: string, reasonCode: number): void {
    this.#part({ reasonCode, properties: whyProperties(why, detail) });
  }

  #wrap(): void {
    const behind = parser({ protocolVersion: 4 });
    behind.on('packet', (packet) => this.#send(this.#outgoing.translate(packet)));
    const isConnack = (packet: Packet) => packet.cmd === 'connack' && packet.returnCode === 0;
    behind.on('packet', (packet) => {
      if (isConnack(packet)) this.#isConnected = true;
    });
    this.#socket.write = (chunk: string | Uint8Array, encoding?: unknown) => {
      if (this.parting) return true;
      behind.parse(typeof chunk === 'string' ? Buffer.from(chunk, encoding as BufferEncoding) : (chunk as Buffer));
      return !this.#socket.writableNeedDrain;
    };
    this.#socket.destroy = (error?: Error) => {
      if (this.parting) return this.#socket;
      if (this.#leaves || !this.#isConnected || this.#socket.readableEnded) this.#destroy(error);
      else this.#end(this.#why ?? this.#hooks.whyEnds(error));
      return this.#socket;
    };
  }

  #end(why: MqttReason): void {
    this.#part({ reasonCode: endCode(why), properties: whyProperties(why) });
  }

  #part(reason: { readonly reasonCode: number; readonly properties: object }): void {
    const packet: object = this.#isConnected
      ? { cmd: 'disconnect', ...reason }
      : { cmd: 'connack', sessionPresent: false, ...reason };
    const bytes = generate(packet as Packet, VERSION);
    const most = this.#terms.connect.properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
    this.parting = true;
    if (bytes.length <= most) farewell(this.#socket, bytes, () => this.#destroy());
    else this.#destroy();
  }

  #send(packets: readonly Buffer[]): void {
    for (const bytes of packets) this.#write(bytes);
  }
}

function termsOf(connect: Connect, hooks: FiveHooks, { sessionSeconds }: FiveLimits): Terms {
  const { username, keepalive } = connect;
  // A device has its id as client id.
  const assigned = () => (username !== null && hooks.isDevice(username) ? username : hooks.newId());
  return {
    connect,
    clientId: connect.clientId === '' ? assigned() : connect.clientId,
    keepalive: keepalive === 0 ? MOST_KEEPALIVE : Math.min(keepalive, MOST_KEEPALIVE),
    expiry: Math.min(connect.properties.sessionExpiryInterval ?? 0, sessionSeconds),
  };
}

/** Returns the CONNACK of a CONNECT that cannot be read. */
export function refusingConnack(reasonCode: number, detail: string): Buffer {
  const properties = whyProperties('protocol-error', detail);
  return generate({ cmd: 'connack', reasonCode, sessionPresent: false, properties }, VERSION);
}
