import { z } from 'zod';
import { exactly } from '../../events/index.ts';
import { EXPLAIN_REASONS, type Explained, type ExplainReason } from '../../rules/index.ts';

const limit = z.union([z.number(), z.tuple([z.number(), z.number()]).readonly()]).nullable();

const Clause = z.object({
  path: z.string().describe('Where it stands in the rule: `when`, `when.all[1]`'),
  kind: z.enum(['threshold', 'absent', 'flat', 'jump', 'anomaly', 'forecast', 'all', 'any', 'not']),
  metric: z.string().describe('`*`: any'),
  verdict: z.enum(['true', 'false', 'unknown']),
  value: z.number().nullable(),
  op: z.enum(['above', 'below', 'outside', 'equals']),
  threshold: limit,
  clear: limit.describe('What ends a match'),
  count: z.int().describe('Readings that count at present'),
  newest: z.iso.datetime().nullable(),
});

/** Why an alert stands as it does. */
export const ExplainedAnswer = exactly<Explained>()(
  z
    .object({
      rule: z.string(),
      version: z.string(),
      group: z.string(),
      state: z.enum(['inactive', 'pending', 'firing']),
      reason: z.enum(Object.keys(EXPLAIN_REASONS) as [ExplainReason, ...ExplainReason[]]),
      text: z.object({ en: z.string(), zh: z.string() }),
      since: z.iso.datetime().nullable(),
      due: z.iso.datetime().nullable().describe('When it changes by itself, if no reading comes before'),
      matches: z.boolean().nullable(),
      clauses: z.array(Clause).readonly(),
    })
    .meta({ id: 'Explanation', description: 'Why an alert stands as it does: the first reason that holds' }),
);
