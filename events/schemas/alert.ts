import { z } from 'zod';
import { type Alert, SEVERITIES } from '../../domain/index.ts';
import type { AlertData } from '../cloudevent.ts';
import { EvidenceSchema } from './evidence.ts';
import { exactly } from './exactly.ts';

const fields = {
  rule: z.string(),
  group: z.string().describe('Id of a device or district, or `city`; `~limit` and `~fault` are about the rule itself'),
  state: z.enum(['pending', 'firing', 'resolved']),
  severity: z.enum(SEVERITIES),
  since: z.iso.datetime().describe('When this episode began to match'),
  updatedAt: z.iso.datetime(),
  value: z.number().nullable(),
  title: z.string(),
  titleZh: z.string(),
  district: z.string().describe('Empty for the city'),
  ticket: z.string().nullable().describe('Id of the ticket that it raised'),
};

/** An alert, as the API shows it. */
export const AlertSchema = exactly<Alert>()(
  z.object(fields).meta({ id: 'Alert', description: 'An alert: a rule, a group, and how they stand' }),
);

/** What an alert event tells. */
export const AlertDataSchema = exactly<AlertData>()(
  z
    .object({
      ...fields,
      department: z.string().nullable().describe('Of its ticket'),
      evidence: EvidenceSchema,
    })
    .meta({ id: 'AlertData', description: 'An alert at the moment of the event, with what is behind it' }),
);
