import type { FastifyReply } from 'fastify';
import { type City, systemClock as clock, DAY_MS, isoOf, type LocalText } from '../../domain/index.ts';
import type { PublicTicket } from '../../tickets/index.ts';
import { PublicOversight, PublicTickets } from '../answers/oversight.ts';
import type { ApiDeps } from '../deps.ts';
import { remembered } from '../remembered.ts';
import type { App } from './routes.ts';

/** Anybody may ask, at any rate: what is public is made once a minute at most. */
const FRESH_MS = 60_000;
const OVERSIGHT_DAYS = 364;
const RESOLVED_DAYS = 30;
const MOST_TICKETS = 10_000;

/** `/public/…`: open data without a key. No person's words, no names, places only as exactly as the city publishes them. */
export function publicRoutes(app: App, deps: ApiDeps): void {
  const tags = ['public'];
  const config = { role: 'open' } as const;
  const oversight = remembered(() => publicOversight(deps, clock.now()), FRESH_MS, clock);
  const tickets = remembered(async () => JSON.stringify(publicTickets(deps, clock.now())), FRESH_MS, clock);
  app.get(
    '/public/oversight.json',
    {
      config,
      schema: {
        tags,
        summary: 'Open data: how the city answers, over 52 weeks, by service, district and week',
        response: { 200: PublicOversight },
      },
    },
    async (_request, reply) => open(reply).send((await oversight()) as never),
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
      return open(reply)
        .type('application/geo+json')
        .serializer(String)
        .send(text as never);
    },
  );
}

/** For everybody's caches and everybody's pages. */
function open(reply: FastifyReply): FastifyReply {
  return reply
    .header('cache-control', `public, max-age=${FRESH_MS / 1_000}`)
    .header('access-control-allow-origin', '*');
}

async function publicOversight({ oversight, city }: ApiDeps, nowMs: number): Promise<object> {
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

function publicTickets({ publicTickets, city }: ApiDeps, nowMs: number): object {
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

function featureOf({ id, location, ...properties }: PublicTicket, title: LocalText): object {
  const geometry = location === null ? null : { type: 'Point', coordinates: [location.lon, location.lat] };
  return { type: 'Feature', id, geometry, properties: { ...properties, title } };
}

function titlesOf(things: ReadonlyMap<string, { readonly title: LocalText }>): Record<string, LocalText> {
  return Object.fromEntries([...things].map(([id, { title }]) => [id, title]));
}
