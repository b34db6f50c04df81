import { setImmediate } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { type City, type Clock, DAY_MS, isoOf, type LocalText, type ShapeOf } from '../../domain/index.ts';
import type { PublicPage, PublicTicket } from '../../tickets/index.ts';
import { renderedOf, sendRendered } from '../cache.ts';
import type { ApiDeps } from '../deps.ts';
import { PublicOversight, PublicTickets } from '../responses/oversight.ts';
import type { App } from './routes.ts';

/** Anybody may ask at any rate: public data is computed at most once a minute. */
type Deps = Pick<ApiDeps, 'oversight' | 'publicTickets' | 'city' | 'clock'>;

const FRESH_MS = 60_000;
const OVERSIGHT_DAYS = 364;
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
  const aggregates = async () => renderedOf(JSON.stringify(await publicOversight(deps, clock.now())));
  const oversight = memoize(aggregates, FRESH_MS, clock);
  const tickets = memoize(async () => renderedOf(await publicTickets(deps, clock.now())), FRESH_MS, clock);
  app.get(
    '/public/oversight.json',
    {
      config,
      schema: {
        tags,
        summary: 'Open data: how the city responds over 52 weeks, by service, district and week',
        response: { 200: PublicOversight },
      },
    },
    async (_request, reply) => {
      const document = await oversight();
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

async function publicOversight({ oversight, city }: Deps, nowMs: number): Promise<ShapeOf<typeof PublicOversight>> {
  const { timezone, departments, services, districts, ...about } = city();
  const fromMs = nowMs - OVERSIGHT_DAYS * DAY_MS;
  // What citizens cannot report is counted in the totals, and named nowhere.
  const shown = new Map([...services].filter(([, { open311 }]) => open311));
  const query = { fromMs, toMs: nowMs, timezone };
  return {
    ...described(about, nowMs),
    from: isoOf(fromMs),
    departments: titlesOf(departments),
    services: titlesOf(shown),
    districts: titlesOf(districts),
    total: (await oversight.read({ ...query, by: [] }))[0] ?? null,
    byService: (await oversight.read({ ...query, by: ['department', 'service'] })).filter(({ service = '' }) =>
      shown.has(service),
    ),
    byDistrict: await oversight.read({ ...query, by: ['district'] }),
    byWeek: await oversight.read({ ...query, by: ['week'] }),
  };
}

/** Resolves to GeoJSON. Other work of the thread runs after each piece. */
async function publicTickets({ publicTickets, city }: Deps, nowMs: number): Promise<string> {
  const { services, publication, name } = city();
  const query = {
    services: [...services.values()].filter(({ open311 }) => open311).map(({ id }) => id),
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
