import type { Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { LamppostError } from '../../domain/index.ts';
import type { Connections } from './connections.ts';
import type { Timeouts } from './options.ts';
import type { Refusals } from './refusals.ts';

/** A certificate with its chain, and its private key, PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** The HTTPS listener. */
export interface SecureListener {
  /** Listens; resolves to the port. Throws `config` where the port is in use. */
  listen(host: string, port: number): Promise<number>;
  /** Handshakes from now on show this certificate. Open connections go on with the one that they have seen. */
  renew(certificate: Certificate): void;
  /** Stops accepting connections and ends handshakes. What has become HTTP ends with the HTTP server. */
  stop(): void;
}

interface Parts {
  readonly connections: Connections;
  readonly refusals: Refusals;
  readonly timeouts: Timeouts;
}

/**
 * Returns a listener that makes TLS of each connection, and passes it to the HTTP server as one of its own: bounds,
 * routes and WebSockets are the same. A connection counts from its first moment, as without TLS.
 */
export function createSecureListener(http: HttpServer, certificate: Certificate, parts: Parts): SecureListener {
  const { connections, refusals, timeouts } = parts;
  const tls = createTlsServer({ ...certificate, handshakeTimeout: timeouts.headersMs, ALPNProtocols: ['http/1.1'] });
  /** Connections in their handshake, by the two ends of the socket. */
  const shaking = new Map<string, Socket>();
  const server: Server = createServer((raw) => {
    raw.on('error', () => raw.destroy());
    connections.accept(raw);
    const ends = endsOf(raw);
    shaking.set(ends, raw);
    raw.once('close', () => shaking.delete(ends));
    tls.emit('connection', raw);
  });
  tls.on('secureConnection', (socket) => {
    const raw = shaking.get(endsOf(socket));
    if (raw === undefined) return void socket.destroy();
    shaking.delete(endsOf(socket));
    // From now on it counts as a connection of the HTTP server.
    connections.leave(raw);
    http.emit('connection', socket);
  });
  tls.on('tlsClientError', (_error, socket) => {
    refusals.count('tls-handshake');
    socket.destroy();
  });
  return {
    listen(host, port) {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      server.once('error', (cause) =>
        reject(new LamppostError('config', `HTTPS cannot listen on ${host}:${port}: ${cause.message}`, { cause })),
      );
      server.listen(port, host, () => resolve((server.address() as { port: number }).port));
      return promise;
    },
    renew: (next) => tls.setSecureContext({ ...next }),
    stop() {
      server.close();
      for (const raw of shaking.values()) raw.destroy();
    },
  };
}

const endsOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket) =>
  [remoteAddress, remotePort, localAddress, localPort].join(' ');
