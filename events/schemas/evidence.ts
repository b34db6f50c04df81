import { z } from 'zod';
import { type ClauseEvidence, type Evidence, WINDOW_FUNCTIONS } from '../../domain/index.ts';
import { exactly } from './exactly.ts';

const KINDS = ['threshold', 'absent', 'flat', 'jump', 'anomaly', 'forecast'] as const;
const FUNCTIONS = [
  'last',
  ...WINDOW_FUNCTIONS,
  'absent',
  'flat',
  'jump',
  'forecast',
  'quorum',
  'limit',
  'fault',
] as const;

const Clause = exactly<ClauseEvidence>()(
  z.object({
    path: z.string().describe('Where it stands in the rule: `when`, `when.all[1]`'),
    kind: z.enum(KINDS),
    metric: z.string().describe('`*`: any'),
    verdict: z.enum(['true', 'false', 'unknown']),
    value: z.number().nullable(),
  }),
);

const Window = z.object({
  metric: z.string(),
  fn: z.enum(FUNCTIONS),
  fromMs: z.number().describe('Epoch ms, event time'),
  toMs: z.number(),
  count: z.int().min(0),
  value: z.number().nullable().describe('The figure; null where there is none'),
  op: z.enum(['above', 'below', 'outside', 'equals']),
  threshold: z
    .union([z.number(), z.tuple([z.number(), z.number()]).readonly()])
    .nullable()
    .describe('Of an anomaly what was expected, less and more what is allowed; null while unknown'),
});

/** Fields of `Evidence`, for those who add to them. */
export const evidenceFields = {
  ruleVersion: z.string(),
  window: Window.describe('Of the clause that decided'),
  readings: z
    .array(z.tuple([z.number(), z.number()]).readonly())
    .readonly()
    .describe('The newest in the window, at most 10: [epoch ms, value]'),
  clauses: z.array(Clause).readonly().exactOptional().describe('Every clause, where the rule has several'),
  devices: z
    .array(z.string())
    .readonly()
    .exactOptional()
    .describe('Those that match, where the rule has a quorum; at most 10'),
  detail: z.string().exactOptional().describe('What went wrong, where the rule has a fault'),
};

/** The readings and the figure behind a transition. */
export const EvidenceSchema = exactly<Evidence>()(
  z.object(evidenceFields).meta({ id: 'Evidence', description: 'The readings and the figure behind an alert' }),
);
