import { z } from 'zod';
import { type CityProblem, GROUPINGS, SEVERITIES } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';

/** A mistake in a text, and where. */
const ProblemAt = exactly<CityProblem>()(
  z.object({ file: z.string(), line: z.int(), column: z.int(), message: z.string() }).meta({ id: 'Mistake' }),
);

/** A rule: the fields below and, where it parses, those that its text sets. */
export const RuleAnswer = z
  .object({
    id: z.string(),
    version: z.string().describe('Hash of what it says'),
    number: z.int().nullable().describe('Which change of the API made it; null: it is in a file'),
    origin: z.string().describe('`file:<path>` or `api:<key id>`'),
    readOnly: z.boolean(),
    inForce: z.boolean(),
    problems: z.array(ProblemAt).readonly().describe('What keeps it out of force'),
    source: z.string().describe('As its author wrote it (YAML)'),
    title: z.string().optional(),
    titleZh: z.string().optional(),
    severity: z.enum(SEVERITIES).optional(),
    forEach: z.enum(GROUPINGS).optional(),
    when: z.object({ kind: z.string() }).optional().describe('The condition, with its defaults filled in'),
    ticket: z.object({ service: z.string(), deadlineMs: z.number() }).optional(),
  })
  .meta({ id: 'Rule', description: 'A rule, and whether it is in force' });
