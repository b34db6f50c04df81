import { z } from 'zod';
import type { CityProblem } from './city.ts';
import type { ShapeOf } from './schema.ts';

/** Why data was refused. Every refusal of data has one of these reasons. */
export const REASONS = {
  malformed: 'the payload is not well-formed in the format of its topic',
  'wrong-shape': 'the payload is well-formed, but its fields are not those of the format',
  'unknown-topic': 'no decoder is registered for this topic',
  'unknown-device': 'no device of this id is registered',
  'not-your-device': 'the sender may not publish for this device',
  'device-suspended': 'the device is suspended until somebody resumes it',
  'hardware-replaced': 'other hardware has the place of the device that sent it',
  'unknown-profile': 'the city folder does not describe the profile of this device',
  'unknown-metric': 'the profile of this device does not measure this metric',
  'unknown-unit': 'no conversion is known for the unit of the value',
  'wrong-unit': 'the unit of the value measures another quantity than the metric does',
  'not-decoded': 'the network server sent the raw frame only: no codec made fields of it',
  'codec-too-slow': 'the codec took too long on frames before this one, or on it: it is tried again later',
  'not-announced': 'an earlier message should have announced what it refers to (an alias, a topic), and none did',
  'missing-messages': 'messages that the sender counts did not arrive before this one',
  simulated: 'the network server marks the uplink as simulated: no device measured it',
  'bad-quality': 'the message says that the value is not good',
  ambiguous: 'another value of the same reading stands for the same metric',
  'not-a-number': 'the value is not a finite number',
  'fault-code': 'the value is one by which a sensor says that it could not measure',
  'unknown-value': 'the state has no value of this name or code',
  'out-of-range': 'the value lies outside the minimum and maximum of its metric',
  'bad-timestamp': 'the timestamp is neither ISO 8601 nor epoch milliseconds',
  'too-old': 'the timestamp is further in the past than the city accepts',
  'in-the-future': 'the timestamp is further ahead than the city accepts',
  'history-refused': 'the history database refused to store the value',
} as const;

/** A reason why data was refused. */
export type Reason = keyof typeof REASONS;

/** A fault in data, as a value: what is wrong, where, and what would be right. */
export const RejectionSchema = z.object({
  reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]),
  /** JSON path of the fault inside the payload, such as `$[2].metrics.pm25`; `$` is the whole message. */
  path: z.string(),
  /** One sentence for the person who can fix it, with the value found and what would be right. */
  detail: z.string(),
  /** The name of the reading that was refused; absent where the fault belongs to no single reading. */
  reading: z.string().exactOptional(),
});
export type Rejection = ShapeOf<typeof RejectionSchema>;

/**
 * Why a connection or a message of an MQTT client was refused, ended or delayed: for clients what `REASONS` is for
 * data.
 */
export const MQTT_REASONS = {
  'wrong-credentials': 'the user name or the secret is wrong',
  'device-suspended': 'the device is suspended until somebody resumes it',
  'nameless-session': 'a client without a client id asked to keep its session',
  'client-id-of-another': 'the client id of a device is its id',
  'protocol-version': 'Lamppost speaks MQTT 3.1, 3.1.1 and 5',
  'too-many-connections': 'this key, this address or the server has reached its limit of connections',
  'too-many-connects': 'this address opens connections faster than it may',
  'gave-way': 'the connection waited longest without a login where all places for such connections were taken',
  'login-timeout': 'the connection did not log in within 10 s',
  'not-mqtt': 'the first bytes are no CONNECT',
  'no-proxy-header': 'a trusted proxy must begin with a header of the PROXY protocol',
  'malformed-proxy-header': 'the header of the PROXY protocol is malformed',
  'proxy-header-too-long': 'the header of the PROXY protocol is longer than the server accepts',
  'proxy-header-of-a-stranger': 'only a trusted proxy may begin with a header of the PROXY protocol',
  'tls-handshake-failed': 'the TLS handshake failed',
  stopping: 'the server is stopping',
  'reserved-topic': "topics that begin with $ are the server's own",
  'not-your-device': 'the topic is that of another device',
  'unknown-topic': 'the topic is none that this client may use',
  'keys-do-not-publish': 'only devices and network servers publish',
  'network-servers-do-not-subscribe': 'a key of a network server publishes, and subscribes to its downlinks only',
  'citizen-apps-do-not-subscribe': "a key of a citizens' app uses HTTP",
  'not-your-department': 'the topic is that of another department',
  'not-your-right': 'the role or the scopes of the key do not allow this topic',
  'too-many-sessions': 'the key has reached its limit of kept sessions, and all of them are connected',
  'too-many-groups': 'the key has reached its limit of groups of shared subscriptions',
  'no-shared-subscriptions': 'shared subscriptions are for keys that read events, on a server without other nodes',
  'malformed-share': 'a shared subscription is $share/{group}/{filter}; a group has a name without +, # and /',
  'too-many-filters': 'the connection has reached its limit of subscriptions',
  'too-many-levels': 'a topic filter has 100 levels at most',
  'packet-too-large': 'the packet is larger than the server accepts',
  'malformed-length': 'the length of the packet is malformed (MQTT 3.1.1 §2.2.3)',
  'protocol-error': 'the client broke the protocol, or sent what cannot be read',
  'keep-alive-timeout': 'the client was silent for one and a half times its keep alive',
  'taken-over': 'the client logged in once more: it has one connection',
  'cut-off': 'the node is cut off from the others of the cluster: another one takes the client',
  'secret-ended': 'the device or key is suspended or revoked, or its secret no longer valid',
  'not-stored': 'the disk or the journal did not take the message in time',
  'slow-reader': 'the client did not read what it subscribed to',
  gone: 'the client has closed its connection',
  throttled: 'it sent more than it may and was not read for a while; nothing is lost',
} as const;
export type MqttReason = keyof typeof MQTT_REASONS;

/** Why a change of a rule was refused: for rules what `REASONS` is for data. */
export const RULE_REFUSALS = {
  'rule-mistakes': 'the rule has mistakes; each is listed with its line and column',
  'rule-in-file': 'the rule is in a file of the city folder, which the API does not change',
  'rule-exists': 'a rule of this id exists; change it instead of making it',
  'rule-id': 'the rule names another id than its address',
  'rule-changed': 'the rule has changed since the version that was asked for',
} as const;

/** A reason why a change of a rule was refused. */
export type RuleRefusal = keyof typeof RULE_REFUSALS;

/** Why an action on a ticket is refused: for tickets what `REASONS` is for data. */
export const TICKET_REFUSALS = {
  'wrong-status': 'the ticket is in a status from which this is not possible',
  'not-your-ticket': "the ticket is another department's: it was neither offered nor assigned to you",
  'not-your-role': 'the role or the scopes of the key do not allow this',
  'not-your-department': 'it is about another department than that of the key',
  'not-a-department': 'who reported a ticket is for departments of the city, not for contractors and groups',
  'not-offered': 'the ticket is not offered to you',
  'ticket-changed': 'the ticket has changed since the version that was asked for',
  'unknown-party': 'the city has no department, contractor or group of this id',
  'same-department': "the ticket is already this department's",
  'parts-open': 'parts of the ticket are still open',
  superseded: 'another ticket is open for the same alert',
  'whole-ended': 'the ticket that this is a part of has ended: reopen that first',
  'goes-along': 'the ticket reports what another one is about, and goes with that: hand that over, or split it',
  'alerts-fire': 'an alert of the ticket fires with a higher severity',
  'no-severity': 'no severity was named',
  'already-rated': 'the ticket was rated',
  'not-the-reporter': 'the token is not that of the one who reported it',
  'too-late': 'the time in which its reporter may say that it is not fixed is over',
  'too-often': 'its reporter wrote as often as one may in a day',
} as const;
export type TicketRefusal = keyof typeof TICKET_REFUSALS;

/** Why a change of a device or key is refused: for the registry what `REASONS` is for data. */
export const REGISTRY_REFUSALS = {
  'id-taken': 'a device or key has this id',
  'dev-eui-taken': 'the hardware with this DevEUI has the place of another device',
  'device-changed': 'the device has changed since the version that was asked for',
  'key-changed': 'the key has changed since the version that was asked for',
  'key-ended': 'the key was revoked, or has expired',
  'device-suspended': 'the device is suspended until somebody resumes it',
  'wrong-claim-code': 'the claim code is wrong, was used, or has expired',
} as const;
export type RegistryRefusal = keyof typeof REGISTRY_REFUSALS;

/** Why somebody was not let in, or a change of a person was refused: for people what `REASONS` is for data. */
export const PERSON_REFUSALS = {
  'wrong-password': 'the e-mail address or the password is wrong',
  'code-needed': 'the password is right; send the code of the authenticator as well',
  'wrong-code': 'the code of the authenticator is wrong, or was used already',
  'link-used': 'the link was used, or is too old; ask for a new one',
  'no-role': 'the provider knows the person, but gives no role for Lamppost',
  'person-removed': 'the person was removed',
  'person-suspended': 'the person is suspended',
  'person-changed': 'the person has changed since the version that was asked for',
  'email-taken': 'another person has this e-mail address',
  'not-an-admin': 'only an admin changes people, and each person their own password and codes',
  'provider-failed': 'the OIDC provider did not confirm who signs in',
  'cross-site': 'another website sent the request',
} as const;

/** A reason why somebody was not let in, or a change of a person was refused. */
export type PersonRefusal = keyof typeof PERSON_REFUSALS;

/** Why a command to a device, or what it is wanted to be, was refused. */
export const COMMAND_REFUSALS = {
  'unknown-command': 'the profile of the device declares no such command',
  'wrong-parameters': 'the parameters are not those that the profile declares',
  'not-valid': 'the command would be over before it began, or valid for longer than a year',
  'command-ended': 'the command has ended already',
  'no-network-server': 'no uplink of the device came yet, so it is not known which network server reaches it',
  'desired-changed': 'the desired state has changed since the version that was asked for',
  'too-much': 'the state is larger than it may be',
} as const;
export type CommandRefusal = keyof typeof COMMAND_REFUSALS;

/** Why a report of a citizen (Open311) was refused, where they can fix it. */
export const REPORT_REFUSALS = {
  'unknown-service': 'citizens cannot report this, or no longer',
  'outside-the-city': 'the place is outside the city',
  'bad-place': 'the place is no number of degrees',
  'wrong-answer': 'a question of the service needs another answer',
  'bad-photo': 'the file is no photo that can be shown',
} as const;
export type ReportRefusal = keyof typeof REPORT_REFUSALS;

/** A reason why something that somebody asked for was refused. */
type Refusal = RuleRefusal | TicketRefusal | RegistryRefusal | PersonRefusal | CommandRefusal;

/** Stable codes of operational faults. */
export type ErrorCode =
  | 'config'
  | 'city'
  | 'journal-full'
  | 'journal-closed'
  | 'log-away'
  | 'disk'
  | 'damaged'
  | 'too-new'
  | 'history'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'invalid'
  | 'mistakes'
  | 'precondition'
  | 'limit'
  | 'busy';

/**
 * An operational fault. It is thrown with a stable code and whether a retry can help. Bugs are plain errors and crash.
 */
export class LamppostError extends Error {
  override readonly name = 'LamppostError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** How long the other side asked to wait before a retry, ms; 0 where it did not. */
  readonly retryAfterMs: number;
  /** Why what somebody asked for was refused; null for other faults. */
  readonly reason: Refusal | null;
  /** Every mistake with its place, where the fault is in a text. */
  readonly problems: readonly CityProblem[];

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      retryable?: boolean;
      retryAfterMs?: number;
      cause?: unknown;
      reason?: Refusal;
      problems?: readonly CityProblem[];
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.reason = options.reason ?? null;
    this.problems = options.problems ?? [];
  }
}
