import { z } from 'zod';
import {
  type Band,
  type Clause,
  SEVERITIES,
  type Severity,
  type ThresholdCondition,
  type WindowFunction,
} from './rule.ts';
import type { ShapeOf } from './schema.ts';

/** State of an alert, as Prometheus and Alertmanager name it. */
export type AlertState = Alert['state'];

/** What one clause said at a transition. */
export interface ClauseEvidence {
  /** Where it stands in the rule: `when`, `when.all[1]`, `when.not.any[0]`. */
  readonly path: string;
  readonly kind: Clause['kind'];
  /** `*` where it is about any metric. */
  readonly metric: string;
  readonly verdict: 'true' | 'false' | 'unknown';
  /** Its figure; null while unknown. */
  readonly value: number | null;
}

/** The readings and the figure behind a transition. */
export interface Evidence {
  readonly ruleVersion: string;
  /** Of the clause that decided: the first true one, or the first. */
  readonly window: {
    readonly metric: string;
    readonly fn: 'last' | WindowFunction | 'absent' | 'flat' | 'jump' | 'forecast' | 'quorum' | 'limit' | 'fault';
    /**
     * Event time, epoch ms: the window that the figure was taken over, as it is cut; the moment of the newest reading where
     * that is all of it (`last`, Holt-Winters). `absent`: up to now, as long as the silence that counts. `quorum`, `limit`,
     * `fault`, and where no reading came yet: now.
     */
    readonly fromMs: number;
    readonly toMs: number;
    /** Readings in it; `absent` and `fault` 0, `quorum` devices that the group has, `limit` groups that would fire. */
    readonly count: number;
    /** As it is at the transition: what it is compared with may have changed since the clause was judged. Null while unknown. */
    readonly value: number | null;
    readonly op: ThresholdCondition['op'];
    /** `outside` has a band: of an anomaly, what was expected less and more the deviations that are allowed; null while it learns. */
    readonly threshold: number | Band | null;
  };
  /** The newest readings in the window (`last`, Holt-Winters: those that led up to it), oldest first, at most 10: [epoch ms, value]. */
  readonly readings: readonly (readonly [number, number])[];
  /** Every clause, where the rule has more than one. */
  readonly clauses?: readonly ClauseEvidence[];
  /** Devices that match, where the rule has a quorum; at most 10, in order of id. */
  readonly devices?: readonly string[];
  /** What went wrong, where the rule itself has a fault. */
  readonly detail?: string;
}

/**
 * One change of one alert, the only output of the engine: the same journal gives the same transitions, byte for byte.
 * `firing` → `firing` is an escalation. `cancelled` is a pending alert whose condition ended before it fired: it has no event.
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
  /** Value of the deciding clause (`absent`: seconds of silence; quorum: devices that match; limit: groups that would fire); null where there is none. */
  readonly value: number | null;
  readonly severity: Severity;
  readonly evidence: Evidence;
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
