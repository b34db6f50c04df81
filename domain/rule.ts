/** Severities, from least to most. */
export const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** How the readings of a window become one figure. `last` has no window. */
export const WINDOW_FUNCTIONS = ['mean', 'min', 'max'] as const;
export type WindowFunction = (typeof WINDOW_FUNCTIONS)[number];

/** When a rule matches: a figure of one metric beyond a threshold, until it is back past `clear`. */
export interface Condition {
  readonly metric: string;
  readonly fn: 'last' | WindowFunction;
  /** Length of the window in event time, ms; 0 for `last`. */
  readonly windowMs: number;
  readonly op: 'above' | 'below';
  /** The threshold; matches strictly beyond it. */
  readonly threshold: number;
  /** While matching, the condition holds until the figure is at or back past this (hysteresis); the threshold where not given. */
  readonly clear: number;
}

/** A rule as the city folder describes it, checked and with its defaults filled in. */
export interface Rule {
  readonly id: string;
  /** First 12 hex digits of the SHA-256 of its canonical JSON: changes when the rule changes. */
  readonly version: string;
  /** May hold `{{device.name}}`, `{{device.id}}`, `{{district}}`, `{{value}}`. */
  readonly title: string;
  /** Same in Chinese; the title where the author gave none. */
  readonly titleZh: string;
  readonly forEach: 'device';
  /** Every list must hold the device's; an empty object matches all. */
  readonly where: {
    readonly profile?: readonly string[];
    readonly district?: readonly string[];
    readonly device?: readonly string[];
    readonly tags?: Readonly<Record<string, string>>;
  };
  readonly when: Condition;
  /** How long the condition must hold before the alert fires, ms. */
  readonly forMs: number;
  /** How long the alert goes on firing after the condition has ended, ms. */
  readonly keepFiringForMs: number;
  readonly severity: Severity;
  /** The ticket it raises; none where the rule only alerts. */
  readonly ticket?: { readonly service: string; readonly deadlineMs: number };
  /** The source as its author wrote it (YAML), for evidence. */
  readonly source: string;
}
