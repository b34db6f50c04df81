import { type Properties, readProperties } from './properties.ts';
import { PacketReader, PROTOCOL_ERROR, QUOTA_EXCEEDED, topicFilter, topicName, Violation } from './reader.ts';

/** The versions of MQTT, as the protocol level of CONNECT. */
export type Level = 3 | 4 | 5;

/** A level that is not spoken: the client gets CONNACK 1 (3.1.1 §3.1.2.2). */
export class UnknownLevel extends Error {
  override readonly name = 'UnknownLevel';
}

interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: Properties;
}

export interface Connect {
  readonly cmd: 'connect';
  readonly level: Level;
  readonly clean: boolean;
  readonly keepalive: number;
  readonly clientId: string;
  readonly will: Will | null;
  readonly username: string | null;
  readonly password: Buffer | null;
  readonly properties: Properties;
}

export interface Publish {
  readonly cmd: 'publish';
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 for QoS 0. */
  readonly messageId: number;
  readonly properties: Properties;
}

interface Acknowledgement {
  readonly cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp';
  readonly messageId: number;
}

/** A filter with its options; before MQTT 5 there is only the QoS. */
export interface Wanted {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /** Retain As Published. */
  readonly asPublished: boolean;
  /** Retain Handling (5 §3.8.3.1). */
  readonly retainHandling: number;
}

export interface Subscribe {
  readonly cmd: 'subscribe';
  readonly messageId: number;
  readonly subscriptions: readonly Wanted[];
  readonly properties: Properties;
}

export interface Unsubscribe {
  readonly cmd: 'unsubscribe';
  readonly messageId: number;
  readonly unsubscriptions: readonly string[];
}

export interface Disconnect {
  readonly cmd: 'disconnect';
  readonly reasonCode: number;
  readonly properties: Properties;
}

/** A packet of a client. */
export type ClientPacket =
  | Connect
  | Publish
  | Acknowledgement
  | Subscribe
  | Unsubscribe
  | Disconnect
  | { readonly cmd: 'pingreq' }
  | { readonly cmd: 'auth' };

/** First bytes of the packets of clients but PUBLISH: their type and its reserved flags (3.1.1 §2.2.2). */
const FIRST_BYTES = new Map<number, Exclude<ClientPacket['cmd'], 'publish'>>([
  [0x10, 'connect'],
  [0x40, 'puback'],
  [0x50, 'pubrec'],
  [0x62, 'pubrel'],
  [0x70, 'pubcomp'],
  [0x82, 'subscribe'],
  [0xa2, 'unsubscribe'],
  [0xc0, 'pingreq'],
  [0xe0, 'disconnect'],
  [0xf0, 'auth'],
]);
const PUBLISH = 3;

/** Reads a whole packet of a client. Throws `Violation` where it breaks the protocol, `UnknownLevel` for CONNECT. */
export function readPacket(bytes: Buffer, level: Level): ClientPacket {
  const reader = new PacketReader(bytes);
  const first = reader.u8('the packet');
  reader.varint('the length of the packet');
  if (first >> 4 === PUBLISH) return readPublish(first, reader, level);
  const cmd = FIRST_BYTES.get(first);
  if (cmd === undefined) throw new Violation(`a client sends no packet that begins with 0x${first.toString(16)}`);
  switch (cmd) {
    case 'connect':
      return readConnect(reader);
    case 'subscribe':
      return readSubscribe(reader, level);
    case 'unsubscribe':
      return readUnsubscribe(reader, level);
    case 'pingreq':
      reader.ends('PINGREQ');
      return { cmd };
    case 'disconnect':
      return readDisconnect(reader, level);
    case 'auth':
      if (level < 5) throw new Violation('AUTH is of MQTT 5');
      return { cmd };
    default:
      return readAcknowledgement(cmd, reader, level);
  }
}

const BRIDGE = 0x80;

function readLevel(reader: PacketReader): Level {
  const name = reader.text('the protocol name');
  if (name !== 'MQTT' && name !== 'MQIsdp') throw new Violation('the protocol name is neither MQTT nor MQIsdp');
  const level = reader.u8('the protocol level');
  // Bridges of Mosquitto set the highest bit.
  const plain = level > BRIDGE && level < BRIDGE + 5 ? level - BRIDGE : level;
  if (name === 'MQIsdp' ? plain !== 3 : plain !== 4 && plain !== 5) throw new UnknownLevel(`${name} of level ${level}`);
  return plain as Level;
}

function readConnect(reader: PacketReader): Connect {
  const level = readLevel(reader);
  try {
    return readFields(reader, level);
  } catch (error) {
    if (error instanceof Violation) error.isConnect5 = level === 5;
    throw error;
  }
}

function readFields(reader: PacketReader, level: Level): Connect {
  const flags = reader.u8('the flags of CONNECT');
  if (flags & 1) throw new Violation('the reserved flag of CONNECT is set');
  const hasWill = (flags & 4) !== 0;
  if (!hasWill && flags & 0x38) throw new Violation('CONNECT has flags of a will, and no will');
  const willQos = qosOf((flags >> 3) & 3, 'the will');
  const [hasName, hasPassword] = [(flags & 0x80) !== 0, (flags & 0x40) !== 0];
  // MQTT-3.1.2-22; 5 allows it.
  if (hasPassword && !hasName && level < 5) throw new Violation('CONNECT has a password, and no user name');
  const keepalive = reader.u16('the keep alive');
  const properties = level === 5 ? readProperties(reader, 'connect') : {};
  const clientId = reader.text('the client id');
  const will = hasWill ? readWill(reader, level, { qos: willQos, retain: (flags & 0x20) !== 0 }) : null;
  const username = hasName ? reader.text('the user name') : null;
  const password = hasPassword ? reader.binary('the password') : null;
  reader.ends('CONNECT');
  const clean = (flags & 2) !== 0;
  return { cmd: 'connect', level, clean, keepalive, clientId, will, username, password, properties };
}

function readWill(reader: PacketReader, level: Level, flags: Pick<Will, 'qos' | 'retain'>): Will {
  const properties = level === 5 ? readProperties(reader, 'will') : {};
  const topic = topicName(reader.text('the topic of the will'), 'the topic of the will');
  checkResponseTopic(properties);
  return { topic, payload: reader.binary('the will'), ...flags, properties };
}

function readPublish(first: number, reader: PacketReader, level: Level): Publish {
  const qos = qosOf((first >> 1) & 3, 'PUBLISH');
  const dup = (first & 8) !== 0;
  if (dup && qos === 0) throw new Violation('PUBLISH of QoS 0 has DUP');
  const name = reader.text('the topic');
  const messageId = qos === 0 ? 0 : readMessageId(reader);
  const properties = level === 5 ? readProperties(reader, 'publish') : {};
  // 5 §3.3.2.3.4: the alias stands for the topic
  const topic = name === '' && properties.topicAlias !== undefined ? '' : topicName(name, 'the topic');
  checkResponseTopic(properties);
  const payload = reader.rest();
  return { cmd: 'publish', topic, payload, qos, retain: (first & 1) !== 0, dup, messageId, properties };
}

function checkResponseTopic({ responseTopic }: Properties): void {
  if (responseTopic !== undefined) topicName(responseTopic, 'the response topic');
}

function readAcknowledgement(cmd: Acknowledgement['cmd'], reader: PacketReader, level: Level): Acknowledgement {
  const messageId = readMessageId(reader);
  if (level === 5) readReason(reader, cmd);
  reader.ends(cmd.toUpperCase());
  return { cmd, messageId };
}

/** Reads the reason code and the properties, which may both be missing (5 §3.4.2.1). */
function readReason(
  reader: PacketReader,
  cmd: Acknowledgement['cmd'] | 'disconnect',
): { reasonCode: number; properties: Properties } {
  const reasonCode = reader.left > 0 ? reader.u8('the reason code') : 0;
  return { reasonCode, properties: reader.left > 0 ? readProperties(reader, cmd) : {} };
}

/** Options of a filter: 5 §3.8.3.1; before it only the QoS (3.1.1 §3.8.3). */
function readWanted(reader: PacketReader, level: Level): Wanted {
  const topic = topicFilter(reader.text('the filter'), 'the filter');
  const options = reader.u8('the options of a filter');
  if (options & (level === 5 ? 0xc0 : 0xfc)) throw new Violation('the options of a filter have reserved bits');
  const retainHandling = (options >> 4) & 3;
  if (retainHandling > 2) throw new Violation('the retain handling is 3', PROTOCOL_ERROR);
  if (options & 4 && topic.startsWith('$share/'))
    throw new Violation('a shared subscription has No Local', PROTOCOL_ERROR);
  return { topic, qos: qosOf(options & 3, 'the filter'), asPublished: (options & 8) !== 0, retainHandling };
}

function readSubscribe(reader: PacketReader, level: Level): Subscribe {
  const messageId = readMessageId(reader);
  const properties = level === 5 ? readProperties(reader, 'subscribe') : {};
  const subscriptions: Wanted[] = [];
  while (reader.left > 0) {
    subscriptions.push(readWanted(reader, level));
    boundFilters(subscriptions);
  }
  if (subscriptions.length === 0) throw new Violation('SUBSCRIBE without a filter', PROTOCOL_ERROR);
  return { cmd: 'subscribe', messageId, subscriptions, properties };
}

function readUnsubscribe(reader: PacketReader, level: Level): Unsubscribe {
  const messageId = readMessageId(reader);
  if (level === 5) readProperties(reader, 'unsubscribe');
  const unsubscriptions: string[] = [];
  while (reader.left > 0) {
    unsubscriptions.push(topicFilter(reader.text('the filter'), 'the filter'));
    boundFilters(unsubscriptions);
  }
  if (unsubscriptions.length === 0) throw new Violation('UNSUBSCRIBE without a filter', PROTOCOL_ERROR);
  return { cmd: 'unsubscribe', messageId, unsubscriptions };
}

/** Filters of one packet; a connection has half as many. A packet is taken as a whole, and others wait for it. */
const MOST_FILTERS = 2_000;

function boundFilters({ length }: readonly unknown[]): void {
  if (length > MOST_FILTERS)
    throw new Violation(`more than ${MOST_FILTERS} filters in one packet`, QUOTA_EXCEEDED, 'too-many-filters');
}

function readDisconnect(reader: PacketReader, level: Level): Disconnect {
  const reason = level === 5 ? readReason(reader, 'disconnect') : { reasonCode: 0, properties: {} };
  reader.ends('DISCONNECT');
  return { cmd: 'disconnect', ...reason };
}

function readMessageId(reader: PacketReader): number {
  const messageId = reader.u16('the packet identifier');
  // MQTT-2.3.1-1
  if (messageId === 0) throw new Violation('the packet identifier is 0');
  return messageId;
}

function qosOf(bits: number, what: string): 0 | 1 | 2 {
  if (bits === 3) throw new Violation(`${what} has QoS 3`);
  return bits as 0 | 1 | 2;
}
