import { z } from 'zod';
import { EvidenceSchema, REASONS, type Reason, SEVERITIES } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';
import type { TrialReport } from '../../rules/index.ts';
import { ExplainedAnswer } from './explained.ts';

const Refusal = z.object({
  reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]),
  path: z.string(),
  detail: z.string(),
  reading: z.string().exactOptional(),
});

const Transition = z.object({
  rule: z.string(),
  group: z.string(),
  from: z.enum(['inactive', 'pending', 'firing', 'resolved']),
  to: z.enum(['pending', 'firing', 'resolved', 'cancelled']),
  at: z.iso.datetime(),
  since: z.iso.datetime(),
  value: z.number().nullable(),
  severity: z.enum(SEVERITIES),
  evidence: EvidenceSchema,
});

const Step = z.object({
  at: z.iso.datetime(),
  reading: z.object({ path: z.string(), ts: z.string(), metrics: z.record(z.string(), z.number()) }),
  refused: z.array(Refusal).readonly(),
  would: z.string().describe('What would become of the alert, in one sentence'),
  wouldZh: z.string(),
  ladder: ExplainedAnswer,
  transitions: z.array(Transition).readonly(),
});

const Context = z.object({
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  devices: z.int(),
  readings: z.int(),
  cut: z.boolean().describe('Whether there were more than a trial looks at'),
});

/** What came of trying a rule. */
export const TrialAnswer = exactly<TrialReport>()(
  z
    .object({
      rule: z.object({ id: z.string(), version: z.string(), origin: z.string() }),
      device: z.string(),
      group: z.string(),
      context: Context.nullable().describe('The stored readings that the rule saw first'),
      before: ExplainedAnswer,
      steps: z.array(Step).readonly(),
    })
    .meta({ id: 'Trial', description: 'What came of trying a rule; nothing of it was stored' }),
);
