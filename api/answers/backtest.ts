import { z } from 'zod';
import { SEVERITIES } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';
import type { BacktestReport } from '../../rules/index.ts';

const count = z.int().min(0);
const span = {
  firedAt: z.iso.datetime(),
  resolvedAt: z.iso.datetime().nullable().describe('Null: still firing at the end'),
  severity: z.enum(SEVERITIES).describe('The hardest that it reached'),
};

const Ticket = z.object({
  service: z.string(),
  department: z.string(),
  dueAt: z.iso.datetime(),
  title: z.string(),
  titleZh: z.string(),
});

const Incident = z.object({
  ...span,
  group: z.string(),
  district: z.string(),
  before: z.boolean().describe('Whether it was firing already when the time asked for began'),
  value: z.number().nullable(),
  ticket: Ticket.nullable(),
});

const Totals = z.object({
  incidents: count,
  tickets: count,
  before: count,
  firing: count,
  cancelled: count,
  pending: count,
  groups: count,
  firingMs: z.number(),
  districts: z.array(z.object({ district: z.string(), incidents: count })).readonly(),
});

const Change = z.object({
  kind: z.enum(['added', 'gone', 'moved', 'regraded']),
  group: z.string(),
  district: z.string(),
  now: z.object(span).nullable(),
  inForce: z.object(span).nullable(),
});

const Difference = z.object({
  version: z.string(),
  totals: Totals,
  counts: z.object({ same: count, added: count, gone: count, moved: count, regraded: count }),
  changes: z.array(Change).readonly().describe('The first 10,000'),
});

/** What a backtest found. */
export const BacktestAnswer = exactly<BacktestReport>()(
  z
    .object({
      rule: z.string(),
      version: z.string(),
      from: z.iso.datetime(),
      to: z.iso.datetime(),
      warmUpFrom: z.iso.datetime(),
      devices: count,
      readings: count,
      tookMs: z.number(),
      totals: Totals,
      incidents: z.array(Incident).readonly().describe('The first 10,000, in order of time'),
      difference: Difference.nullable().describe('To the rule in force; null where there is none, or it says the same'),
      fault: z.string().nullable(),
    })
    .meta({ id: 'Backtest', description: 'What a rule would have done' }),
);
