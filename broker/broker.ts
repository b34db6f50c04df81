import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { AedesPublishPacket, AuthenticateError, Client } from 'aedes';
import type { Logger } from 'pino';
import {
  type Clock,
  DAY_MS,
  isoOf,
  LamppostError,
  type LoginsFailing,
  type MessageSink,
  MQTT_REASONS,
  type MqttReason,
  type SessionDrop,
  type Timers,
} from '../domain/index.ts';
import { Logins, shown } from '../limits/index.ts';
import { type CredentialChange, Credentials } from '../registry/index.ts';
import {
  type DeclaredNames,
  type Departments,
  declaredTopics,
  isPostedByKeys,
  Subscribers,
  type TopicRefusal,
} from './access.ts';
import { type Account, type AccountLimits, BrokerAccounts, type ClientRecord } from './accounts.ts';
import { type Admitted, createAdmission, createPublisher, waitingBytes } from './admission.ts';
import { type Carrier, createCarrier } from './carrier.ts';
import { Arrivals, commandsOf, type DeviceCommands, isDownlinkFilter } from './commands.ts';
import {
  CONNACK,
  type Connection,
  FILTER_PACKETS,
  firstRefusal,
  LOGIN,
  OPENING,
  reasonOf,
  refuseForward,
  SUBSCRIBE,
  unreadOf,
} from './connection.ts';
import { DelayedWills, isWill } from './delayed-wills.ts';
import { createDirectWays } from './direct.ts';
import { Edge, type EdgeHooks, type EdgeRefusal } from './edge.ts';
import { ExactlyOnce } from './exactly-once.ts';
import { farewell } from './farewell.ts';
import { Five, type FiveHooks, refusingConnack } from './five/index.ts';
import { type DoorCounts, FrontDoor, type Visitor } from './front-door.ts';
import { type GuardLimits, guard } from './guard.ts';
import { HeldReads } from './held-reads.ts';
import { IngestAedes, readsLive, sessionName, userOf } from './ingest-aedes.ts';
import { createListeners, type Listening, type ListenOptions, type MqttCertificate } from './listeners.ts';
import { createOutgoing, createPresence, type Outgoing } from './outgoing.ts';
import { Overload } from './overload.ts';
import { QuietLog } from './quiet-log.ts';
import type { MqttOutbox, Sessions } from './sessions/index.ts';
import { createUpkeep, type KeepOptions, openSessions, publishLeftWills, type Upkeep } from './upkeep.ts';

/** Addresses and limits of the broker. */
export interface BrokerOptions extends GuardLimits, ListenOptions {
  readonly maxConnections: number;
  /** See `DoorLimits`. */
  readonly maxPerAddress: number;
  /** Unread bytes of a subscriber above which it is disconnected. */
  readonly maxUnread: number;
  readonly sessions: KeepOptions;
  readonly accounts: AccountLimits;
  readonly departments: Departments;
  /** Formats that the city declares; absent: none. */
  readonly declared?: DeclaredNames;
}

/** The parts around the broker. */
export interface BrokerDeps {
  readonly sink: MessageSink;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** The events of Lamppost. */
  readonly outbox: MqttOutbox;
  /** Called with whether any client is subscribed to live readings, whenever that may have changed. */
  readonly live: (isWanted: boolean) => void;
  /** Returns what waits for the rules, as a part of what may wait; above 1 those who send the most are held. */
  readonly load: () => number;
  /** Publishes dropped messages as events; resolves when these are stored. Rejected drops are passed again. */
  readonly publishDrops: (drops: readonly SessionDrop[]) => Promise<void>;
  /** Publishes that the logins of a source fail again and again, as an event. */
  readonly publishFailing: (failing: LoginsFailing) => void;
  /** Commands to devices. */
  readonly commands: DeviceCommands;
}

/** Counts since the start. */
export interface BrokerCounts extends DoorCounts {
  connections: number;
  admitted: number;
  refused: number;
  /** Messages of network servers that are not uplinks. */
  dropped: number;
  cutSlow: number;
  cutOversize: number;
  /** Connections that did not begin as MQTT or, from a proxy, with its header, or whose TLS handshake failed. */
  cutForeign: number;
  refusedLogins: number;
  /** Kept sessions, and how many of them are connected. */
  sessions: number;
  sessionsConnected: number;
  /** Messages in their queues, and messages dropped since the start. */
  queued: number;
  queueDropped: number;
  retained: number;
  /** Connections that are not read at the moment. */
  held: number;
}

/** The MQTT side of Lamppost. */
export interface Broker extends Outgoing {
  /** Opens the sessions: from here on it publishes. Throws `disk` where they cannot be opened. */
  open(): Promise<void>;
  /** Admits the wills that a crash left, then listens; returns the ports. Throws `config` where a port is in use. */
  start(): Promise<Listening>;
  /** Takes no more messages, waits for pending commits, then closes connections and sessions. Idempotent. */
  stop(): Promise<void>;
  /** Applies a change; closes connections whose secret is no longer valid, and ends their sessions. */
  credentials(change: CredentialChange): void;
  /**
   * Admits a device's message that did not come over MQTT. Resolves to `acknowledged` when it is on disk, and to
   * `refused` where the secret is not the device's. Throws `limit` where it sends more than it may,
   * `busy`, `forbidden`, `disk` or `journal-full`.
   */
  ingest(message: OutsideMessage): Promise<'acknowledged' | 'refused'>;
  /**
   * Admits messages of a key that a bridge took from another broker, in their order, without its secret. Throws
   * `forbidden` where there is no such key, or it may not publish.
   */
  carry: Carrier;
  counts(): BrokerCounts;
  /** Returns the keys that logged in since the last call, or are connected. */
  keysUsed(): string[];
  /** Applies limits that changed. */
  limit(limits: AccountLimits): void;
  /** Applies what the city says of the departments. */
  departments(departments: Departments): void;
  /** Applies what formats the city declares. */
  declared(declared: DeclaredNames): void;
  /** Handshakes from now on show this certificate; connections that are open go on. */
  renew(certificate: MqttCertificate): void;
  /** Returns what is known of a user name since the start; null where it never connected nor tried to. */
  record(id: string): ClientRecord | null;
  /** Returns for how long user names were throttled since the start, ms: those that waited longest, at most `most`. */
  throttled(most: number): { readonly id: string; readonly ms: number }[];
}

/** A message with the credentials that came with it. */
export interface OutsideMessage {
  /** Id of the device or key. */
  readonly device: string;
  readonly secret: string;
  readonly topic: string;
  readonly payload: Uint8Array;
}

const EMPTY = Buffer.alloc(0);

/** CONNACK 1 (MQTT 3.1.1 §3.2.2.3). */
const CONNACK_UNKNOWN_VERSION = Buffer.from([0x20, 2, 0, 1]);

/** Characters of a refused topic that a device is told. */
const LONGEST_TOPIC = 512;

/** How often a device is told that it is throttled, at most, ms. */
const THROTTLED_NOTICE_MS = 60_000;

const NO_SESSIONS = { sessions: 0, sessionsConnected: 0, queued: 0, queueDropped: 0, retained: 0 };

/** Time limit of a connection for its login, the header of a proxy and the TLS handshake included, ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Returns the names in the certificate of a TLS client: its common name and its DNS names (RFC 6125 §2.3). Empty where
 * they log nobody in.
 */
function certificateNames(conn: Duplex): ReadonlySet<string> {
  if (!(conn instanceof TLSSocket) || !conn.authorized) return NO_NAMES;
  const { subject, subjectaltname = '' } = conn.getPeerCertificate();
  // Node.js quotes a name with a comma in it, which could else look like two.
  const names = subjectaltname.includes('"') ? [] : subjectaltname.split(', ');
  const alternative = names.flatMap((name) => (name.startsWith('DNS:') ? name.slice(4) : []));
  return new Set([subject?.CN ?? [], alternative].flat());
}
const NO_NAMES: ReadonlySet<string> = new Set();

const stoppingFault = () => new LamppostError('busy', 'the server is stopping', { retryable: true });

function suspendedDevice(id: string): LamppostError {
  const reason = 'device-suspended';
  return new LamppostError('forbidden', `device "${id}": ${MQTT_REASONS[reason]}`, { reason });
}

/** Returns an Aedes broker whose acknowledgements wait for the journal; `connection.ts` lists its decisions. */
export function createBroker(deps: BrokerDeps, options: BrokerOptions): Broker {
  const { log, sink } = deps;
  const credentials = new Credentials();
  const connections = new WeakMap<object, Connection>();
  const sockets = new Set<Socket>();
  const counts = { cutSlow: 0, cutOversize: 0, cutForeign: 0, refusedLogins: 0 };
  const quiet = new QuietLog(log, deps.clock);
  const access = new Subscribers(profileOf, options.departments);
  const accounts = new BrokerAccounts(options.accounts);
  const overload = new Overload(deps.load, () => accounts.all());
  const reads = new HeldReads({ clock: deps.clock, overload, onThrottled });
  let declared = options.declared && declaredTopics(options.declared);
  const admission = createAdmission(
    sink,
    ({ id }, topic, why) => {
      quiet.warn(id, why, 'publish refused', { topic: shown(topic) });
      refused(id, why, `PUBLISH to ${topic}`, null);
      const account = accounts.get(id);
      if (account?.tells(deps.clock.now())) tell(account, { scope: 'message', topic, reason: why });
    },
    () => declared,
  );
  const loginTimeoutMs = CONNECT_TIMEOUT_MS;
  const turnedAway = (source: string, why: MqttReason) => quiet.warn(source, why, 'connection refused');
  const door = new FrontDoor({ ...deps, refused: turnedAway }, { ...options, loginTimeoutMs });
  const namesIn = options.tls?.clientNames ? certificateNames : () => NO_NAMES;
  const logins = new Logins({ ...deps, newId: randomUUID, onFailing: deps.publishFailing });
  const ways = createDirectWays(admission);
  const wills = new DelayedWills(deps.timers);
  const arrivals = new Arrivals(deps.commands, deps.timers);
  const sessionSeconds = (options.sessions.limits.days * DAY_MS) / 1_000;
  const fiveLimits = { maxPacket: options.maxPacket, sessionSeconds };
  /** Keys that logged in since somebody asked. */
  let keysUsed = new Set<string>();
  /** Connections with a subscription to live readings. */
  const liveReaders = new Set<Duplex>();
  let sessions: Sessions | undefined;
  let upkeep: Upkeep | undefined;
  let stopping = false;

  const aedes = new IngestAedes({
    connectTimeout: CONNECT_TIMEOUT_MS,
    // MQTT 3.1 ends client ids at 23 characters; ids of devices may be longer.
    maxClientsIdLength: 1_024,
    preConnect(client, packet, done) {
      const connection = connections.get(client.conn);
      if (connection !== undefined) {
        connection.nameless = packet.clientId === '' && !packet.clean;
        connection.said = packet.username ?? null;
      }
      packet.clientId = sessionName(packet.username ?? '', packet.clientId);
      done(null, true);
    },
    authenticate(client, username, password, done) {
      const found =
        password === undefined && namesIn(client.conn).has(username ?? '')
          ? credentials.named(username!)
          : credentials.check(username ?? '', password ?? Buffer.alloc(0));
      const identity = typeof found === 'string' ? null : found;
      const connection = connections.get(client.conn);
      const login = {
        identity,
        suspended: found === 'suspended',
        clientId: client.id,
        nameless: connection?.nameless === true,
        connections: accounts.get(identity?.id ?? '')?.connections ?? 0,
      };
      const why = firstRefusal(LOGIN, login);
      if (why !== null) {
        if (connection !== undefined) connection.loginRefusal = why;
        counts.refusedLogins++;
        const returnCode = CONNACK[why];
        const [source, user] = [connection?.visitor.source ?? '', username ?? ''];
        quiet.warn(source, why, 'login refused', { username: shown(user), client: shown(client.id), code: returnCode });
        refused(user, why, `client id ${client.id}`, client);
        const error = Object.assign(new Error('login refused'), { returnCode }) as AuthenticateError;
        // Its secret is right: nobody is guessing.
        if (why === 'device-suspended') return done(error, null);
        const isKnown = credentials.get(user) !== undefined;
        logins.refused(
          { source, user, isKnown },
          () => done(error, null),
          () => client.conn.destroy(),
        );
        return;
      }
      if (connection !== undefined) {
        connection.client = client;
        connection.publisher = createPublisher(identity!);
        connection.account = accounts.of(identity!);
        connection.account.connections++;
        if (identity!.kind === 'key') keysUsed.add(identity!.id);
        door.knows(connection.visitor, identity!.id);
        logins.succeeded(connection.visitor.source, identity!.id);
        const before = aedes.connectionOf(client.id);
        if (before !== null) connections.get(before)?.edge.five?.because('taken-over');
        if (connection.edge.five?.startsFresh) void sessions!.persistence.cleanSubscriptions(client);
      }
      done(null, true);
    },
    authorizePublish(client, packet, done) {
      const connection = client === null ? undefined : connections.get(client.conn);
      // Wills also arrive here, after the connection is closed; they are admitted like other messages.
      const publisher = connection?.publisher;
      if (publisher === undefined || publisher === null || stopping) return done(new Error('not admitted'));
      const { topic, payload, qos, messageId } = packet as typeof packet & { messageId?: number };
      const admit = (settled: Admitted) => admission.admit(publisher, topic, payload as Buffer, settled);
      const { five } = connection!.edge;
      const settled: Admitted = (error, why) => {
        connection!.direct?.flush();
        if (why !== null) five?.refused(messageId ?? 0, why);
        // The journal has it. Aedes keeps a message of QoS 2 until its PUBREL, and needs only its id.
        packet.payload = EMPTY;
        done(error);
        connection!.committed();
      };
      if (five !== null && five.willDelay > 0 && isWill(client!, packet)) {
        wills.later(client!.id, five.willDelay, () => admit(settled));
        return;
      }
      // A will has no id.
      if (qos !== 2 || messageId === undefined) return admit(settled);
      connection!.once.take(messageId, sessions!.persistence.isReceived(client!.id, messageId), admit, settled);
    },
    authorizeSubscribe(client, subscription, done) {
      const connection = connections.get(client.conn);
      const why = firstRefusal(SUBSCRIBE, connection, client, subscription.topic, sessions!, access);
      if (why === null) {
        connection!.edge.five?.grant(subscription);
        connection!.filters.add(subscription.topic);
        if (sessions!.hasSubscription(client.id, subscription.topic)) connection!.kept.add(subscription.topic);
        connection!.account?.charge(FILTER_PACKETS, 0, deps.clock.now());
        return done(null, subscription);
      }
      connection?.edge.five?.refusedFilter(subscription.topic, why);
      refused(connection?.account?.id, why, `SUBSCRIBE to ${subscription.topic}`, client);
      quiet.warn(userOf(client.id), why, 'subscription refused', { topic: shown(subscription.topic) });
      // Aedes sends SUBACK 128 for null.
      done(null, null);
    },
    authorizeForward(client, packet) {
      const connection = connections.get(client.conn);
      const five = connection?.edge.five ?? null;
      const why = refuseForward(connection, client, packet.topic, options.maxUnread, access);
      if (why === null && packet.retain && five !== null && !five.wantsRetained(packet.topic)) return null;
      if (why === null) return forward(client, packet, connection);
      if (why !== 'slow-reader') return null;
      counts.cutSlow++;
      const unread = unreadOf(connection, client);
      five?.because(why);
      refused(connection?.account?.id, why, `${unread} bytes unread`, client);
      quiet.warn(userOf(client.id), why, 'slow subscriber cut', { client: shown(client.id), unread });
      client.conn.destroy();
      return null;
    },
  });

  function accept(socket: Socket, visitor: Visitor): void {
    sockets.add(socket);
    socket.once('close', () => closed(socket));
    socket.setNoDelay(true);
    const state: Connection = {
      visitor,
      ...{ publisher: null, account: null, said: null, opened: false, nameless: false, direct: null },
      ...{ client: null, loginRefusal: null },
      edge: new Edge({
        violated: (why, fault) => violated(socket, why, fault),
        five: (connect) => new Five(socket, connect, hooksOf(state), fiveLimits),
      }),
      filters: new Set(),
      kept: new Set(),
      once: new ExactlyOnce(),
      committed: () => {},
    };
    connections.set(socket, state);
    state.committed = guard(socket, options, {
      authenticated: () => state.publisher !== null,
      inFlight() {
        if (state.direct?.blocked) return Number.POSITIVE_INFINITY;
        return state.publisher === null ? 0 : waitingBytes(state.publisher);
      },
      holds: () => reads.holds(state),
      spent: (packets, bytes) => state.account?.charge(packets, bytes, deps.clock.now()),
      peel(bytes, before, after) {
        if (state.edge.five !== null) {
          const packets = state.edge.take(bytes);
          return packets === null || state.direct === null ? packets : state.direct.take(packets, 0, 0);
        }
        const rest = state.direct === null ? opened(socket, state, bytes) : state.direct.take(bytes, before, after);
        return rest === null ? null : state.edge.take(rest);
      },
      refused: (why) => {
        counts.cutOversize++;
        state.edge.five?.because(why);
        quiet.warn(state.publisher?.identity.id ?? visitor.source, why, 'connection cut');
        refused(state.account?.id ?? state.said, why, `the limit is ${options.maxPacket} bytes`, { conn: socket });
      },
    });
    aedes.handle(socket);
  }

  /** Returns what the translation of MQTT 5 needs of a connection. */
  function hooksOf(state: Connection): FiveHooks {
    return {
      isDevice: (id) => credentials.get(id)?.identity.kind === 'device',
      newId: randomUUID,
      isSubscribed: (filter) => state.filters.has(filter),
      loginRefusal: () => state.loginRefusal,
      acknowledge: (messageId) => void sessions!.persistence.outgoingClearMessageId(state.client!, { messageId }),
      forget: (messageId) => aedes.forget(state.client!, messageId),
      whyEnds(error) {
        if (stopping) return 'stopping';
        return (error === undefined ? null : reasonOf(error)) ?? 'protocol-error';
      },
    };
  }

  function profileOf(device: string): string | null {
    const identity = credentials.get(device)?.identity;
    return identity?.kind === 'device' ? identity.profile : null;
  }

  /** Counts a refusal beside its user name, where that is registered. */
  function refused(id: string | null | undefined, why: MqttReason, detail: string, of: { conn: Duplex } | null): void {
    const known = credentials.get(id ?? '');
    if (known === undefined) return;
    const from = of === null ? null : (connections.get(of.conn)?.visitor.source ?? null);
    accounts.of(known.identity).refuse(why, detail, from, deps.clock.now());
  }

  /** Tells a device that it must wait, once a minute at most. */
  function onThrottled(account: Account): void {
    if (!account.noticeDue(deps.clock.now(), THROTTLED_NOTICE_MS)) return;
    tell(account, { scope: 'connection', topic: `devices/${account.id}/readings`, reason: 'throttled' });
  }

  /** Tells a device on `devices/{id}/rejections`. */
  function tell({ id }: Account, notice: { scope: 'connection' | 'message'; topic: string; reason: MqttReason }): void {
    if (credentials.get(id)?.identity.kind !== 'device') return;
    const { topic, scope, reason } = notice;
    const refusal = { scope, reason, path: '$', detail: MQTT_REASONS[reason] };
    const receivedAt = isoOf(deps.clock.now());
    const payload = JSON.stringify({ topic: topic.slice(0, LONGEST_TOPIC), receivedAt, refused: [refusal] });
    outgoing.publish({ topic: `devices/${id}/rejections`, payload, qos: 0, retain: false });
  }

  /** Ends a connection that broke the protocol; one of another version learns it (MQTT 3.1.1 §3.1.2.2). */
  function violated(socket: Socket, why: EdgeRefusal, fault: Parameters<EdgeHooks['violated']>[1]): void {
    if (socket.destroyed) return;
    const { account, said, visitor, edge } = connections.get(socket)!;
    const { message: detail, reasonCode, isConnect5 } = fault;
    quiet.warn(account?.id ?? visitor.source, why, 'connection cut', { detail: shown(detail) });
    refused(account?.id ?? said, why, detail, { conn: socket });
    if (why === 'protocol-version') counts.refusedLogins++;
    if (edge.five !== null) edge.five.violated(why, detail, reasonCode);
    else if (isConnect5) farewell(socket, refusingConnack(reasonCode, detail));
    else if (why === 'protocol-version') farewell(socket, CONNACK_UNKNOWN_VERSION);
    else socket.destroy();
  }

  /** Returns the bytes of a connection that has not logged in; null where its first one ends it. */
  function opened(socket: Socket, state: Connection, bytes: Buffer): Buffer | null {
    if (state.opened) return bytes;
    state.opened = true;
    const why = firstRefusal(OPENING, bytes[0]!);
    if (why === null) return bytes;
    foreign(state.visitor.source, why);
    socket.destroy();
    return null;
  }

  function foreign(source: string, why: MqttReason): void {
    counts.cutForeign++;
    turnedAway(source, why);
  }

  function closed(socket: Socket): void {
    const connection = connections.get(socket);
    if (connection !== undefined) {
      reads.closed(connection);
      if (connection.account !== null) connection.account.connections--;
    }
    sockets.delete(socket);
    noteLive(socket, false);
    presence.disconnected(socket, stopping);
  }

  /** Commands that have waited are in the queue of a session that was subscribed before. */
  function forward(client: Client, packet: AedesPublishPacket, connection: Connection | undefined) {
    const { topic, payload, retain } = packet;
    const device = commandsOf(topic);
    if (device !== null && retain && connection?.kept.has(topic)) return null;
    const identity = connection?.publisher?.identity;
    if (identity?.kind === 'key' && identity.key.role === 'network-server') {
      const downlink = deps.commands.downlink(topic, payload.toString());
      if (downlink?.key !== identity.id) return null;
      // What has waited is in the queue of a session that was subscribed before. It is no state: nobody retains it.
      if (retain && [...connection!.kept].some(isDownlinkFilter)) return null;
      const sent = aedes.forward(client, retain ? { ...packet, retain: false } : packet);
      if (sent !== null) arrivals.noteId(downlink.id);
      return sent;
    }
    const sent = aedes.forward(client, packet);
    if (sent !== null && device !== null && device === client.id) arrivals.note(payload.toString());
    return sent;
  }

  function noteLive(conn: Duplex, reads: boolean): void {
    // A connection that closed meanwhile is never added again.
    const changed =
      reads && sockets.has(conn as Socket) ? liveReaders.size < liveReaders.add(conn).size : liveReaders.delete(conn);
    if (changed) deps.live(liveReaders.size > 0);
  }

  /** Closes every connection of these user names and takes nothing more from it, not even its will. */
  function cut(users: ReadonlySet<string>): void {
    for (const socket of users.size === 0 ? [] : sockets) {
      const connection = connections.get(socket);
      if (!connection?.publisher || !users.has(connection.publisher.identity.id)) continue;
      connection.publisher = null;
      connection.edge.five?.because('secret-ended');
      socket.destroy();
    }
  }

  /** Returns why a message that did not come over MQTT must be sent again later; null where it is taken. */
  function faultOf(account: Account, nowMs: number): LamppostError | null {
    const retryAfterMs = account.waitMs(nowMs);
    if (retryAfterMs > 0) {
      refused(account.id, 'throttled', 'over HTTP', null);
      return new LamppostError('limit', `${account.id} sends more than it may`, { retryable: true, retryAfterMs });
    }
    if (!overload.holds(account, nowMs)) return null;
    return new LamppostError('busy', 'more comes in than the rules can follow', { retryable: true });
  }

  /** How long the session of a client of MQTT 5 is kept, s; null where only the server's limit holds. */
  const expiryOf = (client: Client) => {
    const five = connections.get(client.conn)?.edge.five ?? null;
    return five === null || five.isReplaced ? null : five.expiry;
  };

  const isKey = (id: string) => credentials.get(id)?.identity.kind === 'key';

  const outgoing = createOutgoing(aedes, () => sessions!);
  const presence = createPresence({
    announce: (topic, payload) => outgoing.publish({ topic, payload, qos: 0, retain: true }),
    isKnown: (id) => credentials.get(id) !== undefined,
    hasStatus: (topic) => sessions !== undefined && sessions.retained.payload(topic) !== null,
  });
  const listeners = createListeners({ door, accept, refused: foreign }, options);
  const noteOf = (client: Client | null) => client !== null && noteLive(client.conn, readsLive(client));
  aedes.on('subscribe', (_subscriptions, client) => noteOf(client));
  aedes.on('unsubscribe', (_filters, client) => noteOf(client));
  aedes.on('client', (client) => {
    // Its session may have restored subscriptions.
    noteOf(client);
    if (connections.get(client.conn)?.publisher?.identity.kind === 'device') presence.connected(client.id, client.conn);
    wills.returned(client.id);
    // Its message ids begin anew, too (§3.1.2.4); after the connection that it replaced has ended.
    if (connections.get(client.conn)?.edge.five?.startsFresh) void sessions!.persistence.cleanIncoming(client);
    if (!client.clean) sessions!.connected(client, expiryOf(client));
  });
  aedes.on('clientDisconnect', (client) => sessions!.disconnected(client, expiryOf(client)));
  aedes.on('clientReady', (client) => {
    const connection = connections.get(client.conn);
    if (connection === undefined) return;
    const publisher = () => (stopping ? null : connection.publisher);
    const settled = () => connection.committed();
    const refusedMessage = (id: number, why: TopicRefusal) => connection.edge.five?.refused(id, why);
    connection.direct = ways.open(client, { publisher, settled, refused: refusedMessage });
    if (!client.clean) sessions!.ready(client);
  });
  aedes.on('unsubscribe', (filters, client) => {
    const connection = client === null ? undefined : connections.get(client.conn);
    for (const filter of filters) connection?.filters.delete(filter);
  });
  aedes.on('clientError', (client, error) => {
    log.debug({ client: client.id, error: error.message }, 'client error');
    const why = reasonOf(error);
    if (why !== null) refused(connections.get(client.conn)?.account?.id, why, error.message, client);
  });
  aedes.on('connectionError', (client, error) => {
    log.debug({ error: error.message }, 'connection error');
    const why = reasonOf(error);
    if (why !== null) refused(connections.get(client.conn)?.said, why, error.message, client);
  });

  return {
    async open() {
      sessions = openSessions({ ...deps, credentials, access, arrivals }, options.sessions);
      upkeep = createUpkeep({ sessions, everyMs: options.sessions.upkeepMs }, { ...deps, credentials });
      await aedes.listenWith(sessions);
    },
    async start() {
      upkeep!.start();
      await publishLeftWills(sessions!, credentials, admission);
      return listeners.start();
    },
    async stop() {
      if (stopping) return;
      stopping = true;
      reads.stop();
      wills.stop();
      door.stop();
      logins.stop();
      listeners.stop();
      while (sink.pendingBytes() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      ways.flush();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      door.destroy();
      quiet.flush();
      upkeep?.stop();
      outgoing.stop();
      arrivals.stop();
      await sessions?.close();
    },
    credentials(change) {
      const ended = credentials.apply(change);
      for (const { identity } of change.set) accounts.update(identity);
      cut(ended);
      for (const id of wills.end((session) => ended.has(userOf(session)))) void sessions?.persistence.delWill({ id });
      sessions?.endOf(ended);
      for (const id of change.remove) {
        presence.revoked(id);
        accounts.forget(id);
      }
    },
    publish: outgoing.publish,
    appended: outgoing.appended,
    ingest({ device, secret, topic, payload }) {
      const identity = credentials.check(device, Buffer.from(secret));
      if (identity === 'suspended') {
        refused(device, 'device-suspended', 'over HTTP', null);
        return Promise.reject(suspendedDevice(device));
      }
      // Keys post what names its devices itself, and uplinks.
      if (typeof identity === 'string' || (identity.kind !== 'device' && !isPostedByKeys(topic))) {
        counts.refusedLogins++;
        return Promise.resolve('refused');
      }
      const account = accounts.of(identity);
      const nowMs = deps.clock.now();
      const fault = stopping ? stoppingFault() : faultOf(account, nowMs);
      if (fault !== null) return Promise.reject(fault);
      account.charge(1, payload.length, nowMs);
      return new Promise((resolve, reject) => {
        admission.admit(createPublisher(identity), topic, payload, (error, why) => {
          if (why === null) return error === null ? resolve('acknowledged') : reject(error);
          reject(new LamppostError('forbidden', `${device} may not publish to ${topic}: ${MQTT_REASONS[why]}`));
        });
      });
    },
    carry: createCarrier({
      ...{ credentials, accounts, admission, clock: deps.clock },
      used: (key) => keysUsed.add(key),
      faultOf: (account, nowMs) => (stopping ? stoppingFault() : faultOf(account, nowMs)),
    }),
    counts: () => ({
      connections: door.size,
      ...door.counts,
      ...admission.counts,
      ...counts,
      ...(sessions?.counts() ?? NO_SESSIONS),
      held: reads.size,
    }),
    keysUsed() {
      const used = [...keysUsed];
      const connected = accounts.all().filter((one) => one.connections > 0 && isKey(one.id));
      keysUsed = new Set(connected.map(({ id }) => id));
      return [...new Set([...used, ...keysUsed])];
    },
    limit: (limits) => accounts.limit(limits),
    departments: (departments) => access.apply(departments),
    declared(names) {
      declared = declaredTopics(names);
    },
    renew: listeners.renew,
    record: (id) => accounts.get(id)?.record(deps.clock.now()) ?? null,
    throttled(most) {
      const nowMs = deps.clock.now();
      const waited = accounts.all().map((account) => ({ id: account.id, ms: account.throttledMs(nowMs) }));
      return waited
        .filter(({ ms }) => ms > 0)
        .sort((a, b) => b.ms - a.ms)
        .slice(0, most);
    },
  };
}
