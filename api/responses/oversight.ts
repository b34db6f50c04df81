import { z } from 'zod';
import { LocalTextSchema } from '../../domain/index.ts';
import { OversightLineSchema, PublicTicketSchema } from '../../tickets/index.ts';

export { OversightLineSchema as OversightResponse } from '../../tickets/index.ts';

const Titles = z.record(z.string(), LocalTextSchema);
const lines = z.array(OversightLineSchema);
const about = { city: LocalTextSchema, licence: z.string(), generatedAt: z.iso.datetime() };

/** Open data: the aggregates of the city's tickets. */
export const PublicOversight = z
  .object({
    ...about,
    from: z.iso.datetime(),
    service: z.string().nullable().describe('The only service that is counted'),
    district: z.string().nullable().describe('The only district that is counted'),
    departments: Titles,
    services: Titles,
    districts: Titles,
    total: OversightLineSchema.nullable(),
    byService: lines,
    byDistrict: lines,
    byWeek: lines,
  })
  .meta({ id: 'PublicOversight' });

const Feature = z.object({
  type: z.literal('Feature'),
  id: z.string(),
  geometry: z.object({ type: z.literal('Point'), coordinates: z.tuple([z.number(), z.number()]) }).nullable(),
  properties: PublicTicketSchema.omit({ id: true, location: true }).extend({ title: LocalTextSchema }),
});

/** Open data: tickets as GeoJSON (RFC 7946). */
export const PublicTickets = z
  .object({ ...about, type: z.literal('FeatureCollection'), features: z.array(Feature) })
  .meta({ id: 'PublicTickets', description: 'GeoJSON (RFC 7946)' });
