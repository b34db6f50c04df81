import { setImmediate } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { type City, type Clock, DAY_MS, isoOf, type LocalText, requireName, type ShapeOf } from '../../domain/index.ts';
import type { PublicPage, PublicTicket } from '../../tickets/index.ts';
import { createCache, renderedOf, sendRendered } from '../cache.ts';
import type { ApiDeps } from '../deps.ts';
import { PublicOversight, PublicTickets } from '../responses/oversight.ts';
import { given, Name } from '../schema.ts';
import type { App } from './routes.ts';

/** Anybody may ask at any rate: public data is computed at most once a minute. */
type Deps = Pick<ApiDeps, 'oversight' | 'publicTickets' | 'city' | 'clock'>;

const FRESH_MS = 60_000;
/** How far back the aggregates may go: a year, two, five. */
const WEEKS = ['52', '104', '260'] as const;
const RESOLVED_DAYS = 30;
const MOST_TICKETS = 10_000;
/** Tickets that are read and written before other work of the thread runs. */
const PIECE = 500;

/**
 * `/public/…`: open data without a key. It has no names and no texts of people, and places only as exactly as the city
 * publishes them.
 */
export function publicRoutes(app: App, deps: Deps): void {
  const { clock } = deps;
  const tags = ['public'];
  const config = { permission: 'open' } as const;
  // Each combination is made once a minute for all, one after another.
  const oversight = createCache(clock, () => deps.city().version, { forMs: FRESH_MS });
  const tickets = memoize(async () => renderedOf(await publicTickets(deps, clock.now())), FRESH_MS, clock);
  app.get(
    '/public/oversight.json',
    {
      config: { ...config, concurrency: 'lists' },
      schema: {
        tags,
        summary: 'Open data: how the city responds, over 52 to 260 weeks, by service, district and week',
        querystring: About,
        response: { 200: PublicOversight },
      },
    },
    async (request, reply) => {
      const about = request.query;
      const { service = '', district = '', weeks } = about;
      known(deps.city(), about);
      const document = await oversight.get(request, `${weeks} ${service} ${district}`, async () =>
        renderedOf(JSON.stringify(await publicOversight(deps, about))),
      );
      return sendRendered(openToAll(reply).type('application/json; charset=utf-8'), document, FRESH_MS);
    },
  );
  app.get(
    '/public/tickets.geojson',
    {
      config,
      schema: {
        tags,
        summary:
          'Open data: tickets of public services that are open or were resolved within 30 days, as GeoJSON (RFC 7946)',
        response: { 200: { description: 'GeoJSON', content: { 'application/geo+json': { schema: PublicTickets } } } },
      },
    },
    async (_request, reply) => {
      const document = await tickets();
      return sendRendered(openToAll(reply).type('application/geo+json'), document, FRESH_MS);
    },
  );
}

/** Lets pages of other origins read the response. */
export function openToAll(reply: FastifyReply): FastifyReply {
  return reply.header('access-control-allow-origin', '*');
}

const About = z.object({
  weeks: z.enum(WEEKS).default('52').describe('How many weeks, until now'),
  service: Name.optional().describe('Only tickets of this service; of those that citizens may ask for'),
  district: Name.optional().describe('Only tickets of this district'),
});
type About = z.output<typeof About>;

/** Returns the services that citizens may ask for. */
function publicOf(services: City['services']): City['services'] {
  return new Map([...services].filter(([, { open311 }]) => open311));
}

/** Throws `not-found`, with a suggestion, for what the city does not publish. */
function known({ services, districts }: City, { service, district }: About): void {
  if (service !== undefined) requireName('service', service, publicOf(services), '', 'not-found');
  if (district !== undefined) requireName('district', district, districts, '', 'not-found');
}

async function publicOversight(
  { oversight, city, clock }: Deps,
  { weeks, service, district }: About,
): Promise<ShapeOf<typeof PublicOversight>> {
  const { timezone, departments, services, districts, ...about } = city();
  const nowMs = clock.now();
  const fromMs = nowMs - Number(weeks) * 7 * DAY_MS;
  // What citizens cannot report is counted in the totals, and named nowhere.
  const shown = publicOf(services);
  const query = { fromMs, toMs: nowMs, timezone, ...given({ service, district }) };
  const groupings = [[], ['department', 'service'], ['district'], ['week']] as const;
  const [total, byService, byDistrict, byWeek] = await oversight.readEach(query, groupings);
  return {
    ...described(about, nowMs),
    from: isoOf(fromMs),
    service: service ?? null,
    district: district ?? null,
    departments: titlesOf(departments),
    services: titlesOf(shown),
    districts: titlesOf(districts),
    total: total![0] ?? null,
    byService: byService!.filter((line) => shown.has(line.service ?? '')),
    byDistrict: byDistrict!,
    byWeek: byWeek!,
  };
}

/** Resolves to GeoJSON. Other work of the thread runs after each piece. */
async function publicTickets({ publicTickets, city }: Deps, nowMs: number): Promise<string> {
  const { services, publication, name } = city();
  const query = {
    services: [...publicOf(services).keys()],
    resolvedSinceMs: nowMs - RESOLVED_DAYS * DAY_MS,
    coordinateDecimals: publication.coordinateDecimals,
    limit: PIECE,
  };
  const features: string[] = [];
  for (let before: number | null = null; features.length < MOST_TICKETS; ) {
    const { tickets, next }: PublicPage = publicTickets({ ...query, before });
    features.push(...tickets.map((ticket) => JSON.stringify(featureOf(ticket, services.get(ticket.service)!.title))));
    await setImmediate();
    if (next === null) break;
    before = next;
  }
  const about = JSON.stringify({ type: 'FeatureCollection', ...described({ name, publication }, nowMs) });
  return `${about.slice(0, -1)},"features":[${features.join(',')}]}`;
}

function described({ name, publication }: Pick<City, 'name' | 'publication'>, nowMs: number) {
  return { city: name, licence: publication.licence, generatedAt: isoOf(nowMs) };
}

function featureOf({ id, location, ...properties }: PublicTicket, title: LocalText): Feature {
  const geometry =
    location === null ? null : { type: 'Point' as const, coordinates: [location.lon, location.lat] as const };
  return { type: 'Feature', id, geometry, properties: { ...properties, title } };
}

type Feature = ShapeOf<typeof PublicTickets>['features'][number];

function titlesOf(things: ReadonlyMap<string, { readonly title: LocalText }>): Record<string, LocalText> {
  return Object.fromEntries([...things].map(([id, { title }]) => [id, title]));
}

/** Computes a value once for all callers within a time, also while it is being computed. A failure is not cached. */
export function memoize<T>(compute: () => Promise<T>, forMs: number, clock: Clock): () => Promise<T> {
  let cached: Promise<T> | null = null;
  let computedMs = Number.NEGATIVE_INFINITY;
  return () => {
    const ageMs = clock.now() - computedMs;
    // A clock that was set back makes nothing last longer.
    if (cached !== null && ageMs >= 0 && ageMs < forMs) return cached;
    const value = compute();
    cached = value;
    computedMs = clock.now();
    value.catch(() => {
      if (cached === value) cached = null;
    });
    return value;
  };
}
