import type { Severity, WindowFunction } from './rule.ts';

/** State of an alert, as Prometheus and Alertmanager name it. */
export type AlertState = 'pending' | 'firing' | 'resolved';

/** The readings and the figure behind a transition. */
export interface Evidence {
  readonly ruleVersion: string;
  readonly window: {
    readonly metric: string;
    readonly fn: 'last' | WindowFunction;
    /** Event time, epoch ms: the window that the figure was taken over. */
    readonly fromMs: number;
    readonly toMs: number;
    readonly count: number;
    readonly value: number;
    readonly op: 'above' | 'below';
    readonly threshold: number;
  };
  /** The newest readings in the window, oldest first, at most 10: [epoch ms, value]. */
  readonly readings: readonly (readonly [number, number])[];
}

/**
 * One change of one alert. The engine's only output: the same journal gives the same transitions, byte for byte.
 * `cancelled` is a pending alert whose condition ended before it fired: nobody is told.
 */
export interface Transition {
  /** Where in the journal it happened: `{block seq}.{ordinal of the transition in the block}`; the base of every stable id. */
  readonly id: string;
  readonly rule: string;
  /** The device id (later also a district or the city). */
  readonly group: string;
  readonly from: AlertState | 'inactive';
  readonly to: AlertState | 'cancelled';
  /** Engine time, epoch ms. */
  readonly atMs: number;
  /** Engine time at which the present episode began to match, epoch ms. */
  readonly sinceMs: number;
  readonly value: number;
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
  readonly value: number;
  readonly title: string;
  readonly titleZh: string;
  readonly district: string;
  /** Id of the ticket it raised, if any. */
  readonly ticket: string | null;
}
