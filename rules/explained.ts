import { z } from 'zod';
import { isoOf, type LocalText, type ShapeOf } from '../domain/index.ts';
import { EXPLAIN_REASONS, type ExplainReason, type Explanation } from './engine/index.ts';

/** The reasons of an explanation, for operators. */
const REASON_TEXTS: Readonly<Record<ExplainReason, LocalText>> = {
  'rule-fault': { en: 'The rule met an error and is disabled until it changes', zh: '规则出错，修改前停用' },
  'not-taken': {
    en: 'The rule does not apply to it: its where or its profiles leave it out',
    zh: '不在规则的适用范围内',
  },
  'no-reading': { en: 'No reading of the rule’s metrics has arrived yet', zh: '尚未收到该规则所需指标的读数' },
  unknown: { en: 'Too few readings, or still learning: no verdict yet', zh: '读数不足或仍在学习，暂无结论' },
  'not-matching': { en: 'The condition is not true', zh: '条件不成立' },
  'outside-calendar': { en: 'The condition is true, but its calendar is off', zh: '条件成立，但不在生效时段内' },
  'waiting-for': { en: 'The condition is true, but has not held long enough', zh: '条件成立，但持续时间不足' },
  'held-by-limit': {
    en: 'It would fire, but too many groups of the rule fire already',
    zh: '本应报警，但该规则同时报警的对象已达上限',
  },
  'firing-kept': {
    en: 'The condition is no longer true; the alert keeps firing for a while',
    zh: '条件已不成立，报警仍保持一段时间',
  },
  'firing-silent': { en: 'Fires because no reading arrives', zh: '因收不到数据而报警' },
  firing: { en: 'Fires: the condition is true', zh: '正在报警：条件成立' },
};

const limit = z.union([z.number(), z.tuple([z.number(), z.number()]).readonly()]).nullable();

const ClauseSchema = z.object({
  path: z.string().describe('Its place in the rule: `when`, `when.all[1]`'),
  kind: z.enum(['threshold', 'absent', 'flat', 'jump', 'anomaly', 'forecast', 'all', 'any', 'not']),
  metric: z.string().describe('`*`: any'),
  verdict: z.enum(['true', 'false', 'unknown']),
  value: z.number().nullable(),
  op: z.enum(['above', 'below', 'outside', 'equals']),
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
    text: z.object({ en: z.string(), zh: z.string() }),
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
    text: REASON_TEXTS[rest.reason],
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
  const { en, zh } = REASON_TEXTS[reason];
  return { en: en.charAt(0).toLowerCase() + en.slice(1), zh };
}
