import { z } from 'zod';
import { type Rule, SEVERITIES, type ShapeOf } from '../../domain/index.ts';

/** A rule and the stored readings to run it over: `[fromMs, toMs)` in the time of the readings, epoch ms. */
export interface BacktestRequest {
  /**
   * A new rule, a changed one, or one in force (`RuleRepository.resolve`). A rule in force with the same id and another
   * text runs over the same readings, for the difference.
   */
  readonly rule: Rule;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The progress of a backtest, reported at most ten times a second. */
export interface BacktestProgress {
  /** 0 to 1: the part of the requested time, warm-up included, that is done. */
  readonly done: number;
  /** The position in the data, ISO 8601 UTC. */
  readonly at: string;
  readonly readings: number;
  readonly incidents: number;
}

/** How to watch and cancel a backtest. A cancelled one rejects with the signal's reason, within about 50 ms. */
export interface BacktestOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BacktestProgress) => void;
}

/**
 * Runs a backtest. Throws `invalid` (times), `busy`, retryable (another backtest runs), `history` (the history cannot
 * be read).
 */
export type Backtest = (request: BacktestRequest, options?: BacktestOptions) => Promise<BacktestReport>;

const count = z.int().min(0);

const TicketSchema = z.object({
  service: z.string(),
  department: z.string(),
  dueAt: z.iso.datetime().describe('The deadline of the ticket'),
  title: z.string(),
  titleZh: z.string(),
});
/** The ticket that an incident would have opened. */
export type BacktestTicket = ShapeOf<typeof TicketSchema>;

const SpanSchema = z.object({
  firedAt: z.iso.datetime().describe('`from` of the backtest where the alert was firing already'),
  resolvedAt: z.iso.datetime().nullable().describe('Null: still firing at the end'),
  severity: z.enum(SEVERITIES).describe('The highest that it reached'),
});
/** From an alert's firing to its end. */
export type BacktestSpan = ShapeOf<typeof SpanSchema>;

const IncidentSchema = SpanSchema.extend({
  group: z.string(),
  district: z.string().describe('Empty for the city, and for the rule itself'),
  before: z.boolean().describe('Whether it was firing already at the start of the requested time'),
  value: z.number().nullable().describe('The value at which it fired'),
  ticket: TicketSchema.nullable().describe('Null where the rule opens none'),
});
/** An alert that would have fired. */
export type BacktestIncident = ShapeOf<typeof IncidentSchema>;

const TotalsSchema = z.object({
  incidents: count,
  tickets: count,
  before: count.describe('Incidents that were firing already at the start'),
  firing: count.describe('Incidents that were still firing at the end'),
  cancelled: count.describe('Episodes that ended before they fired'),
  pending: count.describe('Episodes that were pending at the end'),
  groups: count.describe('Groups with an incident'),
  firingMs: z.number().describe('Time between firing and end of all incidents, ms'),
  districts: z
    .array(z.object({ district: z.string(), incidents: count }))
    .readonly()
    .describe('Incidents by district, in order of id; an empty id for those of the city and of the rule itself'),
});
/** All that a rule would have done, in numbers. */
export type BacktestTotals = ShapeOf<typeof TotalsSchema>;

const ChangeSchema = z.object({
  kind: z
    .enum(['added', 'gone', 'moved', 'regraded'])
    .describe(
      'added: only under the new rule; gone: only under the rule in force; moved: the two overlap, with another start or end; regraded: same times, another severity',
    ),
  group: z.string(),
  district: z.string(),
  now: SpanSchema.nullable().describe('Under the rule of this backtest; null where gone'),
  inForce: SpanSchema.nullable().describe('Under the rule in force; null where added'),
});
/** The difference between an incident of the new rule and one of the rule in force. */
export type BacktestChange = ShapeOf<typeof ChangeSchema>;

const DifferenceSchema = z.object({
  version: z.string(),
  totals: TotalsSchema,
  counts: z
    .object({ same: count, added: count, gone: count, moved: count, regraded: count })
    .describe(
      'same + moved + regraded + added are the incidents of the new rule; gone in place of added, those in force',
    ),
  changes: z.array(ChangeSchema).readonly().describe('The first 10,000, in order of time'),
});
/** The difference to the rule in force, over the same readings. */
export type BacktestDifference = ShapeOf<typeof DifferenceSchema>;

/** The result of a backtest. Plain data. */
export const BacktestReportSchema = z
  .object({
    rule: z.string(),
    version: z.string(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    warmUpFrom: z.iso
      .datetime()
      .describe('Readings from here on are read first, so that windows and waiting times are right at `from`'),
    devices: count.describe('Devices that the rules apply to'),
    readings: count.describe('Readings that were read, warm-up included'),
    tookMs: z.number(),
    totals: TotalsSchema,
    incidents: z.array(IncidentSchema).readonly().describe('The first 10,000, in order of time'),
    difference: DifferenceSchema.nullable().describe(
      'To the rule in force; null where there is none, or it is the same',
    ),
    fault: z.string().nullable().describe('The error inside the rule, which was skipped from then on; null: none'),
  })
  .meta({ id: 'Backtest', description: 'What a rule would have done' });
export type BacktestReport = ShapeOf<typeof BacktestReportSchema>;
