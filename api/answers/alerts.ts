import { z } from 'zod';
import { SEVERITIES } from '../../domain/index.ts';
import { AlertSchema } from '../../events/index.ts';
import { ExplainedAnswer } from './explained.ts';
import { Waits } from './tickets.ts';

const explanation = ExplainedAnswer.nullable().describe('Null where the rule is gone');

const waits = Waits.nullable().describe('What keeps its ticket back');

/** An alert, and what keeps its ticket back. */
export const AlertAnswer = AlertSchema.extend({ waits }).meta({ id: 'ShownAlert' });

/** An alert and why it stands so; of one that never fired only its rule and group. */
export const AlertInFull = z.union([
  AlertAnswer.extend({ explanation }),
  z.object({ rule: z.string(), group: z.string(), state: z.literal('inactive'), waits, explanation }),
]);

/** A rule about a device, and why its alert stands as it does. */
export const DeviceExplained = ExplainedAnswer.extend({
  title: z.string().optional(),
  titleZh: z.string().optional(),
  severity: z.enum(SEVERITIES).optional(),
}).meta({ id: 'DeviceExplanation' });
