import { type PacketReader, PROTOCOL_ERROR, Violation } from './reader.ts';

/** Properties of MQTT 5 that clients send (§2.2.2.2). User properties are read and not kept. */
export interface Properties {
  payloadFormatIndicator?: number;
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Buffer;
  subscriptionIdentifier?: number;
  sessionExpiryInterval?: number;
  authenticationMethod?: string;
  authenticationData?: Buffer;
  requestProblemInformation?: number;
  willDelayInterval?: number;
  requestResponseInformation?: number;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumPacketSize?: number;
}

type Name = keyof Properties;
type Kind = 'flag' | 'u16' | 'u32' | 'varint' | 'text' | 'binary';

const USER_PROPERTY = 0x26;
const TOPIC_ALIAS_INVALID = 0x94;

const BY_ID = new Map<number, readonly [Name, Kind]>([
  [0x01, ['payloadFormatIndicator', 'flag']],
  [0x02, ['messageExpiryInterval', 'u32']],
  [0x03, ['contentType', 'text']],
  [0x08, ['responseTopic', 'text']],
  [0x09, ['correlationData', 'binary']],
  [0x0b, ['subscriptionIdentifier', 'varint']],
  [0x11, ['sessionExpiryInterval', 'u32']],
  [0x15, ['authenticationMethod', 'text']],
  [0x16, ['authenticationData', 'binary']],
  [0x17, ['requestProblemInformation', 'flag']],
  [0x18, ['willDelayInterval', 'u32']],
  [0x19, ['requestResponseInformation', 'flag']],
  [0x1f, ['reasonString', 'text']],
  [0x21, ['receiveMaximum', 'u16']],
  [0x22, ['topicAliasMaximum', 'u16']],
  [0x23, ['topicAlias', 'u16']],
  [0x27, ['maximumPacketSize', 'u32']],
]);

const MESSAGE: readonly Name[] = [
  'payloadFormatIndicator',
  'messageExpiryInterval',
  'contentType',
  'responseTopic',
  'correlationData',
];
const ACKNOWLEDGEMENT: readonly Name[] = ['reasonString'];

/** Which properties a client may send with each kind of packet; user properties go with all of them. */
const ALLOWED = {
  connect: [
    'sessionExpiryInterval',
    'receiveMaximum',
    'maximumPacketSize',
    'topicAliasMaximum',
    'requestResponseInformation',
    'requestProblemInformation',
    'authenticationMethod',
    'authenticationData',
  ],
  will: ['willDelayInterval', ...MESSAGE],
  publish: ['topicAlias', ...MESSAGE],
  puback: ACKNOWLEDGEMENT,
  pubrec: ACKNOWLEDGEMENT,
  pubrel: ACKNOWLEDGEMENT,
  pubcomp: ACKNOWLEDGEMENT,
  subscribe: ['subscriptionIdentifier'],
  unsubscribe: [],
  disconnect: ['sessionExpiryInterval', 'reasonString'],
  auth: ['authenticationMethod', 'authenticationData', 'reasonString'],
} as const satisfies Readonly<Record<string, readonly Name[]>>;

/** The properties whose value must not be zero. */
const NOT_ZERO: readonly Name[] = ['receiveMaximum', 'maximumPacketSize', 'subscriptionIdentifier'];

/** Reads the properties of a packet. Throws `Violation` for one that does not belong there, or comes twice. */
export function readProperties(reader: PacketReader, of: keyof typeof ALLOWED): Properties {
  const part = reader.part(reader.varint('the length of the properties'), 'the properties');
  const found: Record<string, unknown> = {};
  while (part.left > 0) {
    const id = part.varint('the id of a property');
    if (id === USER_PROPERTY) {
      part.text('the name of a user property');
      part.text('the value of a user property');
      continue;
    }
    const [name, kind] = BY_ID.get(id) ?? [];
    const allowed: readonly Name[] = ALLOWED[of];
    if (name === undefined || kind === undefined || !allowed.includes(name))
      throw new Violation(`the property ${name ?? id} does not belong to ${of}`, PROTOCOL_ERROR);
    if (name in found) throw new Violation(`the property ${name} comes twice`, PROTOCOL_ERROR);
    found[name] = readValue(part, name, kind);
  }
  return found;
}

function readValue(reader: PacketReader, name: Name, kind: Kind): unknown {
  const value = kind === 'flag' ? reader.u8(name) : reader[kind](name);
  if (kind === 'flag' && Number(value) > 1) throw new Violation(`${name} is ${value}, not 0 or 1`, PROTOCOL_ERROR);
  if (value !== 0) return value;
  if (name === 'topicAlias') throw new Violation('the topic alias is 0', TOPIC_ALIAS_INVALID);
  if (NOT_ZERO.includes(name)) throw new Violation(`${name} is 0`, PROTOCOL_ERROR);
  return value;
}
