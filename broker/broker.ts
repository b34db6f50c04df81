import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AuthenticateError, Client } from 'aedes';
import type { Logger } from 'pino';
import {
  type Clock,
  isoOf,
  LamppostError,
  type MessageSink,
  MQTT_REASONS,
  type MqttReason,
  type SessionDrop,
} from '../domain/index.ts';
import { type CredentialChange, Credentials } from '../registry/index.ts';
import { type Account, type AccountLimits, BrokerAccounts, type ClientRecord } from './accounts.ts';
import { createAdmission, createPublisher, waitingBytes } from './admission.ts';
import {
  ACCEPT,
  CONNACK,
  type Connection,
  FILTER_PACKETS,
  firstRefusal,
  LOGIN,
  reasonOf,
  refuseForward,
  SUBSCRIBE,
} from './connection.ts';
import { createDirectWays } from './direct.ts';
import { type GuardLimits, guard } from './guard.ts';
import { HeldReads } from './held-reads.ts';
import { IngestAedes, readsLive, sessionName } from './ingest-aedes.ts';
import { createListeners, type ListenOptions } from './listeners.ts';
import { createOutgoing, createPresence, type Outgoing } from './outgoing.ts';
import { Overload } from './overload.ts';
import type { Sessions } from './sessions/index.ts';
import { createUpkeep, type KeepOptions, openSessions, publishLeftWills, type Upkeep } from './upkeep.ts';

/** Addresses and limits of the broker. */
export interface BrokerOptions extends GuardLimits, ListenOptions {
  /** Unread bytes of a subscriber above which it is disconnected. */
  readonly maxUnread: number;
  readonly sessions: KeepOptions;
  readonly accounts: AccountLimits;
}

/** The parts around the broker. */
export interface BrokerDeps {
  readonly sink: MessageSink;
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns what waits for the rules, as a part of what may wait; above 1 those who send the most are held. */
  readonly load: () => number;
  /** Publishes dropped messages as events; resolves when these are stored. Rejected drops are passed again. */
  readonly publishDrops: (drops: readonly SessionDrop[]) => Promise<void>;
}

/** Counts since the start. */
export interface BrokerCounts {
  connections: number;
  admitted: number;
  refused: number;
  /** Messages of network servers that are not uplinks. */
  dropped: number;
  cutSlow: number;
  cutOversize: number;
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
  start(): Promise<{ port: number; tlsPort: number | null }>;
  /** Takes no more messages, waits for pending commits, then closes connections and sessions. Idempotent. */
  stop(): Promise<void>;
  /** Applies a change; closes connections whose secret is no longer valid, and ends their sessions. */
  credentials(change: CredentialChange): void;
  /**
   * Admits a device's message that did not come over MQTT. Resolves to `acknowledged` when it is on disk, and to
   * `refused` where the secret is not the device's. Throws `busy`, `forbidden`, `disk` or `journal-full`.
   */
  ingest(message: OutsideMessage): Promise<'acknowledged' | 'refused'>;
  /** Whether any client is subscribed to live readings. */
  wantsLive(): boolean;
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

/** Time limit of a connection for its CONNECT, and before that for its TLS handshake, ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Returns an Aedes broker whose acknowledgements wait for the journal; `connection.ts` lists its decisions. */
export function createBroker(deps: BrokerDeps, options: BrokerOptions): Broker {
  const { log, sink } = deps;
  const credentials = new Credentials();
  const connections = new WeakMap<object, Connection>();
  const sockets = new Set<Socket>();
  const counts = { cutSlow: 0, cutOversize: 0, refusedLogins: 0 };
  const accounts = new BrokerAccounts(options.accounts);
  const overload = new Overload(deps.load, () => accounts.all());
  const reads = new HeldReads({ clock: deps.clock, overload, onThrottled });
  const admission = createAdmission(sink, (id, topic, why) => {
    log.warn({ id, topic, why }, 'publish refused');
    refused(id, why, `PUBLISH to ${topic}`, null);
  });
  const ways = createDirectWays(admission);
  /** Connections of keys: only these may subscribe to more than their own topics. */
  const programs = new Map<Duplex, Client>();
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
        log.warn({ username, client: client.id, why, code: returnCode }, 'login refused');
        refused(username, why, `client id ${client.id}`, client);
        done(Object.assign(new Error('login refused'), { returnCode }) as AuthenticateError, null);
        return;
      }
      if (connection !== undefined) {
        connection.publisher = createPublisher(identity!);
        connection.account = accounts.of(identity!);
        connection.account.connections++;
      }
      if (identity!.kind === 'key') programs.set(client.conn, client);
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
      log.warn({ client: client.id, topic: subscription.topic, why }, 'subscription refused');
      // Aedes sends SUBACK 128 for null.
      done(null, null);
    },
    authorizeForward(client, packet) {
      const why = refuseForward(connections.get(client.conn), client, packet.topic, options.maxUnread);
      if (why === null) return aedes.forward(client, packet);
      if (why !== 'slow-reader') return null;
      counts.cutSlow++;
      refused(connections.get(client.conn)?.account?.id, why, `${client.conn.writableLength} bytes unread`, client);
      log.warn({ client: client.id, unread: client.conn.writableLength }, 'slow subscriber cut');
      client.conn.destroy();
      return null;
    },
  });

  function accept(socket: Socket): void {
    const { maxConnections } = options;
    const why = firstRefusal(ACCEPT, { stopping, connections: sockets.size, maxConnections });
    if (why !== null) {
      log.warn({ connections: sockets.size, why }, 'connection refused');
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => closed(socket));
    socket.setNoDelay(true);
    const state: Connection = {
      ...{ publisher: null, account: null, said: null, nameless: false, direct: null },
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
      peel: (bytes, before, after) => (state.direct === null ? bytes : state.direct.take(bytes, before, after)),
      refused: (why) => {
        counts.cutOversize++;
        log.warn({ id: state.publisher?.identity.id, from: socket.remoteAddress, why }, 'connection cut');
        refused(state.account?.id ?? state.said, why, `the limit is ${options.maxPacket} bytes`, { conn: socket });
      },
    });
    aedes.handle(socket);
  }

  /** Counts a refusal beside its user name, where that is registered. */
  function refused(id: string | null | undefined, why: MqttReason, detail: string, of: { conn: Duplex } | null): void {
    const known = credentials.get(id ?? '');
    if (known === undefined) return;
    const from = (of?.conn as Partial<Socket> | undefined)?.remoteAddress ?? null;
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

  function closed(socket: Socket): void {
    const connection = connections.get(socket);
    if (connection !== undefined) {
      reads.closed(connection);
      if (connection.account !== null) connection.account.connections--;
    }
    sockets.delete(socket);
    programs.delete(socket);
    presence.disconnected(socket, stopping);
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

  /** Returns why a message that did not come over MQTT must wait; null where it need not. */
  function busyFor(account: Account, nowMs: number): string | null {
    if (account.waitMs(nowMs) > 0) return `${account.id} sends more than it may`;
    return overload.holds(account, nowMs) ? 'more comes in than the rules can follow' : null;
  }

  const outgoing = createOutgoing(aedes, () => sessions!);
  const presence = createPresence({
    announce: (topic, payload) => outgoing.send({ topic, payload, qos: 0, retain: true }),
    isKnown: (id) => credentials.get(id) !== undefined,
    hasStatus: (topic) => sessions !== undefined && sessions.retained.payload(topic) !== null,
  });
  const listeners = createListeners(accept, { ...options, handshakeTimeoutMs: CONNECT_TIMEOUT_MS });
  aedes.on('client', (client) => {
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
      listeners.stop();
      while (sink.pendingBytes() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      ways.flush();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      listeners.destroy();
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
      const busy = stopping ? 'the server is stopping' : busyFor(account, nowMs);
      if (busy !== null) {
        const retryAfterMs = account.waitMs(nowMs);
        return Promise.reject(new LamppostError('busy', busy, { retryable: true, retryAfterMs }));
      }
      account.charge(1, payload.length, nowMs);
      return new Promise((resolve, reject) => {
        const done = (error: LamppostError | null) => (error === null ? resolve('acknowledged') : reject(error));
        admission.admit(createPublisher(identity), topic, payload, done);
      });
    },
    wantsLive: () => [...programs.values()].some(readsLive),
    counts: () => ({
      connections: sockets.size,
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
