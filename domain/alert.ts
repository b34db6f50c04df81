import { z } from 'zod';
import { SEVERITIES, type Severity, WINDOW_FUNCTIONS } from './rule.ts';
import type { ShapeOf } from './schema.ts';

/** State of an alert, as Prometheus and Alertmanager name it. */
export type AlertState = Alert['state'];

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

/** The state of one clause at a transition. */
const ClauseEvidenceSchema = z.object({
  path: z.string().describe('Its place in the rule: `when`, `when.all[1]`'),
  kind: z.enum(KINDS),
  metric: z.string().describe('`*`: any'),
  verdict: z.enum(['true', 'false', 'unknown']),
  value: z.number().nullable().describe('Null while unknown'),
});
export type ClauseEvidence = ShapeOf<typeof ClauseEvidenceSchema>;

/**
 * The window of the clause that decided: the first true one, or the first. `fromMs` to `toMs` is the window as it was
 * cut; the time of the newest reading where only that counts (`last`, Holt-Winters); the silence up to now for
 * `absent`; now for `quorum`, `limit`, `fault`, and where no reading arrived yet.
 */
const WindowSchema = z.object({
  metric: z.string(),
  fn: z.enum(FUNCTIONS),
  fromMs: z.number().describe('Epoch ms, event time'),
  toMs: z.number(),
  count: z
    .int()
    .min(0)
    .describe(
      'Readings in it; 0 for `absent` and `fault`; devices of the group for `quorum`, groups that would fire for `limit`',
    ),
  value: z.number().nullable().describe('The value at the transition; null while unknown'),
  op: z.enum(['above', 'below', 'outside', 'equals', 'is', 'is_not']),
  threshold: z
    .union([z.number(), z.tuple([z.number(), z.number()]).readonly()])
    .nullable()
    .describe('For an anomaly the usual value minus and plus the allowed deviation; null while unknown'),
  states: z
    .array(z.string())
    .readonly()
    .exactOptional()
    .describe('For `is` and `is_not`: what the state is compared with'),
  state: z.string().exactOptional().describe('The name of `value`, where that is a value of a state'),
});

/** The readings and the value behind a transition. */
export const EvidenceSchema = z
  .object({
    ruleVersion: z.string(),
    window: WindowSchema.describe('Of the clause that decided'),
    readings: z
      .array(z.tuple([z.number(), z.number()]).readonly())
      .readonly()
      .describe('The newest in the window, oldest first, at most 10: [epoch ms, value]'),
    clauses: z
      .array(ClauseEvidenceSchema)
      .readonly()
      .exactOptional()
      .describe('Every clause, where the rule has several'),
    devices: z
      .array(z.string())
      .readonly()
      .exactOptional()
      .describe('Devices that match, where the rule has a quorum; at most 10, in order of id'),
    detail: z.string().exactOptional().describe('The error, where the rule has a fault'),
  })
  .meta({ id: 'Evidence', description: 'The readings and the value behind an alert' });
export type Evidence = ShapeOf<typeof EvidenceSchema>;

/** Why an alert ended, where its condition did not end it. The names are in events: they are only added. */
export const END_CAUSES = {
  'rule-changed': 'the rule was changed; it no longer holds',
  'rule-removed': 'the rule is gone',
  'rule-left': 'the rule no longer applies to it',
  'device-revoked': 'the device was revoked',
} as const;
export type EndCause = keyof typeof END_CAUSES;

/**
 * One change of one alert, the only output of the engine: the same journal gives the same transitions, byte for byte.
 * `firing` → `firing` is an escalation. `cancelled` is a pending alert whose condition ended before it fired: it has no
 * event.
 */
export interface Transition {
  /** `{block seq}.{ordinal of the transition in the block}`: the base of every stable id. */
  readonly id: string;
  readonly rule: string;
  /** Id of a device or district, `city`, or a group for alarms about the rule itself. */
  readonly group: string;
  readonly from: AlertState | 'inactive';
  readonly to: AlertState | 'cancelled';
  /** Engine time, epoch ms: when it came due, which can be before the time of the block. */
  readonly atMs: number;
  /** Engine time at which the present episode started to match, epoch ms. */
  readonly sinceMs: number;
  /**
   * Value of the deciding clause (`absent`: seconds of silence, quorum: devices that match, limit: groups that would
   * fire); null where there is none.
   */
  readonly value: number | null;
  readonly severity: Severity;
  readonly evidence: Evidence;
  /** Why it ended, where its condition did not end it. */
  readonly because?: EndCause;
}

/** An alert as the API shows it. Times in ISO 8601 UTC. */
export const AlertSchema = z
  .object({
    rule: z.string(),
    group: z
      .string()
      .describe('Id of a device or district, or `city`; `~limit` and `~fault` are about the rule itself'),
    state: z.enum(['pending', 'firing', 'resolved']),
    severity: z.enum(SEVERITIES),
    since: z.iso.datetime().describe('When this episode started to match'),
    updatedAt: z.iso.datetime(),
    value: z.number().nullable(),
    title: z.string(),
    titleZh: z.string(),
    district: z.string().describe('Empty for the city'),
    ticket: z.string().nullable().describe('Id of the ticket that it opened'),
  })
  .meta({ id: 'Alert', description: 'The alert of a rule and a group' });
export type Alert = ShapeOf<typeof AlertSchema>;

/**
 * Reports whether an alert fires because nothing comes any more: its condition says so, or its rule is about silence.
 */
export function saysSilent({ evidence }: Pick<Transition, 'evidence'>): boolean {
  return evidence.window?.fn === 'absent';
}
