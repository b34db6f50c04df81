import { z } from 'zod';
import { LocalTextSchema, MetricSchema } from '../../domain/index.ts';

const titled = { id: z.string(), title: LocalTextSchema };
export const GeometrySchema = z.object({
  type: z.enum(['Polygon', 'MultiPolygon']),
  coordinates: z.array(z.unknown()),
});

export const MapSchema = z
  .object({ tiles: z.string().nullable(), attribution: z.string() })
  .describe('Raster tiles behind the districts; null: none');

/** What the public page needs to know of the city. */
export const PublicCity = z
  .object({
    name: LocalTextSchema,
    timezone: z.string(),
    licence: z.string(),
    contact: LocalTextSchema.nullable(),
    requests: z.boolean().describe('Whether anybody may request a service here, without a key'),
    map: MapSchema,
    districts: z.array(z.object({ ...titled, geometry: GeometrySchema.describe('GeoJSON (RFC 7946)') })),
    metrics: z.array(MetricSchema.pick({ id: true, title: true, unit: true })),
    services: z.array(
      z.object({
        ...titled,
        description: LocalTextSchema,
        attributes: z.array(
          z.object({
            code: z.string(),
            title: LocalTextSchema,
            hint: LocalTextSchema.nullable(),
            datatype: z.string(),
            required: z.boolean(),
            values: z.array(z.object({ key: z.string(), title: LocalTextSchema })),
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'PublicCity', description: 'Open data: the districts, and what citizens may see and ask for' });

const Latest = z.object({
  metric: z.string(),
  unit: z.string(),
  value: z.number(),
  state: z.string().exactOptional().describe('The name of the value of a state'),
  at: z.iso.datetime(),
});

/** Open data: the newest published reading of each device, as GeoJSON (RFC 7946). */
export const PublicReadings = z
  .object({
    city: LocalTextSchema,
    licence: z.string(),
    generatedAt: z.iso.datetime(),
    type: z.literal('FeatureCollection'),
    features: z.array(
      z.object({
        type: z.literal('Feature'),
        id: z.string(),
        geometry: z.object({ type: z.literal('Point'), coordinates: z.tuple([z.number(), z.number()]) }).nullable(),
        properties: z.object({ district: z.string(), readings: z.array(Latest) }),
      }),
    ),
  })
  .meta({ id: 'PublicReadings', description: 'GeoJSON (RFC 7946)' });
