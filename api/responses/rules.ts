import { z } from 'zod';
import { CityProblemSchema, GROUPINGS, SEVERITIES } from '../../domain/index.ts';

export { RuleVersionSchema as RuleVersionResponse } from '../../rules/index.ts';

/** A rule: these fields, and where its text has no mistakes all fields that it sets. */
export const RuleResponse = z
  .object({
    id: z.string(),
    version: z.string().describe('Hash of the rule'),
    number: z.int().nullable().describe('Counts the changes over the API; null for a rule from a file'),
    origin: z.string().describe('`file:<path>` or `api:<key id>`'),
    readOnly: z.boolean(),
    inForce: z.boolean(),
    problems: z.array(CityProblemSchema).readonly().describe('Why it is not in force'),
    warnings: z
      .array(CityProblemSchema)
      .readonly()
      .describe('Why it can never decide on what its devices send, and what would work'),
    source: z.string().describe('As its author wrote it (YAML)'),
    title: z.string().optional(),
    titleZh: z.string().optional(),
    severity: z.enum(SEVERITIES).optional(),
    forEach: z.enum(GROUPINGS).optional(),
    when: z.object({ kind: z.string() }).optional().describe('The condition with its defaults filled in'),
    ticket: z.object({ service: z.string(), deadlineMs: z.number() }).optional(),
  })
  .meta({ id: 'Rule', description: 'A rule, and whether it is in force' });
