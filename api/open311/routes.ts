import multipart from '@fastify/multipart';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { mediaPath } from '../../citizens/index.ts';
import { LamppostError } from '../../domain/index.ts';
import type { ApiDeps, CitizenOptions } from '../deps.ts';
import { STATUS } from '../problem.ts';
import { OPEN311_RESPONSES } from '../responses/open311.ts';
import type { App, SchemaTypes } from '../routes/routes.ts';
import type { Routes } from '../routing.ts';
import { definitionOf, discoveryOf, publicServices, serviceFault, serviceOf } from './documents.ts';
import { FORM_LIMITS } from './form.ts';
import {
  baseOf,
  CommonQuery,
  type Fault,
  FORMAT,
  FormatSchema,
  languageOf,
  OPEN,
  onlyHere,
  Refused,
  refuse,
  sendDocument,
  TAGS,
  V2,
} from './protocol.ts';
import { requestRoutes } from './requests.ts';

const URL_ENCODED = 'application/x-www-form-urlencoded';
const CSP = "default-src 'none'; sandbox";

/** `/open311/…`: Open311 GeoReport v2 in XML and JSON. Reading needs no key, requesting a service does. */
export function open311Routes(
  app: App,
  deps: Pick<ApiDeps, 'city' | 'clock' | 'citizens' | 'keys' | 'events'>,
  options: CitizenOptions & Pick<Routes, 'methodsOf'>,
): void {
  void app.register(
    async (scope) => {
      scope.removeAllContentTypeParsers();
      // Not read here: the route reads it when it knows whose it is.
      scope.addContentTypeParser(URL_ENCODED, (_request, _body, done) => done(null));
      await scope.register(multipart, { limits: FORM_LIMITS });
      // Apps in browsers may read and post too: nothing here uses cookies.
      scope.addHook('onRequest', async (_request, reply) => void reply.header('access-control-allow-origin', '*'));
      scope.setErrorHandler((error: FastifyError, request, reply) => refuse(reply, faultsOf(error, request, reply)));
      scope.setNotFoundHandler(({ method, url }, reply) => {
        const allow = options.methodsOf(url.split('?')[0]!).join(', ');
        if (allow === '') return refuse(reply, [{ code: 404, description: `there is no ${method} ${url}` }]);
        const description = `${url} does not take ${method}; it takes ${allow}`;
        return refuse(reply.header('allow', allow), [{ code: 405, description }]);
      });
      const within = scope.withTypeProvider<SchemaTypes>() as App;
      discoveryRoutes(within, deps, options);
      serviceRoutes(within, deps);
      requestRoutes(within, deps, options);
      mediaRoute(within, deps);
    },
    { prefix: '/open311' },
  );
}

function discoveryRoutes(app: App, { city }: Pick<ApiDeps, 'city'>, options: CitizenOptions): void {
  const schema = {
    tags: TAGS,
    summary: 'Service discovery: the endpoint and its formats',
    params: FormatSchema,
    querystring: CommonQuery,
    response: OPEN311_RESPONSES.discovery,
  };
  for (const path of [`/discovery.${FORMAT}`, `${V2}/discovery.${FORMAT}`]) {
    app.get(path, { config: OPEN, schema }, async (request, reply) => {
      const endpoint = `${baseOf(request, options)}/open311${V2}`;
      return sendDocument(reply, 'discovery', discoveryOf(city(), endpoint, languageOf(request, request.query.locale)));
    });
  }
}

function serviceRoutes(app: App, { city }: Pick<ApiDeps, 'city'>): void {
  app.get(
    `${V2}/services.${FORMAT}`,
    {
      config: OPEN,
      preHandler: onlyHere(city),
      schema: {
        tags: TAGS,
        summary: 'Lists the services that citizens may request',
        params: FormatSchema,
        querystring: CommonQuery,
        response: OPEN311_RESPONSES.services,
      },
    },
    async (request, reply) => {
      const language = languageOf(request, request.query.locale);
      const services = [...publicServices(city()).values()];
      return sendDocument(
        reply,
        'services',
        services.map((one) => serviceOf(one, city(), language)),
      );
    },
  );
  app.get(
    `${V2}/services/:code.${FORMAT}`,
    {
      config: OPEN,
      preHandler: onlyHere(city),
      schema: {
        tags: TAGS,
        summary: 'Returns the questions of a service',
        params: FormatSchema.extend({ code: z.string() }),
        querystring: CommonQuery,
        response: OPEN311_RESPONSES.definition,
      },
    },
    async (request, reply) => {
      const services = publicServices(city());
      const { code } = request.params;
      const fault = serviceFault(code, services);
      if (fault !== null) return refuse(reply, [{ code: 404, description: fault }]);
      const language = languageOf(request, request.query.locale);
      return sendDocument(reply, 'service_definition', definitionOf(services.get(code)!, language));
    },
  );
}

/** Photos of requests of public services, and no others. */
function mediaRoute(app: App, { citizens, city }: Pick<ApiDeps, 'citizens' | 'city'>): void {
  app.get(
    '/media/:name',
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary: 'Returns a photo of a public request',
        params: z.object({ name: z.string() }),
        response: OPEN311_RESPONSES.photo,
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const services = publicServices(city());
      const isPublic = citizens.servicesWith(mediaPath(name)).some((service) => services.has(service));
      const photo = isPublic ? await citizens.photo(name) : null;
      if (photo === null) return refuse(reply, [{ code: 404, description: 'there is no such photo' }]);
      const { type, length, stream } = photo;
      reply.raw.once('close', () => stream.destroy());
      reply.header('content-type', type).header('content-length', length).header('content-security-policy', CSP);
      return reply.header('cache-control', 'public, max-age=3600').send(stream);
    },
  );
}

/** The statuses of GeoReport v2: 403, 404, and 400 for anything else that the client can fix; and those of limits. */
function faultsOf(error: FastifyError, request: FastifyRequest, reply: FastifyReply): readonly Fault[] {
  if (!(error instanceof Refused)) {
    const fault = faultOf(error, request);
    if (fault.code === 503) reply.header('retry-after', String(RETRY_S));
    return [fault];
  }
  const { faults, retryAfterS } = error as Refused;
  if (retryAfterS !== null) reply.header('retry-after', String(retryAfterS));
  return faults;
}

const RETRY_S = 2;

function faultOf(error: FastifyError, request: FastifyRequest): Fault {
  if (error instanceof LamppostError) {
    const { code, message: description } = error as LamppostError;
    const status = STATUS[code];
    if (status === 429) return { code: 429, description };
    if (status >= 500) return { code: 503, description };
    return { code: status === 403 || status === 404 ? status : 400, description };
  }
  if (error.statusCode === 415) return { code: 400, description: `send a form: ${URL_ENCODED} or multipart/form-data` };
  if (error.code === 'FST_REQ_FILE_TOO_LARGE')
    return { code: 400, description: 'media: at most 5 MB', reason: 'bad-photo' };
  if (error.statusCode !== undefined && error.statusCode < 500) return { code: 400, description: error.message };
  request.log.error({ err: error }, 'a request failed');
  return { code: 500, description: 'internal error; the server log has the details' };
}
