import { z } from 'zod';
import { AlertSchema, EvidenceSchema, type ShapeOf } from '../../domain/index.ts';

/** Data of an alert event. */
export const AlertDataSchema = AlertSchema.extend({
  department: z.string().nullable().describe('Department of its ticket'),
  evidence: EvidenceSchema,
}).meta({ id: 'AlertData', description: 'An alert at the time of the event, with its evidence' });
export type AlertData = ShapeOf<typeof AlertDataSchema>;
