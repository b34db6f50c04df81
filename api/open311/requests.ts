import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Received } from '../../citizens/index.ts';
import type { Clock, Key } from '../../domain/index.ts';
import { hashSecret } from '../../registry/index.ts';
import type { ApiDeps, CitizenOptions } from '../deps.ts';
import { OPEN311_RESPONSES } from '../responses/open311.ts';
import type { App } from '../routes/routes.ts';
import { JOINED, publicServices, requestOf, type View } from './documents.ts';
import { FiltersSchema, requestQueryOf } from './filters.ts';
import {
  baseOf,
  CommonQuery,
  type Fault,
  FORMAT,
  FormatSchema,
  jurisdictionFault,
  type Language,
  languageOf,
  OPEN,
  onlyHere,
  refuse,
  sendDocument,
  TAGS,
  V2,
} from './protocol.ts';
import { readForm, submissionOf } from './submission.ts';

type Deps = Pick<ApiDeps, 'city' | 'clock' | 'citizens' | 'keys'>;

const ROOT = 'service_requests';

/** `requests` and `tokens` of GeoReport v2. */
export function requestRoutes(app: App, deps: Deps, options: CitizenOptions): void {
  postRoute(app, deps, createRateLimit(deps.clock, options.requestsPerMinute));
  readRoutes(app, deps, options);
  tokenRoute(app, deps);
}

function postRoute(app: App, { city, citizens, keys }: Deps, limit: RateLimit): void {
  app.post(
    `${V2}/requests.${FORMAT}`,
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary:
          'Requests a service with a form, with or without a photo; api_key of role citizen-app, operator or admin',
        consumes: ['application/x-www-form-urlencoded', 'multipart/form-data'],
        params: FormatSchema,
        querystring: CommonQuery,
        response: OPEN311_RESPONSES.posted,
      },
    },
    async (request, reply) => {
      const form = await readForm(request);
      const field = (name: 'api_key' | 'jurisdiction_id' | 'locale') => form.fields.get(name) ?? request.query[name];
      const key = keys.authenticate(field('api_key') ?? bearerOf(request));
      const fault = keyFault(key) ?? jurisdictionFault(field('jurisdiction_id'), city());
      if (fault !== null) return refuse(reply, [fault]);
      if (!limit(key!.id, reply)) return refuse(reply, [TOO_MANY]);
      const { report, faults } = submissionOf(form, city());
      if (report === null) return refuse(reply, faults);
      const received = await citizens.report(report);
      return sendDocument(reply, ROOT, [
        {
          service_request_id: received.ticket.id,
          service_notice: noticeOf(received, languageOf(request, field('locale'))),
          account_id: report.reporter?.accountId ?? null,
          reporter_token: received.token,
        },
      ]);
    },
  );
}

function readRoutes(app: App, { city, clock, citizens }: Deps, options: CitizenOptions): void {
  const preHandler = onlyHere(city);
  const viewOf = (request: FastifyRequest, query: Partial<z.output<typeof FiltersSchema>>): View => ({
    city: city(),
    language: languageOf(request, query.locale),
    base: baseOf(request, options),
    extended: query.extensions === 'true',
  });
  app.get(
    `${V2}/requests.${FORMAT}`,
    {
      config: OPEN,
      preHandler,
      schema: {
        tags: TAGS,
        summary: 'Lists requests, newest first',
        params: FormatSchema,
        querystring: FiltersSchema,
        response: OPEN311_RESPONSES.requests,
      },
    },
    async (request, reply) => {
      const { query, faults } = requestQueryOf(request.query, { city: city(), nowMs: clock.now() });
      if (faults.length > 0) return refuse(reply, faults);
      const view = viewOf(request, request.query);
      const requests = citizens.requests.list(query).map((one) => requestOf(one, view));
      return sendDocument(reply, ROOT, requests);
    },
  );
  app.get(
    `${V2}/requests/:id.${FORMAT}`,
    {
      config: OPEN,
      preHandler,
      schema: {
        tags: TAGS,
        summary: 'Returns a request',
        params: FormatSchema.extend({ id: z.string() }),
        querystring: CommonQuery.extend({ extensions: FiltersSchema.shape.extensions }),
        response: OPEN311_RESPONSES.requests,
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const found = citizens.requests.get(id);
      if (found === null || !publicServices(city()).has(found.ticket.service))
        return refuse(reply, [{ code: 404, description: `service_request_id: there is no request "${id}"` }]);
      return sendDocument(reply, ROOT, [requestOf(found, viewOf(request, request.query))]);
    },
  );
}

function tokenRoute(app: App, { city, citizens }: Deps): void {
  app.get(
    `${V2}/tokens/:token.${FORMAT}`,
    {
      config: OPEN,
      preHandler: onlyHere(city),
      schema: {
        tags: TAGS,
        summary: 'Returns the request of a token',
        params: FormatSchema.extend({ token: z.string() }),
        querystring: CommonQuery,
        response: OPEN311_RESPONSES.token,
      },
    },
    async (request, reply) => {
      const { token } = request.params;
      const id = citizens.requests.idOf(hashSecret(token));
      if (id === null) return refuse(reply, [{ code: 404, description: 'token: no request has it' }]);
      return sendDocument(reply, ROOT, [{ service_request_id: id, token }]);
    },
  );
}

const ROLES: readonly Key['role'][] = ['citizen-app', 'operator', 'admin'];
const TOO_MANY: Fault = {
  code: 429,
  description: 'too many requests with this api_key; Retry-After says when to try again',
};

function keyFault(key: Key | null): Fault | null {
  if (key === null)
    return { code: 403, description: 'api_key: is missing or not valid; service discovery says how to get one' };
  if (ROLES.includes(key.role)) return null;
  return { code: 403, description: `api_key: needs a key of role ${ROLES.join(', ')}; yours is ${key.role}` };
}

/** Apps that keep their key out of forms send it as other keys are sent. */
function bearerOf({ headers }: FastifyRequest): string {
  return /^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
}

function noticeOf({ ticket, token }: Received, language: Language): string {
  const joined = ticket.relation === 'report' ? [JOINED[language](ticket.parent!)] : [];
  const notice = {
    en: `Keep this token, it is shown once: ${token}. With it you can rate the work when it is done.`,
    zh: `请保存此凭证（仅显示一次）：${token}。结案后可凭此评价。`,
  };
  return [...joined, notice[language]].join(' ');
}

/**
 * Counts one more request of a client; false where it exceeds the limit. Sets the RateLimit headers (IETF draft 10) and
 * Retry-After.
 */
type RateLimit = (client: string, reply: FastifyReply) => boolean;

const WINDOW_MS = 60_000;

/** A limit per client over fixed minutes; 0: none. */
function createRateLimit(clock: Clock, perMinute: number): RateLimit {
  const counts = new Map<string, number>();
  let began = 0;
  return (client, reply) => {
    if (perMinute === 0) return true;
    const nowMs = clock.now();
    if (nowMs - began >= WINDOW_MS || nowMs < began) {
      counts.clear();
      began = nowMs;
    }
    const count = (counts.get(client) ?? 0) + 1;
    counts.set(client, count);
    const seconds = Math.ceil((began + WINDOW_MS - nowMs) / 1_000);
    reply.header('ratelimit-policy', `"requests";q=${perMinute};w=${WINDOW_MS / 1_000}`);
    reply.header('ratelimit', `"requests";r=${Math.max(0, perMinute - count)};t=${seconds}`);
    if (count > perMinute) reply.header('retry-after', String(seconds));
    return count <= perMinute;
  };
}
