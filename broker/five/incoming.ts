import { generate, type Packet } from 'mqtt-packet';
import { FilterTree } from '../sessions/index.ts';
import {
  type ClientPacket,
  type Connect,
  type Publish,
  type Subscribe,
  type Unsubscribe,
  Violation,
} from '../wire/index.ts';

/** The largest packet that the server takes, bytes, and how long it keeps a session, s. */
export interface FiveLimits {
  readonly maxPacket: number;
  readonly sessionSeconds: number;
}

/** What a client of MQTT 5 asked for in CONNECT, and got. */
export interface Terms {
  readonly connect: Connect;
  /** The client id; one of the server where the client sent none (§3.1.3.1). */
  readonly clientId: string;
  /** The keep alive, s. */
  readonly keepalive: number;
  /** How long its session is kept after the connection, s; DISCONNECT may change it. */
  expiry: number;
}

/** Options of a subscription that MQTT 3.1.1 does not have. */
export interface FilterOptions {
  readonly identifier: number | null;
  readonly asPublished: boolean;
  /** Whether retained messages are sent for it. */
  readonly sendsRetained: boolean;
}

/** The filters of a client with their options. Each message to it asks for them, and it may have a thousand. */
class Filters {
  readonly #options = new Map<string, FilterOptions>();
  readonly #tree = new FilterTree();

  get(filter: string): FilterOptions | undefined {
    return this.#options.get(filter);
  }

  set(filter: string, options: FilterOptions): void {
    this.#options.set(filter, options);
    this.#tree.add('', { topic: filter, qos: 0 });
  }

  delete(filter: string): void {
    if (this.#options.delete(filter)) this.#tree.remove('', filter);
  }

  /** Returns the options of all filters that match a topic. */
  matching(topic: string): FilterOptions[] {
    return this.#tree.match(topic).map((found) => this.#options.get(found.topic)!);
  }
}

export const RECEIVE_MAXIMUM = 1_000;
export const MOST_ALIASES = 16;
const RECEIVE_MAXIMUM_EXCEEDED = 0x93;
const TOPIC_ALIAS_INVALID = 0x94;
const PROTOCOL_ERROR = 0x82;

/** The last level of a device's topic, by content type. */
const BY_CONTENT_TYPE = new Map([
  ['application/json', 'readings'],
  ['application/senml+json', 'senml'],
  ['application/senml+cbor', 'senml-cbor'],
]);
const READINGS = /^(devices\/[^/]+\/)readings$/;

/** Returns the topic of a message: on `readings` its content type chooses the format. */
function topicOf(topic: string, contentType: string | undefined): string {
  if (contentType === undefined) return topic;
  const leaf = BY_CONTENT_TYPE.get(contentType.split(';', 1)[0]!.trim().toLowerCase());
  return leaf === undefined ? topic : topic.replace(READINGS, `$1${leaf}`);
}

/** Translates packets of a client from MQTT 5 to 3.1.1, for Aedes. */
export class Incoming {
  /** Messages of QoS 1 and 2 that have no last acknowledgement. */
  readonly open = new Set<number>();
  /** Filters of each SUBSCRIBE, and results of each UNSUBSCRIBE, until they are acknowledged. */
  readonly subscribes = new Map<number, readonly string[]>();
  readonly unsubscribes = new Map<number, readonly number[]>();
  readonly filters = new Filters();
  readonly #terms: Terms;
  readonly #limits: FiveLimits;
  readonly #isSubscribed: (filter: string) => boolean;
  readonly #aliases = new Map<number, string>();

  constructor(terms: Terms, limits: FiveLimits, isSubscribed: (filter: string) => boolean) {
    this.#terms = terms;
    this.#limits = limits;
    this.#isSubscribed = isSubscribed;
  }

  /** Returns the packet for Aedes. Throws `Violation`. */
  translate(packet: Exclude<ClientPacket, { cmd: 'auth' }>): Buffer {
    switch (packet.cmd) {
      case 'connect':
        return this.#connect(packet);
      case 'publish':
        return this.#publish(packet);
      case 'subscribe':
        return this.#subscribe(packet);
      case 'unsubscribe':
        return this.#unsubscribe(packet);
      case 'disconnect':
        this.#disconnect(packet.properties.sessionExpiryInterval);
        return plain({ cmd: 'disconnect' });
      default:
        return plain(packet);
    }
  }

  /** §3.1.2.4: without Clean Start a session goes on, and one without an expiry ends with the connection. */
  #connect({ clean, will, username, password }: Connect): Buffer {
    const { clientId, keepalive, expiry } = this.#terms;
    // Aedes knows no password without a user name; nobody has the empty one.
    const login = { username: username ?? '', ...(password === null ? {} : { password }) };
    return plain({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: clean && expiry === 0,
      clientId,
      keepalive,
      ...(username === null && password === null ? {} : login),
      ...(will === null ? {} : { will: { ...will, topic: topicOf(will.topic, will.properties.contentType) } }),
    });
  }

  #publish(packet: Publish): Buffer {
    const { qos, messageId, retain, dup, payload, properties } = packet;
    const topic = topicOf(this.#resolved(packet), properties.contentType);
    if (qos > 0) this.open.add(messageId);
    // §3.3.4
    if (this.open.size > RECEIVE_MAXIMUM)
      throw new Violation(`more than ${RECEIVE_MAXIMUM} messages are not acknowledged`, RECEIVE_MAXIMUM_EXCEEDED);
    return plain({ cmd: 'publish', topic, payload, qos, retain, dup, ...(qos > 0 ? { messageId } : {}) });
  }

  #subscribe({ messageId, subscriptions, properties }: Subscribe): Buffer {
    const identifier = properties.subscriptionIdentifier ?? null;
    for (const { topic, asPublished, retainHandling } of subscriptions) {
      const sendsRetained = retainHandling === 0 || (retainHandling === 1 && !this.#isSubscribed(topic));
      this.filters.set(topic, { identifier, asPublished, sendsRetained });
    }
    const wanted = subscriptions.map(({ topic, qos }) => ({ topic, qos }));
    this.subscribes.set(
      messageId,
      wanted.map(({ topic }) => topic),
    );
    return plain({ cmd: 'subscribe', messageId, subscriptions: wanted });
  }

  #unsubscribe({ messageId, unsubscriptions }: Unsubscribe): Buffer {
    const codes = unsubscriptions.map((filter) => (this.#isSubscribed(filter) ? 0 : NO_SUBSCRIPTION));
    this.unsubscribes.set(messageId, codes);
    for (const filter of unsubscriptions) this.filters.delete(filter);
    return plain({ cmd: 'unsubscribe', messageId, unsubscriptions: [...unsubscriptions] });
  }

  /** §3.3.2.3.4. */
  #resolved({ topic, properties: { topicAlias } }: Publish): string {
    if (topicAlias === undefined) return topic;
    if (topicAlias > MOST_ALIASES) throw new Violation(`topic alias above ${MOST_ALIASES}`, TOPIC_ALIAS_INVALID);
    if (topic !== '') this.#aliases.set(topicAlias, topic);
    const known = this.#aliases.get(topicAlias);
    if (known === undefined) throw new Violation(`topic alias ${topicAlias} was not set`, PROTOCOL_ERROR);
    return known;
  }

  /** §3.14.2.2.2: a session that is not kept cannot become one that is. */
  #disconnect(expiry: number | undefined): void {
    if (expiry === undefined) return;
    if (expiry > 0 && (this.#terms.connect.properties.sessionExpiryInterval ?? 0) === 0)
      throw new Violation('DISCONNECT keeps a session that CONNECT did not', PROTOCOL_ERROR);
    this.#terms.expiry = Math.min(expiry, this.#limits.sessionSeconds);
  }
}

const NO_SUBSCRIPTION = 0x11;

const plain = (packet: object) => generate(packet as Packet);
