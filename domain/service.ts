import type { LocalText } from './city.ts';

/** What a service asks its citizens (Open311 GeoReport v2, service definition). */
export interface ServiceAttribute {
  readonly code: string;
  readonly title: LocalText;
  readonly datatype: 'string' | 'number' | 'datetime' | 'text' | 'singlevaluelist' | 'multivaluelist';
  readonly required: boolean;
  /** How to answer it (Open311 `datatype_description`); null where the title says enough. */
  readonly hint: LocalText | null;
  /** Of the list types: what may be chosen. */
  readonly values: readonly { readonly key: string; readonly title: LocalText }[];
}

/** A party that may take a ticket before its department does. */
export interface OfferTier {
  /** Id of a department, contractor or community group. */
  readonly to: string;
  /** How long it may think about it, ms of the service's working time. */
  readonly forMs: number;
}

/** Somebody else is told when a deadline has passed. */
export interface EscalationStep {
  readonly on: 'acknowledge' | 'resolve';
  /** After the deadline, ms of working time. */
  readonly afterMs: number;
  /** Id of a department, contractor or community group. */
  readonly to: string;
}

/** What alerts have in common that become one ticket. */
export const GROUP_KEYS = ['district', 'rule', 'profile'] as const;
export type GroupKey = (typeof GROUP_KEYS)[number];

/** How alerts of a service are gathered, after Alertmanager's `group_by` and `group_wait`. */
export interface Gathering {
  readonly by: readonly GroupKey[];
  /** How long the first alert waits for others, ms. */
  readonly waitMs: number;
}

/** A service that citizens and sensors ask for (Open311: service_code, service_name), and how it is done. */
export interface Service {
  readonly id: string;
  readonly title: LocalText;
  readonly description: LocalText | null;
  /** Id of the department that answers for it. */
  readonly department: string;
  /** Whether citizens may ask for it. */
  readonly open311: boolean;
  readonly keywords: readonly string[];
  readonly attributes: readonly ServiceAttribute[];
  /** Time to resolve, ms of working time, where a rule names none. */
  readonly deadlineMs: number;
  /** Time to acknowledge, ms of working time; null: none is set. */
  readonly acknowledgeMs: number | null;
  /** Id of the calendar whose times are working time; null: all time is. */
  readonly calendar: string | null;
  /** After which share of a deadline its department is warned, percent; null: it is not. */
  readonly warnPercent: number | null;
  readonly escalation: readonly EscalationStep[];
  /** Whether a resolved alert resolves the ticket, or somebody has to look first. */
  readonly resolution: 'auto' | 'confirm';
  /** An alert that fires again so soon after its ticket was resolved reopens it, ms. */
  readonly reopenMs: number;
  /** How long after it was resolved a ticket closes by itself, ms; null: somebody closes it. */
  readonly closeMs: number | null;
  /** Who is asked before the department, in this order. */
  readonly offers: readonly OfferTier[];
  readonly gathering: Gathering | null;
}

/** What of an alert silences and inhibitions look at. */
export interface AlertLabels {
  readonly rule: string;
  readonly group: string;
  readonly severity: string;
  readonly service: string;
  readonly department: string;
  /** Empty for alerts about the whole city. */
  readonly district: string;
  /** Null where the alert is not about one device. */
  readonly device: string | null;
  readonly profile: string | null;
  readonly tags: Readonly<Record<string, string>>;
}

/** What matchers can name. */
export const MATCH_KEYS = ['rule', 'device', 'district', 'profile', 'severity', 'service', 'department'] as const;
export type MatchKey = (typeof MATCH_KEYS)[number];

/** Each list that is given must hold the alert's own; every tag must be the device's. Empty: matches all. */
export type Matchers = { readonly [K in MatchKey]?: readonly string[] } & {
  readonly tags?: Readonly<Record<string, string>>;
};

/**
 * While an alert that `source` matches fires, alerts that `target` matches raise no ticket. Both must agree in `equal`; with
 * `via`, the source's device is the one that this tag of the target's device names (a gateway and its sensors).
 */
export interface Inhibition {
  readonly source: Pick<Matchers, 'rule' | 'district' | 'severity'>;
  readonly target: Matchers;
  readonly equal: readonly ('district' | 'device')[];
  readonly via: string | null;
}
