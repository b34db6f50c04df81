import swagger from '@fastify/swagger';
import Fastify, { type FastifyBaseLogger, type FastifyReply, LogController } from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { authenticate } from './auth.ts';
import type { ApiDeps, CitizenOptions } from './deps.ts';
import { open311Routes } from './open311/routes.ts';
import { OPENAPI } from './openapi.ts';
import { pageRoutes } from './pages.ts';
import { answerErrors, problem } from './problem.ts';
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
import { acceptWebSockets } from './websocket.ts';

/** Where the API listens (port 0 takes a free one), and how its streams behave. */
export interface ApiOptions extends Partial<StreamOptions> {
  readonly host: string;
  readonly port: number;
  readonly citizens: CitizenOptions;
}

const STREAMS: StreamOptions = { heartbeatMs: 15_000, maxStreams: 1_000, maxStreamsOfKey: 200 };

/** The HTTP side of Lamppost. */
export interface Api {
  start(): Promise<void>;
  stop(): Promise<void>;
  port(): number;
}

/** The API over its dependencies; listens from `start` on. */
export function createApi(given: ApiDeps, options: ApiOptions): Api {
  const streams = createStreams(given.events, { ...STREAMS, ...options });
  const deps: ApiDeps = { ...given, keys: endingStreams(given.keys, streams) };
  const base = Fastify({
    loggerInstance: deps.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    // Open311's clients join the endpoint and its paths with a slash of their own.
    routerOptions: { ignoreDuplicateSlashes: true },
    frameworkErrors: (error, _request, reply) => problem(reply as unknown as FastifyReply, 400, error.message),
  });
  // What is not JSON is refused as such, not read as a text that should have been an object.
  base.removeContentTypeParser('text/plain');
  base.setValidatorCompiler(validatorCompiler);
  // Answers leave as they are: their schemas are the document's, and the compiler and the tests hold the routes to them.
  base.setSerializerCompiler(() => JSON.stringify);
  answerErrors(base);
  authenticate(base, deps.keys);
  base.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  });
  const app: App = base.withTypeProvider<SchemaTypes>();
  let started = false;

  async function routes(): Promise<void> {
    await app.register(swagger, OPENAPI);
    await app.register(async (scope) => {
      const within = scope.withTypeProvider<SchemaTypes>();
      systemRoutes(within, deps);
      pageRoutes(within);
      for (const add of [
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
      ])
        add(within, deps);
      eventRoutes(within, deps, streams);
      open311Routes(within, deps, options.citizens);
    });
  }

  return {
    async start() {
      await routes();
      const sockets = acceptWebSockets(app.server, deps);
      app.server.once('close', () => sockets.close());
      await app.listen({ host: options.host, port: options.port });
      started = true;
    },
    async stop() {
      if (!started) return;
      started = false;
      streams.stop();
      await app.close();
    },
    port: () => (app.server.address() as { port: number }).port,
  };
}

/** A key that is revoked reads no further. */
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
