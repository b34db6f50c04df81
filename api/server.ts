import swagger from '@fastify/swagger';
import Fastify, { type FastifyBaseLogger, type FastifyReply, LogController } from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import type { ApiDeps, CitizenOptions } from './deps.ts';
import {
  acceptWebSockets,
  BODY_LIMIT,
  type Connections,
  createConnections,
  EDGE,
  type EdgeOptions,
  listenerOf,
  protect,
  setHeaders,
} from './edge/index.ts';
import { open311Routes } from './open311/routes.ts';
import { OPENAPI } from './openapi.ts';
import { problem, respondWithProblems } from './problem.ts';
import { alertRoutes } from './routes/alerts.ts';
import { auditRequests, auditRoutes } from './routes/audit.ts';
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

/** Where the API listens (port 0: any free one), and how its streams behave. */
export interface ApiOptions extends Partial<StreamOptions> {
  readonly host: string;
  readonly port: number;
  readonly citizens: CitizenOptions;
  /** What differs from `EDGE`. */
  readonly edge?: Partial<EdgeOptions>;
}

const STREAMS: StreamOptions = {
  heartbeatMs: 15_000,
  maxStreams: 1_000,
  maxStreamsOfKey: 200,
  maxStreamsOfAddress: 500,
};

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
  const { refusals } = services;
  const streams = createStreams(services.events, { ...STREAMS, ...options }, refusals);
  const deps: ApiDeps = { ...services, keys: endingStreams(services.keys, streams) };
  const edge = { ...EDGE, ...options.edge };
  const connections = createConnections(edge.connections, edge.proxies, () => refusals.count('connections'));
  const app = serverOf(deps, { options: edge, connections });
  const requests = trackRequests(app);
  let started = false;
  return {
    async start() {
      await app.register(swagger, OPENAPI);
      await app.register(async (scope) => addRoutes(scope.withTypeProvider<SchemaTypes>(), deps, streams, options));
      const { acceptWebSocket } = deps;
      const sockets = acceptWebSockets(app.server, { ...edge, connections, refusals, acceptWebSocket });
      app.server.once('close', () => sockets.close());
      await app.ready();
      // It takes a third of a second, which nobody who asks has to wait for then; it is made once.
      app.swagger();
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

interface Edge {
  readonly options: EdgeOptions;
  readonly connections: Connections;
}

/** Fastify with what all routes share: keys, bounds, validation, errors and headers. */
function serverOf({ log, keys, clock, refusals }: ApiDeps, { options, connections }: Edge): App {
  const { timeouts, proxies, https } = options;
  const server = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    trustProxy: (address: string) => proxies.trusts(address),
    bodyLimit: BODY_LIMIT,
    serverFactory: listenerOf(timeouts, connections, refusals),
    // Open311 clients join the endpoint and its paths with a slash of their own.
    routerOptions: { ignoreDuplicateSlashes: true, maxParamLength: MAX_PARAMETER },
    // The listener has its own.
    clientErrorHandler() {},
    frameworkErrors(error, _request, reply) {
      setHeaders(reply.raw, https);
      // No hook runs here: a body that comes with such a request is not read.
      reply.header('connection', 'close');
      problem(reply as unknown as FastifyReply, 400, error.message);
    },
  });
  // A body of text is refused as such (415), not parsed as JSON.
  server.removeContentTypeParser('text/plain');
  server.setValidatorCompiler(validatorCompiler);
  // Responses leave as they are: the compiler and the tests hold the routes to their schemas.
  server.setSerializerCompiler(() => JSON.stringify);
  respondWithProblems(server);
  protect(server, { clock, keys, connections, refusals }, options);
  server.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  });
  return server.withTypeProvider<SchemaTypes>();
}

/** A parameter in a path, characters. */
const MAX_PARAMETER = 200;

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
  auditRoutes,
  oversightRoutes,
  publicRoutes,
  citizenRoutes,
  ingestRoutes,
  backupRoutes,
  webhookRoutes,
  subscriptionRoutes,
];

function addRoutes(app: App, deps: ApiDeps, streams: Streams, { citizens }: ApiOptions): void {
  auditRequests(app, deps.audit);
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
