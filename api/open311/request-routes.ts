import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { hashSecret } from '../../registry/index.ts';
import { OPEN311_ANSWERS } from '../answers/open311.ts';
import type { ApiDeps, CitizenOptions } from '../deps.ts';
import { createRateLimit } from '../rate-limit.ts';
import type { App } from '../routes/routes.ts';
import { Asked, answer, FORMAT, FormatSchema, languageOf, refuse } from './answer.ts';
import { baseOf, notHere, OPEN, TAGS, V2 } from './endpoint.ts';
import { FiltersSchema, requestQueryOf } from './filters.ts';
import { createReceiver } from './receive.ts';
import { publicServices } from './services.ts';
import { type Showing, shownRequest } from './shown.ts';

const ROOT = 'service_requests';

/** `requests` and `tokens` of GeoReport v2. */
export function requestRoutes(app: App, deps: ApiDeps, options: CitizenOptions): void {
  const { city, clock, citizens } = deps;
  const receive = createReceiver(deps, createRateLimit(clock, options.requestsPerMinute));
  const showing = (
    request: FastifyRequest,
    query: { locale?: string | undefined; extensions?: string | undefined },
  ): Showing => ({
    city: city(),
    language: languageOf(request, query.locale),
    base: baseOf(request, options),
    extended: query.extensions === 'true',
  });

  app.post(
    `${V2}/requests.${FORMAT}`,
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary: 'Asks for a service: a form, with a photo or without; api_key of role citizen-app, operator or admin',
        consumes: ['application/x-www-form-urlencoded', 'multipart/form-data'],
        params: FormatSchema,
        querystring: Asked,
        response: OPEN311_ANSWERS.posted,
      },
    },
    (request, reply) => receive(request, reply, request.query),
  );
  app.get(
    `${V2}/requests.${FORMAT}`,
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary: 'Requests, newest first',
        params: FormatSchema,
        querystring: FiltersSchema,
        response: OPEN311_ANSWERS.requests,
      },
    },
    async (request, reply) => {
      const fault = notHere(request.query.jurisdiction_id, city());
      if (fault !== null) return refuse(reply, [fault]);
      const { query, faults } = requestQueryOf(request.query, { city: city(), nowMs: clock.now() });
      if (faults.length > 0) return refuse(reply, faults);
      const how = showing(request, request.query);
      return answer(
        reply,
        ROOT,
        citizens.requests.list(query).map((one) => shownRequest(one, how)),
      );
    },
  );
  app.get(
    `${V2}/requests/:id.${FORMAT}`,
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary: 'One request',
        params: FormatSchema.extend({ id: z.string() }),
        querystring: Asked.extend({ extensions: FiltersSchema.shape.extensions }),
        response: OPEN311_ANSWERS.requests,
      },
    },
    async (request, reply) => {
      const fault = notHere(request.query.jurisdiction_id, city());
      if (fault !== null) return refuse(reply, [fault]);
      const { id } = request.params;
      const found = citizens.requests.get(id);
      if (found === null || !publicServices(city()).has(found.ticket.service))
        return refuse(reply, [{ code: 404, description: `service_request_id: there is no request "${id}"` }]);
      return answer(reply, ROOT, [shownRequest(found, showing(request, request.query))]);
    },
  );
  app.get(
    `${V2}/tokens/:token.${FORMAT}`,
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary: 'The request of a token',
        params: FormatSchema.extend({ token: z.string() }),
        querystring: Asked,
        response: OPEN311_ANSWERS.token,
      },
    },
    async (request, reply) => {
      const fault = notHere(request.query.jurisdiction_id, city());
      if (fault !== null) return refuse(reply, [fault]);
      const { token } = request.params;
      const id = citizens.requests.idOf(hashSecret(token));
      if (id === null) return refuse(reply, [{ code: 404, description: 'token: no request has it' }]);
      return answer(reply, ROOT, [{ service_request_id: id, token }]);
    },
  );
}
