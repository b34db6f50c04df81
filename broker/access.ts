import type { KeyRole, MqttReason } from '../domain/index.ts';
import type { Identity } from '../registry/index.ts';

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
>;

const DEVICE_PUBLISHES = new Set(['readings', 'senml', 'senml-cbor', 'sensor-community']);
/** Uplinks of ChirpStack and of The Things Stack. */
const UPLINKS = /^(application\/[^/]+\/device\/[^/]+\/event|v3\/[^/]+\/devices\/[^/]+)\/up$/;
/** All topics of network servers: also joins, acknowledgements, states of devices and gateways. */
const NETWORK_SERVER_TOPICS = /^(application|v3)\//;
const DEVICE_SUBSCRIBES = new Set(['rejections', 'status']);

/** Returns why this identity may not publish to this topic; null where it may (least privilege, promise 7). */
export function refusePublish(identity: Identity, topic: string): TopicRefusal | null {
  if (topic.startsWith('$')) return 'reserved-topic';
  if (identity.kind === 'key') return refuseKeyPublish(identity.key.role, topic);
  const [root, device, leaf, more] = topic.split('/');
  if (root !== 'devices' || leaf === undefined || more !== undefined) return 'unknown-topic';
  if (device !== identity.id) return 'not-your-device';
  return DEVICE_PUBLISHES.has(leaf) ? null : 'unknown-topic';
}

function refuseKeyPublish(role: KeyRole, topic: string): TopicRefusal | null {
  if (role !== 'network-server') return 'keys-do-not-publish';
  return UPLINKS.test(topic) ? null : 'unknown-topic';
}

/**
 * Returns whether a refused message is acknowledged and dropped instead. A network server publishes all its events
 * over one connection. MQTT 3.1.1 can refuse a publish only by closing the connection, which would also end the
 * uplinks.
 */
export function dropsPublish(identity: Identity, topic: string): boolean {
  return identity.kind === 'key' && identity.key.role === 'network-server' && NETWORK_SERVER_TOPICS.test(topic);
}

/** Returns why this identity may not subscribe to this filter; null where it may. */
export function refuseSubscribe(identity: Identity, filter: string): TopicRefusal | null {
  const levels = filter.split('/');
  const [root] = levels;
  if (root === undefined || root.startsWith('$')) return 'reserved-topic';
  if (identity.kind === 'device') return refuseDeviceSubscribe(identity.id, levels);
  if (identity.key.role === 'network-server') return 'network-servers-do-not-subscribe';
  if (identity.key.role === 'citizen-app') return 'citizen-apps-do-not-subscribe';
  if (identity.key.role === 'admin') return null;
  if (root === 'live') return null;
  if (root === 'devices') return levels[2] === 'status' ? null : 'unknown-topic';
  const { department } = identity.key;
  if (root === 'events' && levels[1] === 'alerts') return null;
  if (root === 'events') return refuseDepartment(department, levels[1] === 'tickets' ? levels[2] : '#');
  if (root === 'tickets') return refuseDepartment(department, levels[1]);
  return department === null && root === '#' ? null : 'unknown-topic';
}

function refuseDeviceSubscribe(id: string, levels: readonly string[]): TopicRefusal | null {
  if (levels[0] !== 'devices' || levels.length !== 3) return 'unknown-topic';
  if (levels[1] !== id) return 'not-your-device';
  return DEVICE_SUBSCRIBES.has(levels[2]!) ? null : 'unknown-topic';
}

function refuseDepartment(own: string | null, asked: string | undefined): TopicRefusal | null {
  return own === null || own === asked ? null : 'not-your-department';
}
