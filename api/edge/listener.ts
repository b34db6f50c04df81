import type { RequestListener, Server } from 'node:http';
import type { Connections } from './connections.ts';
import { clientErrors } from './faults.ts';
import type { Timeouts } from './options.ts';
import type { Refusals } from './refusals.ts';
import { isWebSocket } from './web-sockets.ts';

// An import of node:http evaluates all that it exports, and with it loads undici: 0.1 s and more in each thread.
const { createServer } = process.getBuiltinModule('node:http');

/** The first line and the headers of a request, bytes. */
const MAX_HEADER = 16 * 1024;

/** Requests of one connection that are not responded to yet (RFC 9112 §9.3.2); few clients have more than one. */
const MOST_PIPELINED = 10;

/**
 * Returns what creates Node's server for Fastify, once for each address that it listens on. `requestTimeout` is about
 * what clients send, so that streams of events may take as long as they like (Node: http.Server).
 */
export function listenerOf(timeouts: Timeouts, connections: Connections, refusals: Refusals) {
  return (listener: RequestListener): Server => {
    const options = {
      maxHeaderSize: MAX_HEADER,
      headersTimeout: Math.min(timeouts.headersMs, timeouts.requestMs),
      requestTimeout: timeouts.requestMs,
      keepAliveTimeout: timeouts.keepAliveMs,
      connectionsCheckingInterval: timeouts.checkMs,
      shouldUpgradeCallback: isWebSocket,
    };
    const bounded: RequestListener = (request, response) => {
      const { socket } = request;
      // Node parses all that came at once, and goes on after a connection has ended.
      if (socket.destroyed) return;
      if (connections.busyOf(socket) < MOST_PIPELINED) return listener(request, response);
      refusals.count('pipelined');
      socket.destroy();
    };
    const server = createServer(options, bounded);
    // The headers are looked at before the body is asked for.
    server.on('checkContinue', bounded);
    server.on('connection', (socket) => connections.accept(socket));
    server.on('clientError', clientErrors(refusals));
    return server;
  };
}
