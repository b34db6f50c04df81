import { z } from 'zod';
import { SEVERITIES } from '../../domain/index.ts';
import { Duration, Id, Positive, strict, Text, unless } from '../../ingest/city/index.ts';

/** One name or a list of names, as a list. */
const Several = z
  .union([z.string(), z.array(z.string()).min(1, 'name at least one, or leave it out')], {
    error: unless('one name, or a list of names'),
  })
  .transform((one) => (Array.isArray(one) ? one : [one]));

const Title = z.union([z.string().min(1), Text], { error: unless('a title is a text, or { en: …, zh: … }') });

const FUNCTIONS_LATER = ['sum', 'count', 'p95', 'stddev', 'rate', 'delta'];
const GROUPS_LATER = ['district', 'city'];

/** Words of the rule language that are not built yet are named as such, not as typing mistakes. */
function notYet(words: readonly string[], instead: string): Record<string, string> {
  return Object.fromEntries(words.map((word) => [word, `not supported yet: ${word}; use one of ${instead}`]));
}

const Group = z.literal('device', {
  error: ({ input }) =>
    GROUPS_LATER.includes(String(input))
      ? `not supported yet: for_each: ${input}; use one of device`
      : `${JSON.stringify(input)} is not possible here; use one of device`,
});

const When = strict(
  {
    metric: z.string(),
    last: z.literal(true).optional(),
    mean: Duration.optional(),
    min: Duration.optional(),
    max: Duration.optional(),
    above: z.number().optional(),
    below: z.number().optional(),
    clear: z.number().optional(),
  },
  { ...notYet(FUNCTIONS_LATER, 'last, mean, min, max'), ...notYet(['outside'], 'above, below') },
);

/** One rule file as its author writes it. */
export const RuleSchema = strict({
  id: Id,
  title: Title,
  for_each: Group.default('device'),
  where: strict({
    profile: Several.optional(),
    district: Several.optional(),
    device: Several.optional(),
    tags: z.record(z.string(), z.string()).optional(),
  }).default({}),
  when: When,
  for: Duration.default(0),
  keep_firing_for: Duration.default(0),
  severity: z.enum(SEVERITIES),
  ticket: strict({ service: z.string(), deadline: Positive.optional() }).optional(),
});

/** A rule file that has passed the schema. */
export type WrittenRule = z.output<typeof RuleSchema>;

const readable = <T extends z.ZodType>(schema: T) => schema.optional().catch(undefined);

/** What can be read of a rule that may have mistakes elsewhere, so that one mistake does not hide another. */
export const ReadableRule = z
  .object({
    id: readable(z.string()),
    title: readable(z.union([z.string(), z.record(z.string(), z.string())])),
    where: z.object({ profile: readable(Several), district: readable(Several) }).catch({}),
    when: z
      .object({
        metric: readable(z.string()),
        last: readable(z.literal(true)),
        mean: readable(Duration),
        min: readable(Duration),
        max: readable(Duration),
        above: readable(z.number()),
        below: readable(z.number()),
        clear: readable(z.number()),
      })
      .catch({}),
    ticket: z.object({ service: readable(z.string()) }).catch({}),
  })
  .catch({ where: {}, when: {}, ticket: {} });

/** The readable part of a rule. */
export type ReadableRule = z.output<typeof ReadableRule>;
