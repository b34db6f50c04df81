import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AuthenticateError, Client } from 'aedes';
import type { Logger } from 'pino';
import { type Clock, LamppostError, type MessageSink, type SessionDrop } from '../domain/index.ts';
import { type CredentialChange, Credentials } from '../registry/index.ts';
import { createAdmission, createPublisher, waitingBytes } from './admission.ts';
import { ACCEPT, CONNACK, type Connection, firstRefusal, LOGIN, refuseForward, SUBSCRIBE } from './connection.ts';
import { createDirectWays } from './direct.ts';
import { type GuardLimits, guard } from './guard.ts';
import { IngestAedes, readsLive, sessionName } from './ingest-aedes.ts';
import { createListeners, type ListenOptions } from './listeners.ts';
import { createOutgoing, createPresence, type Outgoing } from './outgoing.ts';
import type { Sessions } from './sessions/index.ts';
import { createUpkeep, type KeepOptions, openSessions, publishLeftWills, type Upkeep } from './upkeep.ts';

/** Addresses and limits of the broker. */
export interface BrokerOptions extends GuardLimits, ListenOptions {
  /** Unread bytes of a subscriber above which it is disconnected. */
  readonly maxUnread: number;
  readonly sessions: KeepOptions;
}

/** The parts around the broker. */
export interface BrokerDeps {
  readonly sink: MessageSink;
  readonly clock: Clock;
  readonly log: Logger;
  readonly overloaded: () => boolean;
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
}

/** A message with the credentials that came with it. */
export interface OutsideMessage {
  readonly device: string;
  readonly secret: string;
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** Interval at which reads that an overload holds are checked, ms. */
const RESUME_MS = 5;

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
  const admission = createAdmission(sink, (id, topic, why) => log.warn({ id, topic, why }, 'publish refused'));
  const ways = createDirectWays(admission);
  /** Connections of keys: only these may subscribe to more than their own topics. */
  const programs = new Map<Duplex, Client>();
  let sessions: Sessions | undefined;
  let upkeep: Upkeep | undefined;
  let stopping = false;
  /** Set while an overload holds reads. */
  let resuming: NodeJS.Timeout | undefined;

  const aedes = new IngestAedes({
    connectTimeout: CONNECT_TIMEOUT_MS,
    // MQTT 3.1 ends client ids at 23 characters; ids of devices may be longer.
    maxClientsIdLength: 1_024,
    preConnect(client, packet, done) {
      const connection = connections.get(client.conn);
      if (connection !== undefined) connection.nameless = packet.clientId === '' && !packet.clean;
      packet.clientId = sessionName(packet.username ?? '', packet.clientId);
      done(null, true);
    },
    authenticate(client, username, password, done) {
      const identity = credentials.verify(username ?? '', password ?? Buffer.alloc(0));
      const connection = connections.get(client.conn);
      const login = { identity, clientId: client.id, nameless: connection?.nameless === true };
      const why = firstRefusal(LOGIN, login);
      if (why !== null) {
        counts.refusedLogins++;
        const returnCode = CONNACK[why];
        log.warn({ username, client: client.id, why, code: returnCode }, 'login refused');
        done(Object.assign(new Error('login refused'), { returnCode }) as AuthenticateError, null);
        return;
      }
      if (connection !== undefined) connection.publisher = createPublisher(identity!);
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
        done(error);
        connection!.committed();
      });
    },
    authorizeSubscribe(client, subscription, done) {
      const why = firstRefusal(SUBSCRIBE, connections.get(client.conn), client, subscription.topic, sessions!);
      if (why === null) return done(null, subscription);
      log.warn({ client: client.id, topic: subscription.topic, why }, 'subscription refused');
      // Aedes sends SUBACK 128 for null.
      done(null, null);
    },
    authorizeForward(client, packet) {
      const why = refuseForward(connections.get(client.conn), client, packet.topic, options.maxUnread);
      if (why === null) return aedes.forward(client, packet);
      if (why !== 'slow-reader') return null;
      counts.cutSlow++;
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
    const state: Connection = { publisher: null, nameless: false, direct: null, committed: () => {} };
    connections.set(socket, state);
    state.committed = guard(socket, options, {
      authenticated: () => state.publisher !== null,
      inFlight() {
        if (state.direct?.blocked) return Number.POSITIVE_INFINITY;
        return state.publisher === null ? 0 : waitingBytes(state.publisher);
      },
      overloaded,
      peel: (bytes, before, after) => (state.direct === null ? bytes : state.direct.take(bytes, before, after)),
      refused: (why) => {
        counts.cutOversize++;
        log.warn({ id: state.publisher?.identity.id, from: socket.remoteAddress, why }, 'connection cut');
      },
    });
    aedes.handle(socket);
  }

  function overloaded(): boolean {
    if (!deps.overloaded()) return false;
    if (!stopping) resuming ??= setInterval(resume, RESUME_MS);
    return true;
  }

  function closed(socket: Socket): void {
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

  /** Resumes the held reads when the overload is over. A commit resumes only connections with a message in flight. */
  function resume(): void {
    if (deps.overloaded()) return;
    clearInterval(resuming);
    resuming = undefined;
    for (const socket of sockets) connections.get(socket)?.committed();
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
  aedes.on('clientError', (client, error) => log.debug({ client: client.id, error: error.message }, 'client error'));
  aedes.on('connectionError', (_client, error) => log.debug({ error: error.message }, 'connection error'));

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
      clearInterval(resuming);
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
      cut(ended);
      sessions?.endOf(ended);
      for (const id of change.remove) presence.revoked(id);
    },
    publish: outgoing.publish,
    restate: outgoing.restate,
    ingest({ device, secret, topic, payload }) {
      const identity = credentials.verify(device, Buffer.from(secret));
      if (identity?.kind !== 'device') {
        counts.refusedLogins++;
        return Promise.resolve('refused');
      }
      if (stopping || deps.overloaded()) {
        const detail = stopping ? 'the server is stopping' : 'more comes in than the rules can follow';
        return Promise.reject(new LamppostError('busy', detail, { retryable: true }));
      }
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
    }),
  };
}
