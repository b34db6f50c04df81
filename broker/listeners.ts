import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { LamppostError } from '../domain/index.ts';

/** Addresses and TLS of the listeners. Port 0 selects a free port. */
export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: {
    readonly port: number;
    readonly cert: string;
    readonly key: string;
    readonly clientCa: string | null;
  } | null;
  readonly maxConnections: number;
}

/** The TCP and the TLS listener. */
export interface Listeners {
  /** Listens; returns the ports. Throws `config` where a port is in use or not permitted. */
  start(): Promise<{ port: number; tlsPort: number | null }>;
  /** Stops accepting connections. */
  stop(): void;
  /** Closes connections whose TLS handshake is not finished. */
  destroy(): void;
}

// One read of a socket should bring a whole window of messages, which then share one group commit.
const READ_CHUNK = 256 * 1024;

/** Returns the listeners, which pass each connection to `accept`. A TLS handshake may take `handshakeTimeoutMs`. */
export function createListeners(
  accept: (socket: Socket) => void,
  options: ListenOptions & { readonly handshakeTimeoutMs: number },
): Listeners {
  const { host, tls, maxConnections } = options;
  const servers: Server[] = [];
  /** The TCP sockets of TLS connections, from before their handshake. */
  const underTls = new Set<Socket>();

  function createSecure({ cert, key, clientCa }: NonNullable<ListenOptions['tls']>): Server {
    const ca = clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
    const server = createTlsServer({ cert, key, ...ca, handshakeTimeout: options.handshakeTimeoutMs }, accept);
    // The broker counts connections only after their handshake.
    server.maxConnections = maxConnections;
    server.on('connection', (raw: Socket) => {
      underTls.add(raw);
      raw.once('close', () => underTls.delete(raw));
    });
    return server;
  }

  function listen(server: Server, port: number): Promise<number> {
    servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        reject(new LamppostError('config', `MQTT cannot listen on ${host}:${port}: ${cause.message}`, { cause }));
      });
      server.listen(port, host, () => resolve((server.address() as { port: number }).port));
    });
  }

  return {
    async start() {
      const settings = { highWaterMark: READ_CHUNK, noDelay: true, keepAlive: true };
      const port = await listen(createServer(settings, accept), options.port);
      return { port, tlsPort: tls === null ? null : await listen(createSecure(tls), tls.port) };
    },
    stop() {
      for (const server of servers) server.close();
    },
    destroy() {
      for (const socket of underTls) socket.destroy();
    },
  };
}
