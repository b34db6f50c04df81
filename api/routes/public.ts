import type { FastifyReply } from 'fastify';
import { type City, type Clock, DAY_MS, isoOf, type LocalText, type ShapeOf } from '../../domain/index.ts';
import type { PublicTicket } from '../../tickets/index.ts';
import type { ApiDeps } from '../deps.ts';
import { PublicOversight, PublicTickets } from '../responses/oversight.ts';
import { sendRaw } from '../schema.ts';
import type { App } from './routes.ts';

/** Anybody may ask at any rate: public data is computed at most once a minute. */
type Deps = Pick<ApiDeps, 'oversight' | 'publicTickets' | 'city' | 'clock'>;

const FRESH_MS = 60_000;
const OVERSIGHT_DAYS = 364;
const RESOLVED_DAYS = 30;
const MOST_TICKETS = 10_000;

/**
 * `/public/…`: open data without a key. It has no names and no texts of people, and places only as exactly as the city
 * publishes them.
 */
export function publicRoutes(app: App, deps: Deps): void {
  const { clock } = deps;
  const tags = ['public'];
  const config = { role: 'open' } as const;
  const oversight = memoize(() => publicOversight(deps, clock.now()), FRESH_MS, clock);
  const tickets = memoize(async () => JSON.stringify(publicTickets(deps, clock.now())), FRESH_MS, clock);
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
      open(reply);
      return oversight();
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
      const text = await tickets();
      return sendRaw(open(reply), 'application/geo+json', text);
    },
  );
}

/** Lets caches store the response and pages of other origins read it. */
function open(reply: FastifyReply): FastifyReply {
  return reply
    .header('cache-control', `public, max-age=${FRESH_MS / 1_000}`)
    .header('access-control-allow-origin', '*');
}

async function publicOversight({ oversight, city }: Deps, nowMs: number): Promise<ShapeOf<typeof PublicOversight>> {
  const { timezone, departments, services, districts, ...about } = city();
  const fromMs = nowMs - OVERSIGHT_DAYS * DAY_MS;
  const query = { fromMs, toMs: nowMs, timezone };
  return {
    ...described(about, nowMs),
    from: isoOf(fromMs),
    departments: titlesOf(departments),
    services: titlesOf(services),
    districts: titlesOf(districts),
    total: (await oversight.read({ ...query, by: [] }))[0] ?? null,
    byService: await oversight.read({ ...query, by: ['department', 'service'] }),
    byDistrict: await oversight.read({ ...query, by: ['district'] }),
    byWeek: await oversight.read({ ...query, by: ['week'] }),
  };
}

function publicTickets({ publicTickets, city }: Deps, nowMs: number): ShapeOf<typeof PublicTickets> {
  const { services, publication, name } = city();
  const tickets = publicTickets({
    services: [...services.values()].filter(({ open311 }) => open311).map(({ id }) => id),
    resolvedSinceMs: nowMs - RESOLVED_DAYS * DAY_MS,
    coordinateDecimals: publication.coordinateDecimals,
    limit: MOST_TICKETS,
  });
  return {
    type: 'FeatureCollection',
    ...described({ name, publication }, nowMs),
    features: tickets.map((ticket) => featureOf(ticket, services.get(ticket.service)!.title)),
  };
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
