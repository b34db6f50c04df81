import { z } from 'zod';
import { type City, DepartmentSchema, LedgerSchema, LocalTextSchema, MetricSchema } from '../../domain/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { GeometrySchema, MapSchema } from '../responses/open-data.ts';
import { found, Name } from '../schema.ts';
import type { App } from './routes.ts';

const titled = { id: z.string(), title: LocalTextSchema };

/** The commands that devices of a profile take. */
const Command = z.object({ ...titled, parameters: z.array(z.string()).describe('Their names') });

/** What the city's description names, as lists and maps show it. */
const CityResponse = z
  .object({
    name: LocalTextSchema,
    timezone: z.string(),
    map: MapSchema,
    departments: z.array(DepartmentSchema),
    services: z.array(
      z.object({
        ...titled,
        department: z.string(),
        command: z.string().nullable().describe('The command that somebody confirms on a ticket of it'),
      }),
    ),
    metrics: z.array(MetricSchema),
    profiles: z.array(
      z.object({ ...titled, metrics: z.array(z.string()), intervalMs: z.number(), commands: z.array(Command) }),
    ),
    calendars: z.array(z.object(titled)).describe('Names of the times that a silence may be bound to'),
    formats: z.array(z.object({ id: z.string(), topics: z.array(z.string()), content: z.string() })),
    districts: z.array(z.object({ ...titled, geometry: GeometrySchema.describe('GeoJSON (RFC 7946)') })),
  })
  .meta({ id: 'City', description: 'The names of the city, and the shapes of its districts' });

type Deps = Pick<ApiDeps, 'ledger' | 'reloadCity' | 'city'>;

/** `/api/v1/ledger`, `/api/v1/city` and `/api/v1/city/reload`. */
export function cityRoutes(app: App, { ledger, reloadCity, city }: Deps): void {
  app.get(
    '/api/v1/city',
    {
      config: { permission: 'devices.read' },
      schema: {
        tags: ['city'],
        summary:
          'Returns the names that the city describes: departments, services, metrics, profiles, formats and districts',
        response: { 200: CityResponse },
      },
    },
    async () => shownCity(city()),
  );
  app.get(
    '/api/v1/ledger',
    {
      config: { permission: 'ledger.read' },
      schema: {
        tags: ['ledger'],
        summary:
          'Counts the messages and readings of the city or of one device: received = decoded + quarantined + pending',
        querystring: z.object({ device: Name.optional() }),
        response: { 200: LedgerSchema },
      },
    },
    async ({ query: { device } }) => found(await ledger(device), `message of device "${device}"`),
  );
  app.post(
    '/api/v1/city/reload',
    {
      config: { permission: 'city.write', audited: 'action' },
      schema: {
        tags: ['city'],
        summary:
          'Reads the city folder again. If it has mistakes, the response lists them and the old city stays in force',
        response: { 200: z.object({ changed: z.boolean(), version: z.string() }) },
      },
    },
    async (request) => reloadCity(callerOf(request)),
  );
}

function shownCity({ name, timezone, map, ...city }: City): z.input<typeof CityResponse> {
  return {
    name,
    timezone,
    map,
    departments: [...city.departments.values()],
    services: [...city.services.values()].map((service) => ({ ...service, command: service.command?.name ?? null })),
    metrics: [...city.metrics.values()],
    profiles: [...city.profiles.values()].map(({ metrics, commands, ...profile }) => ({
      ...profile,
      metrics: [...metrics],
      commands: [...commands.values()].map(({ id, title, parameters }) => ({
        id,
        title,
        parameters: [...parameters.keys()],
      })),
    })),
    calendars: [...city.calendars.values()].map(({ id, title }) => ({ id, title })),
    formats: [...city.formats.values()].map(({ id, topics, content }) => ({ id, topics: [...topics], content })),
    districts: [...city.districts.values()].map(({ geometry, ...district }) => ({
      ...district,
      geometry: { type: geometry.type, coordinates: geometry.coordinates as unknown[] },
    })),
  };
}
