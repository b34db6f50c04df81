import { z } from 'zod';
import { MATCH_KEYS, type Matchers, type MatchKey } from '../../domain/index.ts';
import type { Silence } from '../../tickets/index.ts';
import type { SilenceData } from '../cloudevent.ts';
import { exactly } from './exactly.ts';

const list = z.array(z.string()).readonly().exactOptional();
const lists = Object.fromEntries(MATCH_KEYS.map((key) => [key, list])) as Record<MatchKey, typeof list>;

const MatchersSchema = exactly<Matchers>()(
  z.object({ ...lists, tags: z.record(z.string(), z.string()).exactOptional() }),
);

const fields = {
  id: z.string(),
  matchers: MatchersSchema.describe('Each list that is given must hold the alert’s own'),
  startsAt: z.iso.datetime(),
  endsAt: z.iso.datetime(),
  calendar: z.string().nullable().describe('It silences only while that is on'),
  comment: z.string(),
  author: z.string().describe('Id of the key that made it'),
  createdAt: z.iso.datetime(),
};

/** A silence or maintenance window. */
export const SilenceSchema = exactly<Silence>()(
  z.object(fields).meta({ id: 'Silence', description: 'Alerts that it matches go on, and raise no ticket' }),
);

/** What a silence event tells. */
export const SilenceDataSchema = exactly<SilenceData>()(
  z
    .object({
      ...fields,
      alerts: z
        .array(z.object({ rule: z.string(), group: z.string() }))
        .readonly()
        .describe('Those that fire'),
    })
    .meta({
      id: 'SilenceData',
      description: 'A silence that ends soon, and the alerts that it silences and that fire',
    }),
);
