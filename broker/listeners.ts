import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { LamppostError, type MqttReason } from '../domain/index.ts';
import { createTrustedProxies, sourceOf } from '../limits/index.ts';
import { BRIDGE_HOST, type Bridge, newBridgeToken, readBridgeHeader } from './bridge.ts';
import type { FrontDoor, Visitor } from './front-door.ts';
import { type HeaderRefusal, type ProxyHeader, readProxyHeader } from './proxy-protocol.ts';

/** A certificate with its chain, its private key, and the authority of clients (null: none is asked for), PEM. */
export interface MqttCertificate {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | null;
}

/** Addresses and TLS of the listeners. Port 0 selects a free port. */
export interface ListenOptions {
  readonly host: string;
  /** Of plain TCP; null: none. */
  readonly port: number | null;
  /** `clientNames`: whether a certificate of `clientCa` that names a device logs it in without a password. */
  readonly tls: (MqttCertificate & { readonly port: number; readonly clientNames?: boolean }) | null;
  /** Proxies that begin each connection with a header of the PROXY protocol: addresses and CIDRs, with commas. */
  readonly proxies: string;
}

/** Where the broker listens. */
export interface Listening {
  readonly port: number | null;
  readonly tlsPort: number | null;
  readonly bridge: Bridge;
}

/** Why a connection ends before the broker gets it. */
export type ListenRefusal = HeaderRefusal | Extract<MqttReason, 'tls-handshake-failed'>;

/** The TCP and the TLS listener, and the bridge. */
export interface Listeners {
  /** Listens; returns the ports. Throws `config` where a port is in use or not permitted. */
  start(): Promise<Listening>;
  /** Handshakes from now on show this certificate; connections that are open go on. */
  renew(certificate: MqttCertificate): void;
  /** Stops accepting connections. */
  stop(): void;
}

interface ListenDeps {
  readonly door: FrontDoor;
  /** Takes a connection that has begun to speak; with TLS, after its handshake. */
  readonly accept: (socket: Socket, visitor: Visitor) => void;
  readonly refused: (source: string, why: ListenRefusal) => void;
}

/** Reads a header from the first bytes; null where more are needed. */
type ReadHeader = (bytes: Buffer) => ProxyHeader | HeaderRefusal | null;
type Take = ListenDeps['accept'];

// One read of a socket should bring a whole window of messages, which then share one group commit.
const READ_CHUNK = 256 * 1024;
const SETTINGS = { highWaterMark: READ_CHUNK, noDelay: true, keepAlive: true };

/**
 * Returns the listeners. Every connection is counted at the front door from its first moment; a silent one costs no
 * more than its socket.
 */
export function createListeners(deps: ListenDeps, options: ListenOptions): Listeners {
  const { door, accept, refused } = deps;
  const { host, tls } = options;
  const proxies = createTrustedProxies(options.proxies);
  const token = newBridgeToken();
  const servers: Server[] = [];
  const secure = tls === null ? null : createSecure(deps, tls);

  function listener(take: Take, headerOf: (address: string) => ReadHeader | null): Server {
    return createServer(SETTINGS, (socket) => {
      socket.on('error', ignore);
      const { remoteAddress } = socket;
      if (remoteAddress === undefined) return void socket.destroy();
      const visitor = door.arrive(socket, sourceOf(remoteAddress));
      if (visitor === null) return;
      const readHeader = headerOf(remoteAddress);
      if (readHeader === null) begin(visitor, take);
      else whenReadable(socket, () => takeHeader(visitor, { readHeader, take, before: Buffer.alloc(0) }));
    });
  }

  const headerOfProxy = (address: string) => (proxies.trusts(address) ? readProxyHeader : null);
  const headerOfBridge = () => (bytes: Buffer) => readBridgeHeader(token, bytes);

  function takeHeader(
    visitor: Visitor,
    part: { readonly readHeader: ReadHeader; readonly take: Take; readonly before: Buffer },
  ): void {
    const { socket } = visitor;
    const bytes = Buffer.concat([part.before, socket.read() as Buffer]);
    const header = part.readHeader(bytes);
    if (header === null) {
      whenReadable(socket, () => takeHeader(visitor, { ...part, before: bytes }));
      return;
    }
    if (typeof header === 'string') {
      refused(visitor.source, header);
      socket.destroy();
      return;
    }
    if (header.address !== null) door.speaksFor(visitor, sourceOf(header.address));
    if (header.length < bytes.length) socket.unshift(bytes.subarray(header.length));
    begin(visitor, part.take);
  }

  function begin(visitor: Visitor, take: Take): void {
    whenReadable(visitor.socket, () => {
      if (door.begins(visitor)) take(visitor.socket, visitor);
    });
  }

  function listen(server: Server, port: number, on = host): Promise<number> {
    servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        reject(new LamppostError('config', `MQTT cannot listen on ${on}:${port}: ${cause.message}`, { cause }));
      });
      server.listen(port, on, () => resolve((server.address() as { port: number }).port));
    });
  }

  return {
    async start() {
      const plain = options.port;
      const port = plain === null ? null : await listen(listener(accept, headerOfProxy), plain);
      const secured = secure === null ? null : listener(secure.take, headerOfProxy);
      const tlsPort = secured === null ? null : await listen(secured, tls!.port);
      const bridge = await listen(listener(accept, headerOfBridge), 0, BRIDGE_HOST);
      return { port, tlsPort, bridge: { port: bridge, token } };
    },
    renew: (certificate) => secure?.renew(certificate),
    stop() {
      for (const server of servers) server.close();
    },
  };
}

const ignore = () => {};

/** Calls once there are bytes to read; a connection that ends without any is closed. */
function whenReadable(socket: Socket, run: () => void): void {
  const ready = () => {
    if (socket.readableLength > 0) run();
    else socket.destroy();
  };
  if (socket.readableLength > 0) run();
  // After the stream has noticed that nobody listens any more: else it does not notify the next one of what it has.
  else socket.once('readable', () => process.nextTick(ready));
}

const contextOf = ({ cert, key, clientCa }: MqttCertificate) => ({
  cert,
  key,
  ...(clientCa === null ? {} : { ca: clientCa }),
});

interface Secure {
  readonly take: Take;
  readonly renew: Listeners['renew'];
}

/** Returns what makes TLS of a connection, and passes it on after the handshake. */
function createSecure({ accept, refused }: ListenDeps, tls: MqttCertificate): Secure {
  const asked = tls.clientCa === null ? {} : { requestCert: true, rejectUnauthorized: true };
  const server: TlsServer = createTlsServer({ ...contextOf(tls), ...asked });
  /** Connections in their handshake, by the two ends of the socket. */
  const shaking = new Map<string, Visitor>();
  server.on('secureConnection', (socket) => {
    const visitor = shaking.get(endsOf(socket));
    if (visitor === undefined) socket.destroy();
    else accept(socket, visitor);
  });
  server.on('tlsClientError', (_error, socket) => {
    const visitor = shaking.get(endsOf(socket));
    if (visitor !== undefined) refused(visitor.source, 'tls-handshake-failed');
    socket.destroy();
  });
  const take: Take = (raw, visitor) => {
    const ends = endsOf(raw);
    shaking.set(ends, visitor);
    raw.once('close', () => shaking.delete(ends));
    server.emit('connection', raw);
  };
  return { take, renew: (next) => server.setSecureContext(contextOf(next)) };
}

const endsOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket) =>
  [remoteAddress, remotePort, localAddress, localPort].join(' ');
