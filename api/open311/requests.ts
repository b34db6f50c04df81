import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Received, Report } from '../../citizens/index.ts';
import { actorOf, keyPrincipal } from '../../domain/index.ts';
import { hashSecret } from '../../registry/index.ts';
import type { Pause, RequestQuery } from '../../tickets/index.ts';
import { createCache, type Rendered, renderedOf, sendRendered } from '../cache.ts';
import { idempotencyKeyIn } from '../caller.ts';
import type { ApiDeps, CitizenOptions } from '../deps.ts';
import { OPEN311_RESPONSES } from '../responses/open311.ts';
import type { App } from '../routes/routes.ts';
import { createRequestLimit } from './admission.ts';
import { JOINED, publicServices, requestOf, type View } from './documents.ts';
import { FiltersSchema, requestQueryOf } from './filters.ts';
import { type Form, readForm } from './form.ts';
import {
  baseOf,
  CommonQuery,
  describe,
  FORMAT,
  type Format,
  FormatSchema,
  formatOf,
  itemOf,
  type Language,
  languageOf,
  listOf,
  OPEN,
  onlyHere,
  Refused,
  refuse,
  sendDocument,
  TAGS,
  V2,
} from './protocol.ts';
import { submissionOf } from './submission.ts';
import { cleaned, updateRoutes } from './updates.ts';
import { createVisits, type Visit } from './visit.ts';

type Deps = Pick<ApiDeps, 'city' | 'clock' | 'citizens' | 'keys' | 'events'>;

const ROOT = 'service_requests';

/** The part of an app's limit that an address has without a key: a person reports a few things, not a hundred. */
const STRANGERS = 1 / 12;

/** `requests` and `tokens` of GeoReport v2. */
export function requestRoutes(app: App, deps: Deps, options: CitizenOptions): void {
  const { city, clock, keys } = deps;
  const { requestsPerMinute } = options;
  const limits = {
    limit: createRequestLimit(clock, requestsPerMinute),
    strangersLimit: createRequestLimit(clock, Math.ceil(requestsPerMinute * STRANGERS), { strangers: true }),
  };
  postRoute(app, deps, createVisits({ keys, forAnybody: () => city().publication.requests, ...limits }));
  updateRoutes(app, deps, options, createVisits({ keys, forAnybody: () => false, ...limits }));
  readRoutes(app, deps, options);
  tokenRoute(app, deps);
}

function postRoute(app: App, { city, citizens }: Deps, visitOf: ReturnType<typeof createVisits>): void {
  app.post(
    `${V2}/requests.${FORMAT}`,
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary:
          'Requests a service with a form, with or without a photo; api_key of role citizen-app, operator or admin; without one where city.yaml lets anybody',
        consumes: ['application/x-www-form-urlencoded', 'multipart/form-data'],
        params: FormatSchema,
        querystring: CommonQuery,
        response: OPEN311_RESPONSES.posted,
      },
    },
    async (request, reply) => {
      const visit = visitOf(request, reply);
      try {
        const form = await readForm(request, reply, visit, city());
        const report = await reportOf(form, visit);
        const key = idempotencyKeyIn(request.headers['idempotency-key']);
        const received = await citizens.report(report, { actor: actorOf(keyPrincipal(visit.key!)), key });
        const locale = form.fields.get('locale') ?? request.query.locale;
        return sendDocument(reply, ROOT, [
          {
            service_request_id: received.ticket.id,
            service_notice: noticeOf(received, languageOf(request, locale)),
            account_id: report.reporter?.accountId ?? null,
            reporter_token: received.token,
          },
        ]);
      } finally {
        visit.leave();
      }
    },
  );

  /** Checks all that is cheap before the photo is decoded. Throws `Refused`. */
  async function reportOf({ files, ...form }: Form, visit: Visit): Promise<Report> {
    const { report, faults } = submissionOf(form, city());
    if (report === null) throw new Refused(faults);
    const declared = report.reporter?.deviceId ?? report.reporter?.accountId;
    if (declared) visit.declare(declared);
    return { ...report, photos: await cleaned(files, visit, citizens) };
  }
}

function readRoutes(app: App, deps: Deps, options: CitizenOptions): void {
  const { city, clock, citizens } = deps;
  const cache = createCache(clock, versionOf(deps));
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
      const { api_key: _, locale: __, jurisdiction_id: ___, ...filters } = request.query;
      const { query, faults } = requestQueryOf(request.query, { city: city(), nowMs: clock.now() });
      if (faults.length > 0) return refuse(reply, faults);
      const view = viewOf(request, request.query);
      const format = formatOf(request);
      const { language, base, extended } = view;
      const name = JSON.stringify({ format, language, base, extended, ...filters });
      const page = await cache.get(request, name, (pause) => listing(citizens, { query, view, format, pause }));
      if (page.more) reply.header('link', `<${nextOf(request, base, query)}>; rel="next"`);
      return sendRendered(describe(reply, format), page, FRESH_MS);
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
      if (found === null || !publicServices(city()).has(found.service))
        return refuse(reply, [{ code: 404, description: `service_request_id: there is no request "${id}"` }]);
      return sendDocument(reply, ROOT, [requestOf(citizens.shown.request(found), viewOf(request, request.query))]);
    },
  );
}

/** How long a list is sent without being made again where no ticket changed, ms. */
const FRESH_MS = 5_000;
/** Requests that are written before other work of the thread runs: some milliseconds. */
const PIECE = 25;

/** Returns the function that returns another version after each change of a ticket, of the city or of words. */
function versionOf({ city, events, citizens }: Pick<Deps, 'city' | 'events' | 'citizens'>): () => string {
  let [known, changes] = [city(), 0];
  return () => {
    if (city() !== known) [known, changes] = [city(), changes + 1];
    return `${changes} ${events.head()} ${citizens.rewrites()}`;
  };
}

interface Listing {
  readonly query: RequestQuery;
  readonly view: View;
  readonly format: Format;
  readonly pause: Pause;
}

/** Returns a page of requests. It looks for one more, to know whether another page follows. */
async function listing(
  { requests, shown }: Pick<Deps['citizens'], 'requests' | 'shown'>,
  { query, view, format, pause }: Listing,
): Promise<Rendered> {
  const ids = await requests.find({ ...query, limit: query.limit + 1 }, pause);
  const items: string[] = [];
  for (let at = 0; at < Math.min(ids.length, query.limit); at += PIECE) {
    const some = requests.read(ids.slice(at, Math.min(at + PIECE, query.limit)));
    items.push(...some.map((one) => itemOf(ROOT, requestOf(shown.request(one), view), format)));
    await pause();
  }
  return renderedOf(listOf(ROOT, items, format), ids.length > query.limit);
}

/** Returns the address of the next page. */
function nextOf({ url }: FastifyRequest, base: string, { limit, offset }: RequestQuery): string {
  const next = new URL(url, 'http://localhost');
  next.searchParams.delete('api_key');
  next.searchParams.set('page', String(offset / limit + 2));
  return base + next.pathname + next.search;
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

function noticeOf({ ticket, token }: Received, language: Language): string {
  const joined = ticket.relation === 'report' ? [JOINED[language](ticket.parent!)] : [];
  const notice = {
    en: `Keep this token, it is shown once: ${token}. With it you can rate the work when it is done.`,
    zh: `请保存此凭证（仅显示一次）：${token}。结案后可凭此评价。`,
  };
  return [...joined, notice[language]].join(' ');
}
