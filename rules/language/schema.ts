import { z } from 'zod';
import { SEVERITIES } from '../../domain/index.ts';
import { Duration, Id, strict } from '../../ingest/city/index.ts';

const several = z.union([z.string(), z.array(z.string()).min(1)]).transform((one) => (Array.isArray(one) ? one : [one]));
const Title = z.union([z.string().min(1), strict({ en: z.string().min(1), zh: z.string().min(1) })]);

const LATER = ['sum', 'count', 'p50', 'p95', 'stddev', 'rate', 'delta', 'outside', 'equals', 'absent', 'flat', 'jump'];
const MORE = ['all', 'any', 'not', 'compare', 'quorum', 'anomaly', 'forecast'];

/** Words of the rule language that are not built yet are named as such, not as typing mistakes. */
const notYet = (words: readonly string[], instead: string) =>
  Object.fromEntries(
    words.map((word) => [word, z.never({ error: `not supported yet: ${word}; use ${instead}` }).optional()]),
  );

const When = strict({
  metric: z.string(),
  last: z.literal(true).optional(),
  mean: Duration.optional(),
  min: Duration.optional(),
  max: Duration.optional(),
  above: z.number().optional(),
  below: z.number().optional(),
  clear: z.number().optional(),
  ...notYet([...LATER, ...MORE], 'last, mean, min or max with above or below'),
});

/** One rule file as its author writes it. */
export const RuleSchema = strict({
  id: Id,
  title: Title,
  for_each: z.literal('device', { error: 'not supported yet: only for_each: device' }).default('device'),
  where: strict({
    profile: several.optional(),
    district: several.optional(),
    device: several.optional(),
    tags: z.record(z.string(), z.string()).optional(),
  }).default({}),
  when: When,
  for: Duration.default(0),
  keep_firing_for: Duration.default(0),
  severity: z.enum(SEVERITIES),
  ticket: strict({ service: z.string(), deadline: Duration.optional() }).optional(),
  ...notYet(['lateness', 'active', 'on_no_data'], 'for and keep_firing_for'),
});

export type WrittenRule = z.output<typeof RuleSchema>;
