import { z } from 'zod';
import { SEVERITIES, TICKET_STATUSES } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';
import type { OversightLine, PublicTicket } from '../../tickets/index.ts';

const count = z.int().min(0);
const Durations = z.object({ count, medianSeconds: z.number().nullable(), p90Seconds: z.number().nullable() });
const key = z.string().exactOptional();

/** What the tickets of a department, service, district or week come to. */
export const OversightAnswer = exactly<OversightLine>()(
  z
    .object({
      department: key,
      service: key,
      district: key,
      week: key,
      opened: count,
      open: count.describe('Those that ask for something now'),
      overdue: count.describe('Of those open: past their deadline'),
      resolved: count,
      late: count.describe('Of those resolved: past their deadline'),
      reopened: count,
      reports: count.describe('Citizens who reported what had a ticket already'),
      acknowledge: Durations.describe('From the opening until a person took notice'),
      resolve: Durations.describe('From the first opening to the resolution that stands'),
      ratings: z.object({ count, mean: z.number().nullable() }),
    })
    .meta({ id: 'OversightLine', description: 'What tickets come to' }),
);

const Text = z.object({ en: z.string(), zh: z.string() });
const Titles = z.record(z.string(), Text);
const lines = z.array(OversightAnswer);
const about = { city: Text, licence: z.string(), generatedAt: z.iso.datetime() };

/** Open data: how the city answers. */
export const PublicOversight = z
  .object({
    ...about,
    from: z.iso.datetime(),
    departments: Titles,
    services: Titles,
    districts: Titles,
    total: OversightAnswer.nullable(),
    byService: lines,
    byDistrict: lines,
    byWeek: lines,
  })
  .meta({ id: 'PublicOversight' });

const position = z.object({ lat: z.number(), lon: z.number() });
const PublicTicketSchema = exactly<PublicTicket>()(
  z.object({
    id: z.string(),
    service: z.string(),
    department: z.string(),
    district: z.string(),
    status: z.enum(TICKET_STATUSES),
    severity: z.enum(SEVERITIES),
    origin: z.enum(['sensor', 'citizen', 'operator']),
    openedAt: z.iso.datetime(),
    dueAt: z.iso.datetime(),
    acknowledgedAt: z.iso.datetime().nullable(),
    resolvedAt: z.iso.datetime().nullable(),
    location: position.nullable(),
  }),
);

const Feature = z.object({
  type: z.literal('Feature'),
  id: z.string(),
  geometry: z.object({ type: z.literal('Point'), coordinates: z.tuple([z.number(), z.number()]) }).nullable(),
  properties: PublicTicketSchema.omit({ id: true, location: true }).extend({ title: Text }),
});

/** Open data: tickets as GeoJSON (RFC 7946). */
export const PublicTickets = z
  .object({ ...about, type: z.literal('FeatureCollection'), features: z.array(Feature) })
  .meta({ id: 'PublicTickets', description: 'GeoJSON (RFC 7946)' });
