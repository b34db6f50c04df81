import { generate, type IPublishPacket, type Packet } from 'mqtt-packet';
import type { MqttReason } from '../../domain/index.ts';
import type { TopicRefusal } from '../access.ts';
import { type FiveLimits, type Incoming, MOST_ALIASES, RECEIVE_MAXIMUM, type Terms } from './incoming.ts';
import { filterCode, loginCode, publishCode, whyProperties } from './reasons.ts';

/** What the translation of the server's packets asks for. */
export interface OutgoingHooks {
  /** Why the login was refused; null where it was not. */
  loginRefusal(): MqttReason | null;
  /** Ends a message that the client does not get: it is too large for it, or has expired. */
  discard(messageId: number): void;
  /** Returns how long a message is worth sending, s; null: always. */
  secondsLeft(topic: string, payload: string | Buffer): number | null;
  /** Whether the client may have shared subscriptions. */
  mayShare(): boolean;
  /** Ends a message of QoS 2 that was refused: no PUBREL comes. */
  forget(messageId: number): void;
}

/** A message to the client, and the shared subscription that it is for. */
interface Outgoing {
  readonly packet: IPublishPacket;
  readonly share: string | null;
}

const FROM_REFUSAL = 0x80;
const DEFAULT_RECEIVE_MAXIMUM = 65_535;
/** Topics whose messages Lamppost publishes with RETAIN. */
const RETAINED = /^(tickets\/|devices\/[^/]+\/(status|desired)$)/;

/** Returns the content type of what Lamppost publishes; CloudEvents' MQTT binding §3.2. */
function contentTypeOf(topic: string): string {
  if (topic.startsWith('events/')) return 'application/cloudevents+json; charset=utf-8';
  return topic.endsWith('/status') ? 'text/plain' : 'application/json';
}

/** Translates packets for a client from MQTT 3.1.1, as Aedes and the sessions write them, to 5. */
export class Outgoing5 {
  /** Why messages and filters of the client were refused. */
  readonly refusedMessages = new Map<number, TopicRefusal>();
  readonly refusedFilters = new Map<string, MqttReason>();
  /** Bytes of messages that wait for an acknowledgement of the client. */
  waitingBytes = 0;
  /** The shared subscription that messages are for while they are written; null: the client's others. */
  share: string | null = null;
  readonly #terms: Terms;
  readonly #incoming: Incoming;
  readonly #limits: FiveLimits;
  readonly #hooks: OutgoingHooks;
  readonly #open = new Set<number>();
  readonly #waiting: Outgoing[] = [];

  constructor(terms: Terms, incoming: Incoming, limits: FiveLimits, hooks: OutgoingHooks) {
    this.#terms = terms;
    this.#incoming = incoming;
    this.#limits = limits;
    this.#hooks = hooks;
  }

  /** How many unacknowledged messages the client takes. */
  get receiveMaximum(): number {
    return this.#terms.connect.properties.receiveMaximum ?? DEFAULT_RECEIVE_MAXIMUM;
  }

  /** Returns the packets that the client gets for one of the server. */
  translate(packet: Packet): Buffer[] {
    switch (packet.cmd) {
      case 'connack':
        return this.#bytes(this.#connack(packet.returnCode ?? 0, packet.sessionPresent));
      case 'publish':
        return this.#publish(packet);
      case 'puback':
      case 'pubrec':
        return this.#bytes(this.#acknowledgement(packet.cmd, packet.messageId!));
      case 'pubcomp':
        this.#incoming.open.delete(packet.messageId!);
        return this.#bytes({ ...packet, reasonCode: 0 });
      case 'suback':
        return this.#bytes(this.#suback(packet.messageId!, packet.granted as number[]));
      case 'unsuback':
        return this.#bytes(this.#unsuback(packet.messageId!));
      default:
        return this.#bytes(packet);
    }
  }

  /** A message was acknowledged by the client: returns those that waited for it (§4.9). */
  acknowledged(messageId: number): Buffer[] {
    this.#open.delete(messageId);
    const next: Buffer[] = [];
    while (this.#waiting.length > 0 && !this.#isFull()) {
      const one = this.#waiting.shift()!;
      this.waitingBytes -= one.packet.payload.length;
      next.push(...this.#send(one));
    }
    return next;
  }

  #connack(returnCode: number, sessionPresent: boolean): Packet {
    const { connect, clientId, keepalive, expiry } = this.#terms;
    if (returnCode !== 0) {
      const why = this.#hooks.loginRefusal() ?? 'wrong-credentials';
      return { cmd: 'connack', reasonCode: loginCode(why), sessionPresent: false, properties: whyProperties(why) };
    }
    const asked = connect.properties.sessionExpiryInterval ?? 0;
    const properties = {
      ...(expiry === asked ? {} : { sessionExpiryInterval: expiry }),
      receiveMaximum: RECEIVE_MAXIMUM,
      maximumPacketSize: this.#limits.maxPacket,
      ...(clientId === connect.clientId ? {} : { assignedClientIdentifier: clientId }),
      topicAliasMaximum: MOST_ALIASES,
      sharedSubscriptionAvailable: this.#hooks.mayShare(),
      ...(keepalive === connect.keepalive ? {} : { serverKeepAlive: keepalive }),
    };
    return { cmd: 'connack', reasonCode: 0, sessionPresent, properties };
  }

  #acknowledgement(cmd: 'puback' | 'pubrec', messageId: number): Packet {
    const why = this.refusedMessages.get(messageId);
    this.refusedMessages.delete(messageId);
    if (cmd === 'puback' || why !== undefined) this.#incoming.open.delete(messageId);
    if (why === undefined) return { cmd, messageId, reasonCode: 0 };
    if (cmd === 'pubrec') this.#hooks.forget(messageId);
    return { cmd, messageId, reasonCode: publishCode(why), properties: this.#problem(why) };
  }

  /** Aedes has one code for filters that are the same. */
  #suback(messageId: number, granted: readonly number[]): Packet {
    const filters = this.#incoming.subscribes.get(messageId) ?? [];
    this.#incoming.subscribes.delete(messageId);
    const byFilter = new Map([...new Set(filters)].map((filter, i) => [filter, granted[i] ?? FROM_REFUSAL]));
    const reasons = new Set<MqttReason>();
    const codes = filters.map((filter) => {
      const code = byFilter.get(filter)!;
      if (code < FROM_REFUSAL) return code;
      const why = this.refusedFilters.get(filter);
      if (why !== undefined) reasons.add(why);
      this.#incoming.filters.delete(filter);
      return filterCode(why);
    });
    for (const filter of filters) this.refusedFilters.delete(filter);
    const [first, ...others] = reasons;
    const properties = first === undefined ? {} : this.#problem(first, others);
    return { cmd: 'suback', messageId, granted: codes, properties };
  }

  #unsuback(messageId: number): Packet {
    const granted = [...(this.#incoming.unsubscribes.get(messageId) ?? [0])];
    this.#incoming.unsubscribes.delete(messageId);
    return { cmd: 'unsuback', messageId, granted };
  }

  /** Why something was refused, where the client wants to know (§3.1.2.11.7). */
  #problem(why: MqttReason, others: readonly MqttReason[] = []): object {
    if (this.#terms.connect.properties.requestProblemInformation === 0) return {};
    const { reasonString, userProperties } = whyProperties(why);
    return { reasonString, userProperties: { reason: others.length === 0 ? userProperties.reason : [why, ...others] } };
  }

  #publish(packet: IPublishPacket): Buffer[] {
    const one = { packet, share: this.share };
    if (packet.qos === 0 || !this.#isFull()) return this.#send(one);
    this.#waiting.push(one);
    this.waitingBytes += packet.payload.length;
    return [];
  }

  #isFull(): boolean {
    return this.#open.size >= this.receiveMaximum;
  }

  #send(one: Outgoing): Buffer[] {
    const { qos, messageId, topic, payload } = one.packet;
    const left = this.#hooks.secondsLeft(topic, payload);
    // §3.3.2.3.3: what has expired is not sent
    const bytes = left !== null && left <= 0 ? [] : this.#bytes(this.#withProperties(one, left));
    if (qos > 0 && bytes.length > 0) this.#open.add(messageId!);
    // §3.1.2.11.4: what is too large for the client counts as sent
    else if (qos > 0) setImmediate(() => this.#hooks.discard(messageId!));
    return bytes;
  }

  /** A message of a shared subscription is for that alone (§4.8.2). `secondsLeft`: null where it does not expire. */
  #withProperties({ packet, share }: Outgoing, secondsLeft: number | null): Packet {
    const { topic, payload } = packet;
    const { filters } = this.#incoming;
    const matching = share === null ? filters.matching(topic) : [filters.get(share)].filter((one) => one !== undefined);
    const identifiers = matching.flatMap(({ identifier }) => identifier ?? []);
    const asPublished = RETAINED.test(topic) && matching.some((options) => options.asPublished);
    const properties = {
      ...(payload.length === 0 ? {} : { payloadFormatIndicator: true, contentType: contentTypeOf(topic) }),
      ...(secondsLeft === null ? {} : { messageExpiryInterval: secondsLeft }),
      ...(identifiers.length === 0 ? {} : { subscriptionIdentifier: identifiers }),
    };
    return { ...packet, retain: packet.retain || asPublished, properties };
  }

  /** Returns nothing where the packet is too large for the client. */
  #bytes(packet: Packet): Buffer[] {
    const most = this.#terms.connect.properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
    const bytes = generate(packet, VERSION);
    if (bytes.length <= most) return [bytes];
    // §3.2.2.3.9: the reason is left out where it makes the packet too large
    const short = packet.cmd === 'publish' ? bytes : generate({ ...packet, properties: {} } as Packet, VERSION);
    return short.length <= most ? [short] : [];
  }
}

export const VERSION = { protocolVersion: 5 };
