import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AuthenticateError, Client } from 'aedes';
import type { Logger } from 'pino';
import {
  type Clock,
  LamppostError,
  type LoginsFailing,
  type MessageSink,
  type SessionDrop,
  type Timers,
} from '../domain/index.ts';
import { type CredentialChange, Credentials } from '../registry/index.ts';
import { createAdmission, createPublisher, waitingBytes } from './admission.ts';
import { CONNACK, type Connection, firstRefusal, LOGIN, OPENING, refuseForward, SUBSCRIBE } from './connection.ts';
import { createDirectWays } from './direct.ts';
import { type DoorCounts, FrontDoor, type Visitor } from './front-door.ts';
import { type GuardLimits, guard } from './guard.ts';
import { IngestAedes, readsLive, sessionName, userOf } from './ingest-aedes.ts';
import { createListeners, type Listening, type ListenOptions } from './listeners.ts';
import { Logins } from './logins.ts';
import { createOutgoing, createPresence, type Outgoing } from './outgoing.ts';
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
}

/** The parts around the broker. */
export interface BrokerDeps {
  readonly sink: MessageSink;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly overloaded: () => boolean;
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
  const admission = createAdmission(sink, (id, topic, why) => {
    quiet.warn(id, why, 'publish refused', { topic: shown(topic) });
  });
  const loginTimeoutMs = CONNECT_TIMEOUT_MS;
  const refused = (source: string, why: string) => quiet.warn(source, why, 'connection refused');
  const door = new FrontDoor({ ...deps, refused }, { ...options, loginTimeoutMs });
  const logins = new Logins({ ...deps, newId: randomUUID, onFailing: deps.publishFailing });
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
        const [source, user] = [connection?.visitor.source ?? '', username ?? ''];
        quiet.warn(source, why, 'login refused', { username: shown(user), client: shown(client.id), code: returnCode });
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
        door.knows(connection.visitor, identity!.id);
        logins.succeeded(connection.visitor.source, identity!.id);
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
        done(error);
        connection!.committed();
      });
    },
    authorizeSubscribe(client, subscription, done) {
      const why = firstRefusal(SUBSCRIBE, connections.get(client.conn), client, subscription.topic, sessions!);
      if (why === null) return done(null, subscription);
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
      quiet.warn(userOf(client.id), why, 'slow subscriber cut', { client: shown(client.id), unread });
      client.conn.destroy();
      return null;
    },
  });

  function accept(socket: Socket, visitor: Visitor): void {
    sockets.add(socket);
    socket.once('close', () => closed(socket));
    socket.setNoDelay(true);
    const beginning = { publisher: null, opened: false, nameless: false, direct: null, committed: () => {} };
    const state: Connection = { visitor, ...beginning };
    connections.set(socket, state);
    state.committed = guard(socket, options, {
      authenticated: () => state.publisher !== null,
      inFlight() {
        if (state.direct?.blocked) return Number.POSITIVE_INFINITY;
        return state.publisher === null ? 0 : waitingBytes(state.publisher);
      },
      overloaded,
      peel: (bytes, before, after) =>
        state.direct === null ? opened(socket, state, bytes) : state.direct.take(bytes, before, after),
      refused: (why) => {
        counts.cutOversize++;
        quiet.warn(state.publisher?.identity.id ?? visitor.source, why, 'connection cut');
      },
    });
    aedes.handle(socket);
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

  function foreign(source: string, why: string): void {
    counts.cutForeign++;
    refused(source, why);
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
  const listeners = createListeners({ door, accept, refused: foreign }, options);
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
      door.stop();
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
      connections: door.size,
      ...door.counts,
      ...admission.counts,
      ...counts,
      ...(sessions?.counts() ?? NO_SESSIONS),
    }),
  };
}
