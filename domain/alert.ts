import type { Band, Clause, Severity, ThresholdCondition, WindowFunction } from './rule.ts';

/** State of an alert, as Prometheus and Alertmanager name it. */
export type AlertState = 'pending' | 'firing' | 'resolved';

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
 * One change of one alert. The engine's only output: the same journal gives the same transitions, byte for byte.
 * `firing` → `firing` is an escalation. `cancelled` is a pending alert whose condition ended before it fired: nobody is told.
 */
export interface Transition {
  /** Where in the journal it happened: `{block seq}.{ordinal of the transition in the block}`; the base of every stable id. */
  readonly id: string;
  readonly rule: string;
  /** Id of a device or district, `city`, or one of the groups that stand for the rule itself. */
  readonly group: string;
  readonly from: AlertState | 'inactive';
  readonly to: AlertState | 'cancelled';
  /** Engine time, epoch ms: what came due happens at its own time, not at that of the block that brought it. */
  readonly atMs: number;
  /** Engine time at which the present episode began to match, epoch ms. */
  readonly sinceMs: number;
  /** The deciding clause's figure (`absent`: seconds of silence; a quorum: devices that match; a limit: groups that would fire); null where there is none. */
  readonly value: number | null;
  readonly severity: Severity;
  readonly evidence: Evidence;
}

/** An alert as the API shows it. Times ISO 8601 UTC. */
export interface Alert {
  readonly rule: string;
  readonly group: string;
  readonly state: AlertState;
  readonly severity: Severity;
  readonly since: string;
  readonly updatedAt: string;
  readonly value: number | null;
  readonly title: string;
  readonly titleZh: string;
  readonly district: string;
  /** Id of the ticket it raised, if any. */
  readonly ticket: string | null;
}
