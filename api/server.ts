import swagger from '@fastify/swagger';
import Fastify, { type FastifyBaseLogger, type FastifyReply, LogController } from 'fastify';
import { type Person, SECOND_MS } from '../domain/index.ts';
import { bindToDepartments } from './departments.ts';
import type { ApiDeps, CitizenOptions } from './deps.ts';
import {
  acceptWebSockets,
  BODY_LIMIT,
  type Certificate,
  type Connections,
  type Cookies,
  compressResponses,
  createConnections,
  createCookies,
  createSecureListener,
  EDGE,
  type EdgeOptions,
  listenerOf,
  protect,
  type SecureListener,
  setHeaders,
} from './edge/index.ts';
import { open311Routes } from './open311/routes.ts';
import { OPENAPI } from './openapi.ts';
import { problem, respondWithProblems, validate } from './problem.ts';
import { followResponses } from './responded.ts';
import { alertRoutes } from './routes/alerts.ts';
import { assetRoutes } from './routes/assets.ts';
import { auditRequests, auditRoutes } from './routes/audit.ts';
import { backtestRoutes } from './routes/backtests.ts';
import { backupRoutes } from './routes/backups.ts';
import { bridgeRoutes } from './routes/bridges.ts';
import { citizenRoutes } from './routes/citizens.ts';
import { cityRoutes } from './routes/city.ts';
import { clusterRoutes } from './routes/cluster.ts';
import { commandRoutes } from './routes/commands.ts';
import { deviceRoutes } from './routes/devices.ts';
import { eventRoutes } from './routes/events.ts';
import { formatRoutes } from './routes/formats.ts';
import { importRoutes } from './routes/imports.ts';
import { ingestRoutes } from './routes/ingest.ts';
import { keyRoutes } from './routes/keys.ts';
import { openDataRoutes } from './routes/open-data.ts';
import { oversightRoutes } from './routes/oversight.ts';
import { publicRoutes } from './routes/public.ts';
import { quarantineRoutes } from './routes/quarantine.ts';
import { readingRoutes } from './routes/readings.ts';
import { requestRoutes } from './routes/requests.ts';
import type { App, SchemaTypes } from './routes/routes.ts';
import { ruleRoutes } from './routes/rules.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { silenceRoutes } from './routes/silences.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import { suggestionRoutes } from './routes/suggestions.ts';
import { systemRoutes } from './routes/system.ts';
import { ticketRoutes } from './routes/tickets.ts';
import { trialRoutes } from './routes/trials.ts';
import { userRoutes } from './routes/users.ts';
import { webhookRoutes } from './routes/webhooks.ts';
import { followRoutes, type Routes } from './routing.ts';
import { createStreams, type StreamOptions, type Streams } from './streams.ts';

/** Where the API listens (port 0: any free one), and how its streams behave. */
export interface ApiOptions extends Partial<StreamOptions> {
  readonly host: string;
  readonly port: number;
  readonly citizens: CitizenOptions;
  /** What differs from `EDGE`. */
  readonly edge?: Partial<EdgeOptions>;
  /** The listener with TLS; absent or null: there is none. */
  readonly tls?: (Certificate & { readonly port: number }) | null;
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
  /** The port with TLS; null where there is none. */
  tlsPort(): number | null;
  /** Handshakes from now on show this certificate; nothing that is open ends. */
  renew(certificate: Certificate): void;
}

/** Creates the API over its services. It listens from `start` on. */
export function createApi(services: ApiDeps, options: ApiOptions): Api {
  const { refusals } = services;
  const streams = createStreams(services.events, { ...STREAMS, ...options }, refusals);
  services.keys.onEnded((id) => streams.endOf(id));
  const edge = { ...EDGE, ...options.edge };
  const cookies = createCookies(edge.https);
  const deps: ApiDeps = {
    ...services,
    people: endingSessions(services.people, streams),
  };
  const connections = createConnections(edge.connections, edge.proxies, () => refusals.count('connections'));
  const { app, routes } = serverOf(deps, { options: edge, connections, cookies });
  const requests = trackRequests(app);
  let started = false;
  let secure: SecureListener | null = null;
  let tlsPort: number | null = null;
  return {
    async start() {
      await app.register(swagger, OPENAPI);
      await app.register(async (scope) =>
        addRoutes(scope.withTypeProvider<SchemaTypes>(), deps, { streams, options, edge, cookies, routes }),
      );
      const { acceptWebSocket } = deps;
      const sockets = acceptWebSockets(app.server, { ...edge, connections, refusals, acceptWebSocket });
      app.server.once('close', () => sockets.close());
      await app.ready();
      await app.listen({ host: options.host, port: options.port });
      if (options.tls) {
        const { port, ...certificate } = options.tls;
        secure = createSecureListener(app.server, certificate, { connections, refusals, timeouts: edge.timeouts });
        tlsPort = await secure.listen(options.host, port).catch(async (error: unknown) => {
          await app.close();
          throw error;
        });
      }
      started = true;
    },
    async stop() {
      if (!started) return;
      started = false;
      streams.stop();
      secure?.stop();
      await requests.settled(GRACE_MS);
      await app.close();
    },
    port: () => (app.server.address() as { port: number }).port,
    tlsPort: () => tlsPort,
    renew: (certificate) => secure?.renew(certificate),
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
  readonly cookies: Cookies;
}

/** Fastify with what all routes share: keys, bounds, validation, errors and headers. */
function serverOf(
  deps: ApiDeps,
  { options, connections, cookies }: Edge,
): { readonly app: App; readonly routes: Routes } {
  const { log, keys, people, clock, refusals, counters, city } = deps;
  const { timeouts, proxies, https } = options;
  const server = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    trustProxy: (address: string) => proxies.trusts(address),
    bodyLimit: BODY_LIMIT,
    serverFactory: listenerOf(timeouts, connections, refusals),
    // Both are set at once: Fastify need not load its own.
    schemaController: { compilersFactory: { buildValidator: setBelow, buildSerializer: setBelow } },
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
  server.setValidatorCompiler(validate);
  // Responses leave as they are: the compiler and the tests hold the routes to their schemas.
  server.setSerializerCompiler(() => JSON.stringify);
  const routes = followRoutes(server);
  respondWithProblems(server, routes);
  const sharing = () => city().publication.shared;
  const { signIn } = people;
  protect(server, { clock, keys, signIn, cookies, sharing, connections, refusals, counters }, options);
  followResponses(server, deps.responded);
  server.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    // A node of a cluster that is cut off has what it had: RFC 9111, §5.1.
    const ageMs = deps.ageMs();
    if (ageMs !== null) reply.header('age', Math.round(ageMs / SECOND_MS));
  });
  compressResponses(server);
  return { app: server.withTypeProvider<SchemaTypes>(), routes };
}

const setBelow = () => () => {
  throw new Error('a compiler is missing');
};

/** A parameter in a path, characters. */
const MAX_PARAMETER = 200;

/** In the order of the document. */
const RESOURCES: readonly ((app: App, deps: ApiDeps) => void)[] = [
  systemRoutes,
  cityRoutes,
  bridgeRoutes,
  clusterRoutes,
  assetRoutes,
  quarantineRoutes,
  deviceRoutes,
  commandRoutes,
  keyRoutes,
  userRoutes,
  readingRoutes,
  importRoutes,
  ruleRoutes,
  trialRoutes,
  suggestionRoutes,
  backtestRoutes,
  alertRoutes,
  ticketRoutes,
  silenceRoutes,
  auditRoutes,
  oversightRoutes,
  publicRoutes,
  requestRoutes,
  openDataRoutes,
  citizenRoutes,
  formatRoutes,
  ingestRoutes,
  backupRoutes,
  webhookRoutes,
  subscriptionRoutes,
];

interface More {
  readonly streams: Streams;
  readonly options: ApiOptions;
  readonly edge: EdgeOptions;
  readonly cookies: Cookies;
  readonly routes: Routes;
}

function addRoutes(app: App, deps: ApiDeps, { streams, options, edge, cookies, routes }: More): void {
  bindToDepartments(app, deps);
  auditRequests(app, deps.audit);
  for (const add of RESOURCES) add(app, deps);
  signInRoutes(app, deps, { cookies, publicOrigin: edge.publicOrigin });
  sessionRoutes(app, deps, cookies);
  eventRoutes(app, deps, streams);
  open311Routes(app, deps, { ...options.citizens, methodsOf: routes.methodsOf });
}

/** What ends the sessions of a person who changes. */
const ENDING: ReadonlySet<string> = new Set(
  ['remove', 'suspend', 'password', 'totp', 'sign-out'].map((name) => `person.${name}`),
);

/** Ends sessions with what ends them, and event streams: those of a person whose rights change resume with these. */
function endingSessions(people: ApiDeps['people'], streams: Pick<Streams, 'endOf'>): ApiDeps['people'] {
  return {
    ...people,
    async change(command, caller) {
      const result = await people.change(command, caller);
      const person = result as Person | null;
      if (person === null) return result;
      if (ENDING.has(command.do)) people.sessions.endAll(person.id);
      streams.endOf(`person:${person.id}`);
      return result;
    },
    sessions: {
      ...people.sessions,
      end(person, id) {
        const ended = people.sessions.end(person, id);
        if (ended) streams.endOf(id);
        return ended;
      },
    },
  };
}
