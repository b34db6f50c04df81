import type { Server } from 'node:http';
import swagger from '@fastify/swagger';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { KEY_ROLES, type Key, type KeyRole } from '../domain/index.ts';
import type { ApiDeps, CitizenOptions } from './deps.ts';
import { limitConcurrency } from './edge/concurrency.ts';
import { open311Routes } from './open311/routes.ts';
import { OPENAPI } from './openapi.ts';
import { problem, respondWithProblems } from './problem.ts';
import { alertRoutes } from './routes/alerts.ts';
import { backtestRoutes } from './routes/backtests.ts';
import { backupRoutes } from './routes/backups.ts';
import { citizenRoutes } from './routes/citizens.ts';
import { cityRoutes } from './routes/city.ts';
import { deviceRoutes } from './routes/devices.ts';
import { eventRoutes } from './routes/events.ts';
import { ingestRoutes } from './routes/ingest.ts';
import { keyRoutes } from './routes/keys.ts';
import { oversightRoutes } from './routes/oversight.ts';
import { publicRoutes } from './routes/public.ts';
import { quarantineRoutes } from './routes/quarantine.ts';
import { readingRoutes } from './routes/readings.ts';
import type { App, SchemaTypes } from './routes/routes.ts';
import { ruleRoutes } from './routes/rules.ts';
import { silenceRoutes } from './routes/silences.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import { systemRoutes } from './routes/system.ts';
import { ticketRoutes } from './routes/tickets.ts';
import { trialRoutes } from './routes/trials.ts';
import { webhookRoutes } from './routes/webhooks.ts';
import { createStreams, type StreamOptions, type Streams } from './streams.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The key that the request carries; null on open routes only. */
    key: Key | null;
  }
  interface FastifyContextConfig {
    /** The least role that may call the route; `open` needs no key. Default: viewer. */
    role?: KeyRole | 'open';
  }
}

/** Where the API listens (port 0: any free one), and how its streams behave. */
export interface ApiOptions extends Partial<StreamOptions> {
  readonly host: string;
  readonly port: number;
  readonly citizens: CitizenOptions;
}

const STREAMS: StreamOptions = { heartbeatMs: 15_000, maxStreams: 1_000, maxStreamsOfKey: 200 };

/** The HTTP side of Lamppost. */
export interface Api {
  start(): Promise<void>;
  /** Ends the event streams and closes all connections. */
  stop(): Promise<void>;
  /** The port that it listens on. */
  port(): number;
}

/** Creates the API over its services. It listens from `start` on. */
export function createApi(services: ApiDeps, options: ApiOptions): Api {
  const streams = createStreams(services.events, { ...STREAMS, ...options });
  const deps: ApiDeps = { ...services, keys: endingStreams(services.keys, streams) };
  const app = serverOf(deps);
  const requests = trackRequests(app);
  let started = false;
  return {
    async start() {
      await app.register(swagger, OPENAPI);
      await app.register(async (scope) => addRoutes(scope.withTypeProvider<SchemaTypes>(), deps, streams, options));
      const sockets = acceptWebSockets(app.server, deps);
      app.server.once('close', () => sockets.close());
      await app.listen({ host: options.host, port: options.port });
      started = true;
    },
    async stop() {
      if (!started) return;
      started = false;
      streams.stop();
      await requests.settled(GRACE_MS);
      await app.close();
    },
    port: () => (app.server.address() as { port: number }).port,
  };
}

/** How long requests under way may take to end when the server stops, ms. */
const GRACE_MS = 2_000;

/** Knows the responses that are under way; `settled` waits for them, within a time. */
function trackRequests(app: App) {
  const open = new Set<Promise<unknown>>();
  app.addHook('onRequest', async (_request, reply) => {
    const closed = new Promise((resolve) => reply.raw.once('close', resolve));
    open.add(closed);
    void closed.then(() => open.delete(closed));
  });
  return {
    async settled(withinMs: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, withinMs);
      await Promise.race([Promise.all(open), promise]);
      clearTimeout(timer);
    },
  };
}

/** Fastify with what all routes share: keys, validation, errors and headers. */
function serverOf({ log, keys }: ApiDeps): App {
  const server = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    // Open311 clients join the endpoint and its paths with a slash of their own.
    routerOptions: { ignoreDuplicateSlashes: true },
    frameworkErrors: (error, _request, reply) => problem(reply as unknown as FastifyReply, 400, error.message),
  });
  // A body of text is refused as such (415), not parsed as JSON.
  server.removeContentTypeParser('text/plain');
  server.setValidatorCompiler(validatorCompiler);
  // Responses leave as they are: the compiler and the tests hold the routes to their schemas.
  server.setSerializerCompiler(() => JSON.stringify);
  respondWithProblems(server);
  authenticate(server, keys);
  limitConcurrency(server);
  server.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  });
  return server.withTypeProvider<SchemaTypes>();
}

/** In the order of the document. */
const RESOURCES: readonly ((app: App, deps: ApiDeps) => void)[] = [
  systemRoutes,
  cityRoutes,
  quarantineRoutes,
  deviceRoutes,
  keyRoutes,
  readingRoutes,
  ruleRoutes,
  trialRoutes,
  backtestRoutes,
  alertRoutes,
  ticketRoutes,
  silenceRoutes,
  oversightRoutes,
  publicRoutes,
  citizenRoutes,
  ingestRoutes,
  backupRoutes,
  webhookRoutes,
  subscriptionRoutes,
];

function addRoutes(app: App, deps: ApiDeps, streams: Streams, { citizens }: ApiOptions): void {
  for (const add of RESOURCES) add(app, deps);
  eventRoutes(app, deps, streams);
  open311Routes(app, deps, citizens);
}

/** Ends the event streams of a key when it is revoked. */
function endingStreams(keys: ApiDeps['keys'], streams: Pick<Streams, 'endOf'>): ApiDeps['keys'] {
  return {
    ...keys,
    async revoke(id) {
      const revoked = await keys.revoke(id);
      if (revoked) streams.endOf(id);
      return revoked;
    },
  };
}

/**
 * Refuses requests without a key of the role that the route needs; a route that names none needs a viewer's (promise
 * 7).
 */
function authenticate(app: FastifyInstance, keys: ApiDeps['keys']): void {
  app.decorateRequest('key', null);
  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    const needed = request.routeOptions.config.role ?? 'viewer';
    if (needed === 'open' || request.is404) return;
    const [scheme, token] = (request.headers.authorization ?? '').split(' ');
    request.key = scheme?.toLowerCase() === 'bearer' && token ? keys.authenticate(token) : null;
    if (request.key === null) {
      reply.header('www-authenticate', 'Bearer realm="lamppost"');
      return problem(reply, 401, 'send a key: Authorization: Bearer <key>');
    }
    if (KEY_ROLES.indexOf(request.key.role) < KEY_ROLES.indexOf(needed)) {
      return problem(reply, 403, `this needs a key of role ${needed}; yours is ${request.key.role}`);
    }
  });
}

const MAX_PAYLOAD = 512 * 1024;

/**
 * Accepts MQTT over WebSocket at `/mqtt` (MQTT 3.1.1 §6, subprotocol `mqtt`). MQTT's own CONNECT authenticates the
 * client.
 */
function acceptWebSockets(server: Server, { acceptWebSocket }: Pick<ApiDeps, 'acceptWebSocket'>): WebSocketServer {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PAYLOAD,
    perMessageDeflate: false,
    handleProtocols: (offered) => ['mqtt', 'mqttv3.1'].find((name) => offered.has(name)) ?? false,
  });
  server.on('upgrade', (request, socket, head) => {
    if (request.url?.split('?')[0] !== '/mqtt') {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const stream = createWebSocketStream(webSocket);
      stream.on('error', () => stream.destroy());
      acceptWebSocket(stream, request.socket.remoteAddress ?? '');
    });
  });
  return sockets;
}
