import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AuthenticateError, Client } from 'aedes';
import type { Logger } from 'pino';
import {
  type Clock,
  isoOf,
  LamppostError,
  type LoginsFailing,
  type MessageSink,
  MQTT_REASONS,
  type MqttReason,
  type SessionDrop,
  type Timers,
} from '../domain/index.ts';
import { type CredentialChange, Credentials } from '../registry/index.ts';
import { type Account, type AccountLimits, BrokerAccounts, type ClientRecord } from './accounts.ts';
import { createAdmission, createPublisher, waitingBytes } from './admission.ts';
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
} from './connection.ts';
import { createDirectWays } from './direct.ts';
import { type DoorCounts, FrontDoor, type Visitor } from './front-door.ts';
import { type GuardLimits, guard } from './guard.ts';
import { HeldReads } from './held-reads.ts';
import { IngestAedes, readsLive, sessionName, userOf } from './ingest-aedes.ts';
import { createListeners, type Listening, type ListenOptions } from './listeners.ts';
import { Logins } from './logins.ts';
import { createOutgoing, createPresence, type Outgoing } from './outgoing.ts';
import { Overload } from './overload.ts';
import { QuietLog, shown } from './quiet-log.ts';
import type { Sessions } from './sessions/index.ts';
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
}

/** The parts around the broker. */
export interface BrokerDeps {
  readonly sink: MessageSink;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** Called with whether any client is subscribed to live readings, whenever that may have changed. */
  readonly live: (isWanted: boolean) => void;
  /** Returns what waits for the rules, as a part of what may wait; above 1 those who send the most are held. */
  readonly load: () => number;
  /** Publishes dropped messages as events; resolves when these are stored. Rejected drops are passed again. */
  readonly publishDrops: (drops: readonly SessionDrop[]) => Promise<void>;
  /** Publishes that the logins of a source fail again and again, as an event. */
  readonly publishFailing: (failing: LoginsFailing) => void;
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
export interface Broker extends Pick<Outgoing, 'publish' | 'restate'> {
  /**
   * Opens the sessions: from here on `publish` and `restate` work. A step of its own, because the engine restates its
   * retained messages before `start` lets the first client in. Throws `disk` where the sessions cannot be opened.
   */
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
  counts(): BrokerCounts;
  /** Applies limits that changed. */
  limit(limits: AccountLimits): void;
  /** Returns what is known of a user name since the start; null where it never connected nor tried to. */
  record(id: string): ClientRecord | null;
  /** Returns for how long user names were throttled since the start, ms: those that waited longest, at most `most`. */
  throttled(most: number): { readonly id: string; readonly ms: number }[];
}

/** A message with the credentials that came with it. */
export interface OutsideMessage {
  readonly device: string;
  readonly secret: string;
  readonly topic: string;
  readonly payload: Uint8Array;
}

const EMPTY = Buffer.alloc(0);

/** How often a device is told that it is throttled, at most, ms. */
const THROTTLED_NOTICE_MS = 60_000;

const NO_SESSIONS = { sessions: 0, sessionsConnected: 0, queued: 0, queueDropped: 0, retained: 0 };

/** Time limit of a connection for its login, the header of a proxy and the TLS handshake included, ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Returns an Aedes broker whose acknowledgements wait for the journal; `connection.ts` lists its decisions. */
export function createBroker(deps: BrokerDeps, options: BrokerOptions): Broker {
  const { log, sink } = deps;
  const credentials = new Credentials();
  const connections = new WeakMap<object, Connection>();
  const sockets = new Set<Socket>();
  const counts = { cutSlow: 0, cutOversize: 0, cutForeign: 0, refusedLogins: 0 };
  const quiet = new QuietLog(log, deps.clock);
  const accounts = new BrokerAccounts(options.accounts);
  const overload = new Overload(deps.load, () => accounts.all());
  const reads = new HeldReads({ clock: deps.clock, overload, onThrottled });
  const admission = createAdmission(sink, (id, topic, why) => {
    quiet.warn(id, why, 'publish refused', { topic: shown(topic) });
    refused(id, why, `PUBLISH to ${topic}`, null);
  });
  const loginTimeoutMs = CONNECT_TIMEOUT_MS;
  const turnedAway = (source: string, why: MqttReason) => quiet.warn(source, why, 'connection refused');
  const door = new FrontDoor({ ...deps, refused: turnedAway }, { ...options, loginTimeoutMs });
  const logins = new Logins({ ...deps, newId: randomUUID, onFailing: deps.publishFailing });
  const ways = createDirectWays(admission);
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
      const identity = credentials.verify(username ?? '', password ?? Buffer.alloc(0));
      const connection = connections.get(client.conn);
      const login = {
        identity,
        clientId: client.id,
        nameless: connection?.nameless === true,
        connections: accounts.get(identity?.id ?? '')?.connections ?? 0,
      };
      const why = firstRefusal(LOGIN, login);
      if (why !== null) {
        counts.refusedLogins++;
        const returnCode = CONNACK[why];
        const [source, user] = [connection?.visitor.source ?? '', username ?? ''];
        quiet.warn(source, why, 'login refused', { username: shown(user), client: shown(client.id), code: returnCode });
        refused(user, why, `client id ${client.id}`, client);
        const error = Object.assign(new Error('login refused'), { returnCode }) as AuthenticateError;
        const isKnown = credentials.get(user) !== undefined;
        logins.refused(
          { source, user, isKnown },
          () => done(error, null),
          () => client.conn.destroy(),
        );
        return;
      }
      if (connection !== undefined) {
        connection.publisher = createPublisher(identity!);
        connection.account = accounts.of(identity!);
        connection.account.connections++;
        door.knows(connection.visitor, identity!.id);
        logins.succeeded(connection.visitor.source, identity!.id);
      }
      done(null, true);
    },
    authorizePublish(client, packet, done) {
      const connection = client === null ? undefined : connections.get(client.conn);
      // Wills also arrive here, after the connection is closed; they are admitted like other messages.
      const publisher = connection?.publisher;
      if (publisher === undefined || publisher === null || stopping) return done(new Error('not admitted'));
      admission.admit(publisher, packet.topic, packet.payload as Buffer, (error) => {
        connection!.direct?.flush();
        // The journal has it. Aedes keeps a message of QoS 2 until its PUBREL, and needs only its id.
        packet.payload = EMPTY;
        done(error);
        connection!.committed();
      });
    },
    authorizeSubscribe(client, subscription, done) {
      const connection = connections.get(client.conn);
      const why = firstRefusal(SUBSCRIBE, connection, client, subscription.topic, sessions!);
      if (why === null) {
        connection!.filters.add(subscription.topic);
        connection!.account?.charge(FILTER_PACKETS, 0, deps.clock.now());
        return done(null, subscription);
      }
      refused(connection?.account?.id, why, `SUBSCRIBE to ${subscription.topic}`, client);
      quiet.warn(userOf(client.id), why, 'subscription refused', { topic: shown(subscription.topic) });
      // Aedes sends SUBACK 128 for null.
      done(null, null);
    },
    authorizeForward(client, packet) {
      const why = refuseForward(connections.get(client.conn), client, packet.topic, options.maxUnread);
      if (why === null) return aedes.forward(client, packet);
      if (why !== 'slow-reader') return null;
      counts.cutSlow++;
      const { writableLength: unread } = client.conn;
      refused(connections.get(client.conn)?.account?.id, why, `${unread} bytes unread`, client);
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
      filters: new Set(),
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
      peel: (bytes, before, after) =>
        state.direct === null ? opened(socket, state, bytes) : state.direct.take(bytes, before, after),
      refused: (why) => {
        counts.cutOversize++;
        quiet.warn(state.publisher?.identity.id ?? visitor.source, why, 'connection cut');
        refused(state.account?.id ?? state.said, why, `the limit is ${options.maxPacket} bytes`, { conn: socket });
      },
    });
    aedes.handle(socket);
  }

  /** Counts a refusal beside its user name, where that is registered. */
  function refused(id: string | null | undefined, why: MqttReason, detail: string, of: { conn: Duplex } | null): void {
    const known = credentials.get(id ?? '');
    if (known === undefined) return;
    const from = of === null ? null : (connections.get(of.conn)?.visitor.source ?? null);
    accounts.of(known.identity).refuse(why, detail, from, deps.clock.now());
  }

  /** Tells a device on `devices/{id}/rejections` that it must wait, once a minute at most. */
  function onThrottled(account: Account): void {
    const nowMs = deps.clock.now();
    if (credentials.get(account.id)?.identity.kind !== 'device' || !account.noticeDue(nowMs, THROTTLED_NOTICE_MS))
      return;
    const [topic, reason] = [`devices/${account.id}/readings`, 'throttled' as const];
    const refusal = { scope: 'connection', reason, path: '$', detail: MQTT_REASONS[reason] };
    const payload = JSON.stringify({ topic, receivedAt: isoOf(nowMs), refused: [refusal] });
    outgoing.send({ topic: `devices/${account.id}/rejections`, payload, qos: 0, retain: false });
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

  const outgoing = createOutgoing(aedes, () => sessions!);
  const presence = createPresence({
    announce: (topic, payload) => outgoing.send({ topic, payload, qos: 0, retain: true }),
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
    if (!client.clean) sessions!.connected(client);
  });
  aedes.on('clientDisconnect', (client) => sessions!.disconnected(client));
  aedes.on('clientReady', (client) => {
    const connection = connections.get(client.conn);
    if (connection === undefined) return;
    const publisher = () => (stopping ? null : connection.publisher);
    connection.direct = ways.open(client, { publisher, settled: () => connection.committed() });
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
      sessions = openSessions({ ...deps, credentials }, options.sessions);
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
      await sessions?.close();
    },
    credentials(change) {
      const ended = credentials.apply(change);
      for (const { identity } of change.set) accounts.update(identity);
      cut(ended);
      sessions?.endOf(ended);
      for (const id of change.remove) {
        presence.revoked(id);
        accounts.forget(id);
      }
    },
    publish: outgoing.publish,
    restate: outgoing.restate,
    ingest({ device, secret, topic, payload }) {
      const identity = credentials.verify(device, Buffer.from(secret));
      if (identity?.kind !== 'device') {
        counts.refusedLogins++;
        return Promise.resolve('refused');
      }
      const account = accounts.of(identity);
      const nowMs = deps.clock.now();
      const fault = stopping
        ? new LamppostError('busy', 'the server is stopping', { retryable: true })
        : faultOf(account, nowMs);
      if (fault !== null) return Promise.reject(fault);
      account.charge(1, payload.length, nowMs);
      return new Promise((resolve, reject) => {
        const done = (error: LamppostError | null) => (error === null ? resolve('acknowledged') : reject(error));
        admission.admit(createPublisher(identity), topic, payload, done);
      });
    },
    counts: () => ({
      connections: door.size,
      ...door.counts,
      ...admission.counts,
      ...counts,
      ...(sessions?.counts() ?? NO_SESSIONS),
      held: reads.size,
    }),
    limit: (limits) => accounts.limit(limits),
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
