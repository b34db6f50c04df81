import { z } from 'zod';
import {
  type City,
  csvLine,
  DAY_MS,
  HOUR_MS,
  isoOf,
  LamppostError,
  type LatestReading,
  MINUTE_MS,
  nameOfState,
  type ReadingsQuery,
  SeriesSchema,
  type ShapeOf,
} from '../../domain/index.ts';
import type { RegisteredDevice } from '../../registry/index.ts';
import { createCache, type Rendered, renderedOf, sendRendered } from '../cache.ts';
import { csvPoints } from '../csv.ts';
import type { ApiDeps } from '../deps.ts';
import { publicServices } from '../open311/documents.ts';
import { jsonPoints, textOfPoints, type ValuesOf } from '../points.ts';
import { PublicCity, PublicReadings } from '../responses/open-data.ts';
import { Name } from '../schema.ts';
import { memoize, openToAll } from './public.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'city' | 'clock' | 'devices' | 'history' | 'queries'>;

const FRESH_MS = 60_000;
const MOST_DEVICES = 10_000;
const JSON_TYPE = 'application/json; charset=utf-8';
const CSV_TYPE = 'text/csv; charset=utf-8; header=present';

/** The times that a chart may show, each in some hundreds of points. */
const SPANS = {
  day: { spanMs: DAY_MS, everyMs: 10 * MINUTE_MS },
  week: { spanMs: 7 * DAY_MS, everyMs: HOUR_MS },
  month: { spanMs: 30 * DAY_MS, everyMs: 6 * HOUR_MS },
  year: { spanMs: 365 * DAY_MS, everyMs: DAY_MS },
} as const;

const tags = ['public'];
const config = { permission: 'open' } as const;

/** `/public/city.json`, `/public/readings.…`, `/public/history`: what `publication` in city.yaml lets anybody see. */
export function openDataRoutes(app: App, deps: Deps): void {
  const { city } = deps;
  const shown = oncePer(city, (one) => renderedOf(JSON.stringify(shownCity(one))));
  app.get(
    '/public/city.json',
    {
      config,
      schema: {
        tags,
        summary: 'Open data: the districts, the metrics that are published, and what citizens may ask for',
        response: { 200: PublicCity },
      },
    },
    async (_request, reply) => sendRendered(openToAll(reply).type(JSON_TYPE), shown(), FRESH_MS),
  );
  latestRoutes(app, deps);
  historyRoutes(app, deps);
}

/** Makes a document once for each city: anybody may ask for it at any rate. */
function oncePer(city: () => City, make: (city: City) => Rendered): () => Rendered {
  let known: { readonly city: City; readonly document: Rendered } | null = null;
  return () => {
    const now = city();
    if (known?.city !== now) known = { city: now, document: make(now) };
    return known.document;
  };
}

function shownCity(city: City): ShapeOf<typeof PublicCity> {
  const { name, timezone, publication, open311, map, metrics, districts } = city;
  return {
    name,
    timezone,
    map,
    licence: publication.licence,
    contact: open311.contact,
    requests: publication.requests,
    districts: [...districts.values()].map(({ geometry: { type, coordinates }, ...district }) => ({
      ...district,
      geometry: { type, coordinates: coordinates as unknown[] },
    })),
    metrics: publication.readings.map((id) => metrics.get(id)!).map(({ id, title, unit }) => ({ id, title, unit })),
    services: [...publicServices(city).values()].map(({ id, title, description, attributes }) => ({
      ...{ id, title, description: description ?? title },
      attributes: attributes.map(({ code, title: asked, hint, datatype, required, values }) => ({
        ...{ code, title: asked, hint, datatype, required },
        values: values.map(({ key, title: named }) => ({ key, title: named })),
      })),
    })),
  };
}

function latestRoutes(app: App, deps: Deps): void {
  const newest = memoize(() => newestOf(deps), FRESH_MS, deps.clock);
  const geojson = memoize(
    async () => renderedOf(JSON.stringify(featuresOf(await newest(), deps))),
    FRESH_MS,
    deps.clock,
  );
  const csv = memoize(async () => renderedOf(latestCsv(await newest(), deps)), FRESH_MS, deps.clock);
  app.get(
    '/public/readings.geojson',
    {
      config,
      schema: {
        tags,
        summary: 'Open data: the newest readings of the metrics that the city publishes, as GeoJSON (RFC 7946)',
        response: { 200: { description: 'GeoJSON', content: { 'application/geo+json': { schema: PublicReadings } } } },
      },
    },
    async (_request, reply) => sendRendered(openToAll(reply).type('application/geo+json'), await geojson(), FRESH_MS),
  );
  app.get(
    '/public/readings.csv',
    {
      config,
      schema: {
        tags,
        summary: 'Open data: the newest readings of the metrics that the city publishes, as CSV',
        response: { 200: { description: 'CSV', content: { 'text/csv': { schema: z.string() } } } },
      },
    },
    async (_request, reply) => sendRendered(openToAll(reply).type(CSV_TYPE), await csv(), FRESH_MS),
  );
}

/** A device that is still registered, and its newest published readings. */
interface Newest {
  readonly device: RegisteredDevice;
  readonly readings: LatestReading[];
}

async function newestOf({ city, devices, history }: Deps): Promise<readonly Newest[]> {
  const { readings: metrics } = city().publication;
  const found = new Map<string, Newest>();
  if (metrics.length === 0) return [];
  for await (const some of history.latest({ metrics })) {
    for (const reading of some) {
      const known = found.get(reading.device);
      const device = known?.device ?? devices.get(reading.device);
      if (known !== undefined) known.readings.push(reading);
      else if (device !== null && found.size < MOST_DEVICES) found.set(device.id, { device, readings: [reading] });
    }
  }
  return [...found.values()];
}

/** A place as exactly as the city publishes it, [lon, lat]; null: it has none. */
function placeOf({ location }: RegisteredDevice, { coordinateDecimals }: City['publication']): [number, number] | null {
  if (location === undefined) return null;
  const rounded = (degrees: number) => Number(degrees.toFixed(coordinateDecimals));
  return [rounded(location.lon), rounded(location.lat)];
}

function featuresOf(all: readonly Newest[], { city, clock }: Deps): ShapeOf<typeof PublicReadings> {
  const { name, publication, metrics } = city();
  return {
    type: 'FeatureCollection',
    city: name,
    licence: publication.licence,
    generatedAt: isoOf(clock.now()),
    features: all.map(({ device, readings }) => {
      const coordinates = placeOf(device, publication);
      return {
        type: 'Feature' as const,
        id: device.id,
        geometry: coordinates === null ? null : { type: 'Point' as const, coordinates },
        properties: {
          district: device.district,
          readings: readings.map(({ metric, unit, value, at }) => {
            const values = metrics.get(metric)?.values;
            return { metric, unit, value, ...(values && { state: nameOfState(values, value) }), at };
          }),
        },
      };
    }),
  };
}

const COLUMNS = ['device', 'district', 'lat', 'lon', 'metric', 'unit', 'ts', 'value'];

function latestCsv(all: readonly Newest[], { city }: Deps): string {
  const lines = all.flatMap(({ device, readings }) => {
    const [lon, lat] = placeOf(device, city().publication) ?? [null, null];
    return readings.map(({ metric, unit, at, value }) =>
      csvLine([device.id, device.district, lat, lon, metric, unit, at, value]),
    );
  });
  return csvLine(COLUMNS) + lines.join('');
}

const Asked = z.object({
  device: Name,
  metric: Name,
  span: z.enum(['day', 'week', 'month', 'year']).default('day'),
  format: z.enum(['json', 'csv']).default('json'),
});
type Asked = z.output<typeof Asked>;

/** How long the history may be read for a chart, ms. */
const WITHIN_MS = 10_000;
/** Charts of different addresses: the history itself gives each a share of its time. */
const CHARTS_AT_ONCE = 4;

function historyRoutes(app: App, deps: Deps): void {
  const { city, clock, history, queries } = deps;
  // What is shown of a chart is read once a minute for all who ask for the same; one of an address at a time.
  const cache = createCache(clock, () => city().version, { forMs: FRESH_MS, atOnce: CHARTS_AT_ONCE });

  async function rendered(
    query: ReadingsQuery,
    { format, by }: { format: Asked['format']; by: string },
  ): Promise<Rendered> {
    const slices = history.read(query, { by, withinMs: WITHIN_MS });
    const valuesOf: ValuesOf = (metric) => (query.fn === 'last' ? city().metrics.get(metric)?.values : undefined);
    const form = format === 'json' ? jsonPoints(valuesOf) : csvPoints(valuesOf);
    let text = '';
    for await (const piece of textOfPoints(slices, { format: form, fill: null, written: () => {} })) text += piece;
    return renderedOf(text);
  }

  app.get(
    '/public/history',
    {
      config: { ...config, concurrency: 'lists' },
      schema: {
        tags,
        summary: 'Open data: a published metric of a device over a day, week, month or year. JSON or CSV',
        querystring: Asked,
        response: { 200: z.object({ series: z.array(SeriesSchema) }) },
      },
    },
    async (request, reply) => {
      const { device, metric, span, format } = request.query;
      const query = queryOf(deps, request.query);
      const by = `public ${request.source}`;
      const document = await cache.get(request, `${format} ${device} ${metric} ${span}`, async () => {
        const asked = queries.begin(by, reply.raw);
        return await rendered(query, { format, by }).finally(asked.worked);
      });
      return sendRendered(openToAll(reply).type(format === 'json' ? JSON_TYPE : CSV_TYPE), document, FRESH_MS);
    },
  );
}

/** Throws `not-found` for what the city does not publish. */
function queryOf({ city, clock, devices }: Deps, { device, metric, span }: Asked): ReadingsQuery {
  const { publication, metrics, profiles } = city();
  const profile = devices.get(device)?.profile;
  const measured = profile !== undefined && (profiles.get(profile)?.metrics.includes(metric) ?? false);
  if (!measured || !publication.readings.includes(metric))
    throw new LamppostError('not-found', `the city publishes no "${metric}" of a device "${device}"`);
  const { spanMs, everyMs } = SPANS[span];
  const toMs = Math.ceil(clock.now() / everyMs) * everyMs;
  // What a meter counts is shown as how much it counted, and a state has no mean.
  const { kind } = metrics.get(metric)!;
  const fn = kind === 'counter' ? 'delta' : kind === 'state' ? 'last' : 'mean';
  return { devices: [device], metrics: [metric], fromMs: toMs - spanMs, toMs, everyMs, fn, maxPoints: 1_000 };
}
