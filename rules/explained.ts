import { z } from 'zod';
import { isoOf, type LocalText, LocalTextSchema, type ShapeOf } from '../domain/index.ts';
import { EXPLAIN_REASONS, type ExplainReason, type Explanation } from './engine/index.ts';

const limit = z.union([z.number(), z.tuple([z.number(), z.number()]).readonly()]).nullable();

const ClauseSchema = z.object({
  path: z.string().describe('Its place in the rule: `when`, `when.all[1]`'),
  kind: z.enum(['threshold', 'absent', 'flat', 'jump', 'anomaly', 'forecast', 'all', 'any', 'not']),
  metric: z.string().describe('`*`: any'),
  verdict: z.enum(['true', 'false', 'unknown']),
  value: z.number().nullable(),
  op: z.enum(['above', 'below', 'outside', 'equals', 'is', 'is_not']),
  threshold: limit,
  clear: limit.describe('The value that ends a match'),
  count: z.int().describe('Readings that count at present'),
  newest: z.iso.datetime().nullable(),
});

/** An explanation as the API shows it: the reason in words, times in ISO 8601 UTC. */
export const ExplainedSchema = z
  .object({
    rule: z.string(),
    version: z.string(),
    group: z.string(),
    state: z.enum(['inactive', 'pending', 'firing']),
    reason: z.enum(Object.keys(EXPLAIN_REASONS) as [ExplainReason, ...ExplainReason[]]),
    text: LocalTextSchema,
    since: z.iso.datetime().nullable(),
    due: z.iso.datetime().nullable().describe('When it changes by itself, if no reading arrives before'),
    matches: z.boolean().nullable(),
    clauses: z.array(ClauseSchema).readonly(),
  })
  .meta({ id: 'Explanation', description: 'Why an alert is in its state: the first reason that holds' });
export type Explained = ShapeOf<typeof ExplainedSchema>;

/** Returns an explanation in words. */
export function explained({ sinceMs, dueMs, clauses, ...rest }: Explanation): Explained {
  return {
    ...rest,
    text: EXPLAIN_REASONS[rest.reason],
    since: isoOf(sinceMs),
    due: isoOf(dueMs),
    clauses: clauses.map(({ newestMs, ...clause }) => ({ ...clause, newest: isoOf(newestMs) })),
  };
}

/** Returns what would happen to the alert, in one sentence. */
export function outlookOf({ reason, state, dueMs }: Explanation): LocalText {
  const due = isoOf(dueMs);
  if (reason === 'waiting-for' && due !== null) {
    return { en: `would fire at ${due} if it stays so`, zh: `若保持不变，将于 ${due} 报警` };
  }
  if (reason === 'firing-kept' && due !== null) {
    return {
      en: `no longer matches; resolves at ${due} if it stays so`,
      zh: `条件已不成立；若保持不变，将于 ${due} 解除`,
    };
  }
  if (state === 'firing') return { en: 'fires', zh: '报警' };
  if (reason === 'not-matching') return { en: 'does not match', zh: '不满足条件' };
  if (reason === 'held-by-limit')
    return { en: 'would fire, but for the limit of the rule', zh: '本应报警，但受规则上限限制' };
  const { en, zh } = EXPLAIN_REASONS[reason];
  return { en: en.charAt(0).toLowerCase() + en.slice(1), zh };
}
