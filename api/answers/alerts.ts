import { z } from 'zod';
import { AlertSchema, SEVERITIES } from '../../domain/index.ts';
import { ExplainedSchema } from '../../rules/index.ts';
import { Waits } from './tickets.ts';

const explanation = ExplainedSchema.nullable().describe('Null where the rule is gone');

const waits = Waits.nullable().describe('Why its ticket waits');

/** An alert, and why its ticket waits. */
export const AlertAnswer = AlertSchema.extend({ waits }).meta({ id: 'ShownAlert' });

/** An alert and why it is in its state; of one that never fired only its rule and group. */
export const AlertInFull = z.union([
  AlertAnswer.extend({ explanation }),
  z.object({ rule: z.string(), group: z.string(), state: z.literal('inactive'), waits, explanation }),
]);

/** A rule for a device, and the state of its alert. */
export const DeviceExplained = ExplainedSchema.extend({
  title: z.string().optional(),
  titleZh: z.string().optional(),
  severity: z.enum(SEVERITIES).optional(),
}).meta({ id: 'DeviceExplanation' });
