import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import mqemitter from 'mqemitter';
import type { Logger } from 'pino';
import type { MessageSink, Publication } from '../domain/index.ts';
import { refuseSubscribe } from './access.ts';
import { createAdmission, createPublisher, type Publisher } from './admission.ts';
import { type CredentialChange, Credentials, type Identity } from './credentials.ts';
import { type GuardLimits, guard } from './guard.ts';

/** Where the broker listens. Port 0 takes a free one. */
export interface BrokerOptions extends GuardLimits {
  readonly host: string;
  readonly port: number;
  readonly tls: {
    readonly port: number;
    readonly cert: string;
    readonly key: string;
    readonly clientCa: string | null;
  } | null;
  readonly maxConnections: number;
  /** A subscriber with more unread bytes than this is cut. */
  readonly maxUnread: number;
}

/** Counts since the start. */
export interface BrokerCounts {
  connections: number;
  admitted: number;
  refused: number;
  cutSlow: number;
  cutOversize: number;
  refusedLogins: number;
}

/** The MQTT side of Lamppost. */
export interface Broker {
  /** From here on it takes publications of Lamppost's own. */
  open(): Promise<void>;
  /** Listens. */
  start(): Promise<{ port: number; tlsPort: number | null }>;
  /** Stops taking messages, waits for commits on their way, closes. */
  stop(): Promise<void>;
  credentials(change: CredentialChange): void;
  /** Publishes on behalf of Lamppost; resolves when the broker has taken it. */
  publish(publication: Publication): Promise<void>;
  /** Whether anybody is subscribed to live readings. */
  wantsLive(): boolean;
  counts(): BrokerCounts;
}

interface Guarded {
  publisher: Publisher | null;
  committed: () => void;
}

/** MQTT 3.1.1 §3.2.2.3 return codes; Aedes declares them as an ambient const enum, which cannot be imported. */
const IDENTIFIER_REJECTED = 2;
const BAD_USERNAME_OR_PASSWORD = 4;

// One read of a socket should bring a whole window of messages: the chunk shares one group commit.
const READ_CHUNK = 256 * 1024;

const RESUME_MS = 5;

/** Readings end in the journal: what a client publishes is never fanned out, stored as retained or queued. */
class IngestAedes extends Aedes {
  override publish(...args: Parameters<Aedes['publish']>): void {
    const [, client, done] = args as unknown as [object, Client | null | undefined | (() => void), (() => void)?];
    if (client === null || client === undefined || typeof client === 'function') super.publish(...args);
    else done?.();
  }
}

/** An Aedes broker whose acknowledgements wait for the journal. */
export function createBroker(
  deps: { sink: MessageSink; log: Logger; overloaded: () => boolean },
  options: BrokerOptions,
): Broker {
  const { log, sink } = deps;
  const credentials = new Credentials();
  const guarded = new WeakMap<object, Guarded>();
  const sockets = new Set<Socket>();
  const counts = { cutSlow: 0, cutOversize: 0, refusedLogins: 0 };
  const admission = createAdmission(sink, (id, topic, why) => log.warn({ id, topic, why }, 'publish refused'));
  const servers: Server[] = [];
  let liveSubscriptions = 0;
  let stopping = false;
  /** Whether a read was held for an overload since the last resume. */
  let held = false;
  let resuming: NodeJS.Timeout | undefined;

  const aedes = new IngestAedes({
    mq: eagerEmitter(),
    connectTimeout: 10_000,
    authenticate(client, username, password, done) {
      const identity = credentials.verify(username ?? '', password ?? Buffer.alloc(0));
      const refusal = identity === null ? BAD_USERNAME_OR_PASSWORD : wrongClientId(identity, client);
      if (refusal !== null) {
        counts.refusedLogins++;
        log.warn({ username, client: client.id, code: refusal }, 'login refused');
        done(Object.assign(new Error('login refused'), { returnCode: refusal }) as AuthenticateError, null);
        return;
      }
      const connection = guarded.get(client.conn);
      if (connection !== undefined) connection.publisher = createPublisher(identity!);
      done(null, true);
    },
    authorizePublish(client, packet, done) {
      const connection = client === null ? undefined : guarded.get(client.conn);
      // Wills arrive here too, after the connection is gone: a device's last word is a message like any other.
      const publisher = connection?.publisher;
      if (publisher === undefined || publisher === null || stopping) return done(new Error('not admitted'));
      admission.admit(publisher, packet.topic, packet.payload as Buffer, (error) => {
        done(error);
        connection!.committed();
      });
    },
    authorizeSubscribe(client, subscription, done) {
      const publisher = guarded.get(client.conn)?.publisher;
      const refusal = publisher ? refuseSubscribe(publisher.identity, subscription.topic) : 'reserved-topic';
      if (refusal === null) return done(null, subscription);
      log.warn({ client: client.id, topic: subscription.topic, why: refusal }, 'subscription refused');
      // null answers SUBACK 128 (§3.9.3)
      done(null, null);
    },
    authorizeForward(client, packet) {
      if (client.conn.writableLength <= options.maxUnread) return packet;
      counts.cutSlow++;
      log.warn({ client: client.id, unread: client.conn.writableLength }, 'slow subscriber cut');
      client.conn.destroy();
      return null;
    },
  });

  function accept(socket: Socket): void {
    if (stopping || sockets.size >= options.maxConnections) {
      log.warn({ connections: sockets.size }, 'connection refused: too many');
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.setNoDelay(true);
    const state: Guarded = { publisher: null, committed: () => {} };
    guarded.set(socket, state);
    state.committed = guard(socket, options, {
      authenticated: () => state.publisher !== null,
      inFlight: () => state.publisher?.inFlight ?? 0,
      overloaded,
      refused: (why) => {
        counts.cutOversize++;
        log.warn({ id: state.publisher?.identity.id, from: socket.remoteAddress, why }, 'connection cut');
      },
    });
    aedes.handle(socket);
  }

  function overloaded(): boolean {
    if (!deps.overloaded()) return false;
    held = true;
    return true;
  }

  /** Reads that an overload held go on when it is over; commits wake only those that have one under way. */
  function resume(): void {
    if (!held || deps.overloaded()) return;
    held = false;
    for (const socket of sockets) guarded.get(socket)?.committed();
  }

  function announce(id: string, status: 'online' | 'offline'): void {
    void publish({ topic: `devices/${id}/status`, payload: status, qos: 0, retain: true });
  }

  function publish(publication: Publication): Promise<void> {
    const { payload, ...rest } = publication;
    const packet = { cmd: 'publish' as const, dup: false, payload: Buffer.from(payload), ...rest };
    return new Promise((resolve, reject) => {
      aedes.publish(packet, (error) => (error ? reject(error) : resolve()));
    });
  }

  const isDevice = (client: Client) => guarded.get(client.conn)?.publisher?.identity.kind === 'device';
  aedes.on('client', (client) => isDevice(client) && announce(client.id, 'online'));
  aedes.on('clientDisconnect', (client) => isDevice(client) && !stopping && announce(client.id, 'offline'));
  aedes.on('subscribe', (subscriptions) => {
    liveSubscriptions += subscriptions.filter((one) => reachesLive(one.topic)).length;
  });
  aedes.on('unsubscribe', (topics) => {
    liveSubscriptions -= topics.filter(reachesLive).length;
  });
  aedes.on('clientError', (client, error) => log.debug({ client: client.id, error: error.message }, 'client error'));
  aedes.on('connectionError', (_client, error) => log.debug({ error: error.message }, 'connection error'));

  return {
    open: () => aedes.listen(),
    async start() {
      resuming = setInterval(resume, RESUME_MS);
      const settings = { highWaterMark: READ_CHUNK, noDelay: true, keepAlive: true };
      const plain = createServer(settings, accept);
      servers.push(plain);
      const port = await listen(plain, options.host, options.port);
      if (options.tls === null) return { port, tlsPort: null };
      const { cert, key, clientCa } = options.tls;
      const ca = clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
      const secure = createTlsServer({ cert, key, ...ca }, accept);
      servers.push(secure);
      return { port, tlsPort: await listen(secure, options.host, options.tls.port) };
    },
    async stop() {
      if (stopping) return;
      stopping = true;
      clearInterval(resuming);
      for (const server of servers) server.close();
      while (sink.pendingBytes() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
    },
    credentials(change) {
      credentials.apply(change);
      for (const id of change.remove) {
        const client = (aedes as unknown as { clients: Record<string, Client> }).clients[id];
        client?.close();
      }
    },
    publish,
    wantsLive: () => liveSubscriptions > 0,
    counts: () => ({ connections: sockets.size, ...admission.counts, ...counts }),
  };
}

function wrongClientId(identity: Identity, client: Client): number | null {
  // A device's client id is its id, so that two machines cannot share one secret unseen; a person's programs are free.
  if (identity.kind === 'device') return client.id === identity.id ? null : IDENTIFIER_REJECTED;
  return client.id === '' ? IDENTIFIER_REJECTED : null;
}

function reachesLive(filter: string): boolean {
  return filter === '#' || filter.startsWith('live/') || filter.startsWith('+/');
}

/** A slow subscriber must not hold up the emitter: emit completes at once, and authorizeForward cuts who does not read. */
function eagerEmitter(): ReturnType<typeof mqemitter> {
  const emitter = mqemitter({ concurrency: 0, matchEmptyLevels: true });
  const emit = emitter.emit.bind(emitter);
  emitter.emit = (message, done) => {
    emit(message);
    done?.();
  };
  return emitter;
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as { port: number }).port));
  });
}
