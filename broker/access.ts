import { patternOf, resolveParts, TopicPatterns } from '../city-model/index.ts';
import {
  type Grant,
  type Key,
  type MqttReason,
  mayAny,
  type Permission,
  type Reach,
  reaches,
  reachOf,
  type Sharing,
} from '../domain/index.ts';
import type { Identity } from '../registry/index.ts';
import { isDownlinkFilter } from './commands.ts';
import { isShared, shareOf } from './share.ts';

/** Why a topic is refused. */
export type TopicRefusal = Extract<
  MqttReason,
  | 'reserved-topic'
  | 'not-your-device'
  | 'unknown-topic'
  | 'keys-do-not-publish'
  | 'network-servers-do-not-subscribe'
  | 'citizen-apps-do-not-subscribe'
  | 'not-your-department'
  | 'not-your-right'
  | 'no-shared-subscriptions'
  | 'malformed-share'
>;

const DEVICE_PUBLISHES = new Set(['readings', 'senml', 'senml-cbor', 'sensor-community', 'results', 'reported']);
/** `devices/{gateway}/children/{device}/readings`: what a gateway publishes for a device that it carries. */
const CHILDREN = 'children';
/** Uplinks of ChirpStack and of The Things Stack, and what became of downlinks. */
const UPLINKS =
  /^(application\/[^/]+\/device\/[^/]+\/event\/(up|ack)|v3\/[^/]+\/devices\/[^/]+\/(up|down\/(ack|nack|failed)))$/;
/** All topics of network servers: also joins, acknowledgements, states of devices and gateways. */
const NETWORK_SERVER_TOPICS = /^(application|v3)\//;
const DEVICE_SUBSCRIBES = new Set(['rejections', 'status', 'commands', 'desired']);

/** What the city says of the departments: what it shares, and whose the devices of a profile are. */
export interface Departments {
  readonly shared: Sharing;
  /** By profile; a profile that is not listed belongs to the city. */
  readonly profiles: ReadonlyMap<string, readonly string[]>;
}

/** Returns the profile of a registered device; null where there is none of this id. */
export type ProfileOf = (device: string) => string | null;

/** The formats that the city declares: their names, and the patterns of their topics with what names the device. */
export interface DeclaredNames {
  readonly names: readonly string[];
  readonly topics: readonly { readonly topic: string; readonly device: string }[];
}

/** The same, compiled. */
export interface DeclaredTopics {
  readonly names: ReadonlySet<string>;
  readonly patterns: TopicPatterns<string>;
}

/** Compiles the topics of declared formats. */
export function declaredTopics({ names, topics }: DeclaredNames): DeclaredTopics {
  return {
    names: new Set(names),
    patterns: new TopicPatterns(topics.map(({ topic, device }) => patternOf(topic, device))),
  };
}

const NONE = declaredTopics({ names: [], topics: [] });

/**
 * Returns why this identity may not publish to this topic; null where it may (least privilege, promise 7). On the topic
 * of a declared format a device may publish where the topic names it, or no device at all: what names another one in
 * its payload is refused by those who read the log.
 */
export function refusePublish(identity: Identity, topic: string, declared = NONE): TopicRefusal | null {
  const found = declared.patterns.match(topic);
  if (topic.startsWith('$') && found === null) return 'reserved-topic';
  if (identity.kind === 'key')
    return refuseKeyPublish(identity.key, topic, found !== null || isPosted(topic, declared));
  if (found !== null) {
    const named = resolveParts(found.of, found.parts);
    // Whether the device is registered under the gateway is decided by those who read the log.
    if (named === '' || named === identity.id || found.parts.gateway === identity.id) return null;
    return 'not-your-device';
  }
  const levels = topic.split('/');
  const [root, device] = levels;
  const carried = levels[2] === CHILDREN && levels.length === 5 && levels[3] !== '';
  const leaf = carried ? levels[4] : levels[2];
  if (root !== 'devices' || leaf === undefined || (!carried && levels.length !== 3)) return 'unknown-topic';
  if (device !== identity.id) return 'not-your-device';
  return DEVICE_PUBLISHES.has(leaf) || declared.names.has(leaf) ? null : 'unknown-topic';
}

/** `http/{format}`: what a key posts in the name of devices. */
function isPosted(topic: string, { names }: DeclaredTopics): boolean {
  return topic.startsWith('http/') && names.has(topic.slice('http/'.length));
}

function refuseKeyPublish(key: Grant, topic: string, isDeclared: boolean): TopicRefusal | null {
  if (!mayAny([key], 'uplinks.publish')) return 'keys-do-not-publish';
  return isDeclared || UPLINKS.test(topic) ? null : 'unknown-topic';
}

/** Whether a message that did not come over MQTT is one that a key may have sent. */
export function isPostedByKeys(topic: string): boolean {
  return topic.startsWith('http/') || UPLINKS.test(topic);
}

/** Returns whether a refused message is no mistake: a network server publishes all its events over one connection. */
export function dropsPublish(identity: Identity, topic: string): boolean {
  return identity.kind === 'key' && mayAny([identity.key], 'uplinks.publish') && NETWORK_SERVER_TOPICS.test(topic);
}

/** The topic access of subscribers: what each may ask for depends on the city in force. */
export class Subscribers {
  readonly #profileOf: ProfileOf;
  readonly #isAlone: boolean;
  #departments: Departments;
  /** It is asked for every message to every subscriber. */
  #reaches = new WeakMap<Key, Partial<Record<Permission, Reach>>>();

  /** `isAlone`: whether the server has no other nodes; only then a group can be sure that one member gets a message. */
  constructor(profileOf: ProfileOf, departments: Departments, isAlone = true) {
    this.#profileOf = profileOf;
    this.#isAlone = isAlone;
    this.#departments = departments;
  }

  /** The city has changed. */
  apply(departments: Departments): void {
    this.#departments = departments;
    this.#reaches = new WeakMap();
  }

  /** Whether this identity may have shared subscriptions. */
  mayShare(identity: Identity): boolean {
    return this.#isAlone && identity.kind === 'key' && identity.key.role !== 'network-server';
  }

  /** Returns why this identity may not subscribe to this filter; null where it may. */
  refuse(identity: Identity, filter: string): TopicRefusal | null {
    const levels = filter.split('/');
    const [root] = levels;
    if (root === undefined || root.startsWith('$'))
      return isShared(filter) ? this.#refuseShare(identity, filter) : 'reserved-topic';
    if (identity.kind === 'device') return refuseDeviceSubscribe(identity.id, levels);
    // Which of them are for this network server is decided message by message.
    if (identity.key.role === 'network-server')
      return isDownlinkFilter(filter) ? null : 'network-servers-do-not-subscribe';
    if (identity.key.role === 'citizen-app') return 'citizen-apps-do-not-subscribe';
    return this.#refuseKey(identity.key, levels);
  }

  /** A member of a group needs the right to the filter. */
  #refuseShare(identity: Identity, filter: string): TopicRefusal | null {
    if (!this.mayShare(identity)) return 'no-shared-subscriptions';
    const share = shareOf(filter);
    if (share === null) return 'malformed-share';
    return isShared(share.filter) ? 'reserved-topic' : this.refuse(identity, share.filter);
  }

  #refuseKey(key: Key, levels: readonly string[]): TopicRefusal | null {
    const [root, first, second] = levels;
    if (root === 'live') return this.#refuseLive(this.#reach(key, 'readings.read'), levels);
    if (root === 'events' && first === 'alerts') return this.#refuseAlerts(this.#reach(key, 'events.read'));
    if (root === 'events') return refuseOf(this.#reach(key, 'events.read'), first === 'tickets' ? second : '#');
    if (root === 'tickets') return refuseOf(this.#reach(key, 'tickets.read'), first);
    if (root === 'devices' && second === 'status') return refuseOf(this.#reach(key, 'devices.read'), '#');
    // Each message is checked by its own topic once more.
    if (root === '#' && this.#reach(key, 'events.read') === 'city') return null;
    return this.#reach(key, 'devices.listen') === 'city' ? null : 'unknown-topic';
  }

  #reach(key: Key, permission: Permission): Reach {
    const known = this.#reaches.get(key) ?? {};
    if (known[permission] === undefined) {
      known[permission] = reachOf([key], permission, this.#departments.shared);
      this.#reaches.set(key, known);
    }
    return known[permission];
  }

  /** Where the readings are not shared, a key of a department names a device of its own. */
  #refuseLive(reach: Reach, [, , device]: readonly string[]): TopicRefusal | null {
    if (reach === 'city') return null;
    if (reach.length === 0) return 'not-your-right';
    const profile = device === undefined ? null : this.#profileOf(device);
    const owners = profile === null ? [] : (this.#departments.profiles.get(profile) ?? []);
    return owners.some((owner) => reaches(reach, owner)) ? null : 'not-your-department';
  }

  /** The topic of an alert does not say whose it is: where alerts are not shared, HTTP has those of a department. */
  #refuseAlerts(reach: Reach): TopicRefusal | null {
    if (reach.length === 0) return 'not-your-right';
    return reach === 'city' || this.#departments.shared.alerts ? null : 'not-your-department';
  }
}

function refuseDeviceSubscribe(id: string, levels: readonly string[]): TopicRefusal | null {
  if (levels[0] !== 'devices' || levels.length !== 3) return 'unknown-topic';
  if (levels[1] !== id) return 'not-your-device';
  return DEVICE_SUBSCRIBES.has(levels[2]!) ? null : 'unknown-topic';
}

/** A level that is a wildcard, or missing, is no department: only a key of the whole city may ask for it. */
function refuseOf(reach: Reach, level: string | undefined): TopicRefusal | null {
  if (reach.length === 0) return 'not-your-right';
  return reaches(reach, level ?? null) ? null : 'not-your-department';
}
