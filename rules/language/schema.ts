import { z } from 'zod';
import { Duration, Id, Positive, strict, Text, unless } from '../../city-model/index.ts';
import { GROUPINGS, SEVERITIES, WINDOW_FUNCTIONS } from '../../domain/index.ts';

const LONGEST_TITLE = 200;
const MOST_NAMES = 1_000;
const MOST_TAGS = 64;
/** Above the clauses that a rule may have, whose number has a message of its own. */
const MOST_INNER = 100;
const Name = z.string().max(256);

/** One name or a list of names, as a list. */
const Several = z
  .union([Name, z.array(Name).min(1, 'name at least one, or leave it out').max(MOST_NAMES)], {
    error: unless('one name, or a list of names'),
  })
  .transform((one) => (Array.isArray(one) ? one : [one]));

const Title = z
  .union([z.string().min(1), Text], { error: unless('a title is a text, or { en: …, zh: … }') })
  .refine((title) => (typeof title === 'string' ? [title] : [title.en, title.zh]).every(isShort), {
    message: `a title has at most ${LONGEST_TITLE} characters`,
  });

function isShort(title: string): boolean {
  return title.length <= LONGEST_TITLE;
}

const Band = z.tuple([z.number(), z.number()], { error: unless('a band is [low, high]') });
const Season = z.enum(['1d', '1w']);

const Quorum = strict({
  at_least: z.union([z.number().int().min(1), z.string().regex(/^(100|[1-9]?\d)%$/)], {
    error: unless('a number of devices, or a share such as 60%'),
  }),
  of: z.enum(['district', 'city']),
});

const WINDOWS = Object.fromEntries(WINDOW_FUNCTIONS.map((fn) => [fn, Duration.optional()])) as Record<
  (typeof WINDOW_FUNCTIONS)[number],
  z.ZodOptional<typeof Duration>
>;

const CLAUSE = {
  metric: Name.optional(),
  last: z.literal(true).optional(),
  ...WINDOWS,
  above: z.number().optional(),
  below: z.number().optional(),
  outside: Band.optional(),
  equals: z.union([z.number(), z.boolean()], { error: unless('a number; of a presence, true or false') }).optional(),
  is: Several.optional(),
  is_not: Several.optional(),
  of: Several.optional(),
  sector: z
    .tuple([z.number(), z.number()], { error: unless('a sector is [from, to] in degrees, clockwise') })
    .optional(),
  clear: z.union([z.number(), Band], { error: unless('a number; for outside, a band [low, high]') }).optional(),
  compare: strict({
    with: Name,
    as: z.enum(['difference', 'ratio']).default('difference'),
    within: Positive.optional(),
  }).optional(),
  absent: Positive.optional(),
  flat: strict({ for: Positive, within: z.number().min(0) }).optional(),
  jump: strict({
    by: z.number().positive(),
    within: Positive,
    clear: z.number().min(0).optional(),
    direction: z.enum(['up', 'down', 'either']).default('either'),
  }).optional(),
  anomaly: strict({
    season: Season.default('1d'),
    deviations: z.number().positive().default(4),
    train: Positive.optional(),
    least: z.number().positive().optional(),
  }).optional(),
  forecast: strict({
    within: Positive,
    method: z.enum(['trend', 'holt_winters']).default('trend'),
    over: Positive.optional(),
    reset: z.number().positive().optional(),
    season: Season.default('1d'),
  }).optional(),
};

/** A condition as its author writes it: a clause, or `all`, `any`, `not` of conditions. */
export type WrittenWhen = z.output<z.ZodObject<typeof CLAUSE>> & {
  all?: WrittenWhen[] | undefined;
  any?: WrittenWhen[] | undefined;
  not?: WrittenWhen | undefined;
};

const Inner: z.ZodType<WrittenWhen> = z.lazy(() => Condition);
const NESTED = {
  all: z.array(Inner).min(1).max(MOST_INNER).optional(),
  any: z.array(Inner).min(1).max(MOST_INNER).optional(),
  not: Inner.optional(),
};
const Condition = strict(
  { ...CLAUSE, ...NESTED },
  { quorum: 'a quorum belongs at the top of when, not within all, any or not' },
).meta({
  id: 'condition',
});
const When = strict({ ...CLAUSE, ...NESTED, quorum: Quorum.optional() });

/** The keywords of conditions. */
export const WHEN_KEYS: readonly string[] = [...Object.keys(CLAUSE), ...Object.keys(NESTED)];

const SeverityName = z.enum(SEVERITIES);

/** One rule file as its author writes it. */
export const RuleSchema = strict({
  id: Id,
  title: Title,
  for_each: z.enum(GROUPINGS).optional(),
  where: strict({
    profile: Several.optional(),
    district: Several.optional(),
    device: Several.optional(),
    tags: z
      .record(Name, Name)
      .refine((tags) => Object.keys(tags).length <= MOST_TAGS, `at most ${MOST_TAGS} tags`)
      .optional(),
  }).default({}),
  when: When,
  for: Duration.default(0),
  keep_firing_for: Duration.default(0),
  lateness: Positive.optional(),
  suspect: z.enum(['take', 'ignore']).default('take'),
  active: Name.optional(),
  severity: z.union([SeverityName, z.partialRecord(SeverityName, z.number())]),
  on_no_data: z.enum(['keep', 'resolve', 'alert']).default('keep'),
  no_data_after: Positive.optional(),
  no_data_for: Duration.optional(),
  no_data_grace: Positive.optional(),
  flapping: strict({ times: z.number().int().min(2).max(8), within: Positive }).optional(),
  limit: z.number().int().min(1).max(100_000).default(100),
  ticket: strict({ service: Name, deadline: Positive.optional() }).optional(),
});

/** A rule file that has passed the schema. */
export type WrittenRule = z.output<typeof RuleSchema>;

/**
 * The JSON Schema (2020-12) of a rule file for editors: completion and simple mistakes. `lamppost rules check` finds
 * all mistakes.
 */
export function rulesJsonSchema(): object {
  const schema = z.toJSONSchema(RuleSchema, { io: 'input' });
  return { title: 'A rule of Lamppost', ...schema };
}
