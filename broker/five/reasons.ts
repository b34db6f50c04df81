import { MQTT_REASONS, type MqttReason } from '../../domain/index.ts';
import type { TopicRefusal } from '../access.ts';
import type { LoginRefusal } from '../connection.ts';

/** Reason codes of MQTT 5 (§2.4). */
const NOT_AUTHORIZED = 0x87;
const QUOTA_EXCEEDED = 0x97;
const UNSPECIFIED = 0x80;
const FILTER_INVALID = 0x8f;
const TOPIC_INVALID = 0x90;
const NO_SHARED_SUBSCRIPTIONS = 0x9e;

const CONNACK: Readonly<Record<LoginRefusal, number>> = {
  'wrong-credentials': 0x86,
  'device-suspended': 0x8a,
  'nameless-session': 0x85,
  'client-id-of-another': 0x85,
  'too-many-connections': QUOTA_EXCEEDED,
};

const DISCONNECT: Partial<Record<MqttReason, number>> = {
  stopping: 0x8b,
  'taken-over': 0x8e,
  // Use another server.
  'cut-off': 0x9c,
  'keep-alive-timeout': 0x8d,
  'secret-ended': 0x98,
  'packet-too-large': 0x95,
  'malformed-length': 0x81,
  'protocol-error': 0x82,
  // Server busy: it may be stored when the client comes again.
  'not-stored': 0x89,
  'slow-reader': QUOTA_EXCEEDED,
};

/** Refusals that say something of the topic, not of the right to it. */
const OF_THE_TOPIC: readonly MqttReason[] = ['unknown-topic', 'reserved-topic', 'malformed-share'];
const OF_A_LIMIT: readonly MqttReason[] = [
  'too-many-filters',
  'too-many-groups',
  'too-many-sessions',
  'too-many-levels',
];

/** Returns the reason code of CONNACK. */
export function loginCode(why: MqttReason): number {
  return (CONNACK as Partial<Record<MqttReason, number>>)[why] ?? UNSPECIFIED;
}

/** Returns the reason code of DISCONNECT. */
export function endCode(why: MqttReason): number {
  return DISCONNECT[why] ?? UNSPECIFIED;
}

/** Returns the reason code of PUBACK and PUBREC. */
export function publishCode(why: TopicRefusal): number {
  return OF_THE_TOPIC.includes(why) ? TOPIC_INVALID : NOT_AUTHORIZED;
}

/** Returns the reason code of a filter in SUBACK. */
export function filterCode(why: MqttReason | undefined): number {
  if (why === 'no-shared-subscriptions') return NO_SHARED_SUBSCRIPTIONS;
  if (why === undefined) return UNSPECIFIED;
  if (OF_THE_TOPIC.includes(why)) return FILTER_INVALID;
  return OF_A_LIMIT.includes(why) ? QUOTA_EXCEEDED : NOT_AUTHORIZED;
}

/** Returns the properties that say why: a sentence for people, the reason itself for programs. */
export function whyProperties(why: MqttReason, detail: string = MQTT_REASONS[why]) {
  return { reasonString: detail, userProperties: { reason: why } };
}
