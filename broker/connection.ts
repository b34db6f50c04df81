import type { Client } from 'aedes';
import { LamppostError, type MqttReason } from '../domain/index.ts';
import type { Identity } from '../registry/index.ts';
import type { Subscribers } from './access.ts';
import type { Account } from './accounts.ts';
import type { Publisher } from './admission.ts';
import type { Direct } from './direct.ts';
import type { Edge } from './edge.ts';
import type { ExactlyOnce } from './exactly-once.ts';
import type { Visitor } from './front-door.ts';

/** The state of one connection. */
export interface Connection {
  /** Who it was at the front door. */
  readonly visitor: Visitor;
  /** Its first byte was looked at. */
  opened: boolean;
  /** The client of Aedes, once it has logged in. */
  client: Client | null;
  /** Why its login was refused. */
  loginRefusal: LoginRefusal | null;
  /** Null before the login, and after its secret has become invalid. */
  publisher: Publisher | null;
  /** What its user name uses; null before the login. */
  account: Account | null;
  /** The user name of its CONNECT, as it was sent; null before it. */
  said: string | null;
  /** The filters that it is subscribed to. */
  readonly filters: Set<string>;
  /** Those of them that its kept session had before. */
  readonly kept: Set<string>;
  /** Its messages of QoS 2. */
  readonly once: ExactlyOnce;
  /** Its CONNECT asked for a kept session without a client id. */
  nameless: boolean;
  /** Reads what goes to Aedes. */
  readonly edge: Edge;
  /** The direct way, once Aedes has connected the client. */
  direct: Direct | null;
  /** Resumes a held read; called after a commit and at the end of an overload. */
  committed: () => void;
}

/** A step of a list below yields the reason of a refusal, or null and the next step decides. */
type Step<Args extends readonly unknown[], Reason> = (...args: Args) => Reason | null;

/** Returns the first reason that a step yields; null where every step passes. */
export function firstRefusal<Args extends readonly unknown[], Reason>(
  steps: readonly Step<Args, Reason>[],
  ...args: Args
): Reason | null {
  for (const step of steps) {
    const reason = step(...args);
    if (reason !== null) return reason;
  }
  return null;
}

/** Why the first bytes of a connection end it. */
export type OpeningRefusal = Extract<MqttReason, 'not-mqtt' | 'proxy-header-of-a-stranger'>;

const CONNECT = 0x10;
/** How a header of the PROXY protocol begins, version 1 and 2. */
const PROXY_V1 = 0x50;
const PROXY_V2 = 0x0d;

/** Steps for the first byte of a connection. */
export const OPENING: readonly Step<[number], OpeningRefusal>[] = [refuseProxyHeader, refuseOtherPacket];

function refuseProxyHeader(first: number) {
  return first === PROXY_V1 || first === PROXY_V2 ? 'proxy-header-of-a-stranger' : null;
}

/** MQTT 3.1.1 §3.1: the first packet must be a CONNECT. */
function refuseOtherPacket(first: number) {
  return first === CONNECT ? null : 'not-mqtt';
}

/** Why a CONNECT is refused. */
export type LoginRefusal = Extract<
  MqttReason,
  'wrong-credentials' | 'device-suspended' | 'nameless-session' | 'client-id-of-another' | 'too-many-connections'
>;

/** How many connections one key may have; a device has one, since a second login ends the first (§3.1.4). */
const MOST_CONNECTIONS_OF_KEY = 1_000;

interface Login {
  /** Null where the user name or the secret is wrong, or the device is suspended. */
  readonly identity: Identity | null;
  readonly suspended: boolean;
  readonly clientId: string;
  readonly nameless: boolean;
  /** How many connections the user name has. */
  readonly connections: number;
}

/** Steps for a CONNECT. The client id of a device is its id, so that two machines cannot share one secret unnoticed. */
export const LOGIN: readonly Step<[Login], LoginRefusal>[] = [
  refuseSuspended,
  refuseUnknown,
  refuseNamelessSession,
  refuseForeignClientId,
  refuseOneConnectionMore,
];

function refuseSuspended({ suspended }: Login) {
  return suspended ? 'device-suspended' : null;
}

function refuseUnknown({ identity }: Login) {
  return identity === null ? 'wrong-credentials' : null;
}

/** MQTT 3.1.1 §3.1.3.1: a client without an id must not ask to keep its session. */
function refuseNamelessSession({ nameless }: Login) {
  return nameless ? 'nameless-session' : null;
}

function refuseForeignClientId({ identity, clientId }: Login) {
  return identity?.kind === 'device' && clientId !== identity.id ? 'client-id-of-another' : null;
}

function refuseOneConnectionMore({ identity, connections }: Login) {
  return identity?.kind === 'key' && connections >= MOST_CONNECTIONS_OF_KEY ? 'too-many-connections' : null;
}

/**
 * Return codes of CONNACK (MQTT 3.1.1 §3.2.2.3); Aedes declares them as an ambient const enum, which cannot be
 * imported.
 */
export const CONNACK: Readonly<Record<LoginRefusal, number>> = {
  'wrong-credentials': 4,
  'device-suspended': 5,
  'nameless-session': 2,
  'client-id-of-another': 2,
  'too-many-connections': 3,
};

/** Levels of a filter; the routing of Aedes has no more. */
const MOST_LEVELS = 100;
/** How many subscriptions one connection may have. */
const MOST_FILTERS = 1_000;
/** A filter is charged as this many packets: its retained messages are looked up. */
export const FILTER_PACKETS = 10;

/** Steps for a topic filter of a SUBSCRIBE; a refused one gets SUBACK 128 (MQTT 3.1.1 §3.9.3). */
export const SUBSCRIBE: readonly Step<Subscription, MqttReason>[] = [
  refuseWithoutLogin,
  refuseManyLevels,
  refuseTopic,
  refuseOneSessionMore,
  refuseOneGroupMore,
  refuseOneFilterMore,
];

type Subscription = readonly [
  connection: Connection | undefined,
  client: Client,
  filter: string,
  sessions: Rooms,
  access: Subscribers,
];

function refuseWithoutLogin(...[connection]: Subscription) {
  return connection?.publisher ? null : 'reserved-topic';
}

function refuseManyLevels(...[, , filter]: Subscription) {
  return filter.split('/', MOST_LEVELS + 1).length > MOST_LEVELS ? 'too-many-levels' : null;
}

function refuseTopic(...[connection, , filter, , access]: Subscription) {
  return access.refuse(connection!.publisher!.identity, filter);
}

function refuseOneSessionMore(...[, client, , sessions]: Subscription) {
  return client.clean || sessions.hasRoom(client.id) ? null : 'too-many-sessions';
}

function refuseOneGroupMore(...[, client, filter, sessions]: Subscription) {
  return sessions.hasGroup(client.id, filter) ? null : 'too-many-groups';
}

function refuseOneFilterMore(...[connection, , filter]: Subscription) {
  return connection!.filters.size < MOST_FILTERS || connection!.filters.has(filter) ? null : 'too-many-filters';
}

/** The limits of kept sessions, and of groups of shared subscriptions. */
interface Rooms {
  hasRoom(session: string): boolean;
  hasGroup(session: string, filter: string): boolean;
}

/** Steps for a message to a subscriber. The right to read is checked again: it may have changed since the SUBSCRIBE. */
const FORWARD: readonly Step<[Connection | undefined, Client, string, number, Subscribers], MqttReason>[] = [
  refuseGone,
  refuseTopicNow,
  refuseSlowReader,
];

// Rest parameters would make an array for each message.
function refuseGone(connection: Connection | undefined, client: Client) {
  return connection?.publisher && !connection.edge.five?.parting && !client.conn.destroyed ? null : 'gone';
}

function refuseTopicNow(
  connection: Connection | undefined,
  _client: Client,
  topic: string,
  _maxUnread: number,
  access: Subscribers,
) {
  return access.refuse(connection!.publisher!.identity, topic);
}

function refuseSlowReader(connection: Connection | undefined, client: Client, _topic: string, maxUnread: number) {
  return unreadOf(connection, client) <= maxUnread ? null : 'slow-reader';
}

/** Returns the bytes that wait for a subscriber. */
export function unreadOf(connection: Connection | undefined, { conn }: Client): number {
  return conn.writableLength + (connection?.edge.five?.waitingBytes ?? 0);
}

/**
 * Returns why a message is not sent to a subscriber; null where it is. Without an array of arguments: it is asked a
 * lot.
 */
export function refuseForward(
  connection: Connection | undefined,
  client: Client,
  topic: string,
  maxUnread: number,
  access: Subscribers,
): MqttReason | null {
  for (const step of FORWARD) {
    const reason = step(connection, client, topic, maxUnread, access);
    if (reason !== null) return reason;
  }
  return null;
}

/** Returns why Aedes ended a connection; null where the network did, or where the reason was counted before. */
export function reasonOf(error: Error & { readonly code?: unknown; readonly errorCode?: unknown }): MqttReason | null {
  if (error instanceof LamppostError) return 'not-stored';
  if (error.errorCode !== undefined || error.code !== undefined || error.message === 'not admitted') return null;
  if (error.message === 'keep alive timeout') return 'keep-alive-timeout';
  return error.message === 'drain timeout' ? 'slow-reader' : 'protocol-error';
}
