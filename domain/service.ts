import { z } from 'zod';
import type { LocalText } from './city.ts';
import type { ShapeOf } from './schema.ts';

/** A question that a service asks citizens (Open311 GeoReport v2, service definition). */
export interface ServiceAttribute {
  readonly code: string;
  readonly title: LocalText;
  readonly datatype: 'string' | 'number' | 'datetime' | 'text' | 'singlevaluelist' | 'multivaluelist';
  readonly required: boolean;
  /** How to respond to it (Open311 `datatype_description`); null where the title says enough. */
  readonly hint: LocalText | null;
  /** The choices of the list types. */
  readonly values: readonly { readonly key: string; readonly title: LocalText }[];
}

/** A party that may take a ticket before its department does. */
export interface OfferTier {
  /** Id of a department, contractor or community group. */
  readonly to: string;
  /** How long the offer stands, ms of the service's working time. */
  readonly forMs: number;
}

/** Somebody else who is notified after a deadline has passed. */
export interface EscalationStep {
  readonly on: 'acknowledge' | 'resolve';
  /** After the deadline, ms of working time. */
  readonly afterMs: number;
  /** Id of a department, contractor or community group. */
  readonly to: string;
}

/** The labels that alerts can be gathered by into one ticket. */
export const GROUP_KEYS = ['district', 'rule', 'profile'] as const;
export type GroupKey = (typeof GROUP_KEYS)[number];

/** How alerts of a service are gathered, after Alertmanager's `group_by` and `group_wait`. */
export interface Gathering {
  readonly by: readonly GroupKey[];
  /** How long the first alert waits for others, ms. */
  readonly waitMs: number;
}

/** A service of the city (Open311: service_code, service_name) and its policy for tickets. */
export interface Service {
  readonly id: string;
  readonly title: LocalText;
  readonly description: LocalText | null;
  /** Id of the department that is responsible. */
  readonly department: string;
  /** Whether citizens may request it. */
  readonly open311: boolean;
  readonly keywords: readonly string[];
  readonly attributes: readonly ServiceAttribute[];
  /** Time to resolve where a rule sets none, ms of working time. */
  readonly deadlineMs: number;
  /** Time to acknowledge, ms of working time; null: no deadline. */
  readonly acknowledgeMs: number | null;
  /** Id of the calendar of its working time; null: all time counts. */
  readonly calendar: string | null;
  /** The share of a deadline after which the department is warned, percent; null: no warning. */
  readonly warnPercent: number | null;
  readonly escalation: readonly EscalationStep[];
  /** `auto`: a resolved alert resolves the ticket; `confirm`: a person has to check first. */
  readonly resolution: 'auto' | 'confirm';
  /** An alert that fires again within this time after its ticket was resolved reopens it, ms. */
  readonly reopenMs: number;
  /** The time after which a resolved ticket closes by itself, ms; null: a person closes it. */
  readonly closeMs: number | null;
  /** Parties that are offered the ticket before the department, in this order. */
  readonly offers: readonly OfferTier[];
  readonly gathering: Gathering | null;
}

/** The labels of an alert, which silences and inhibitions match. */
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

/** The labels that matchers can name. */
export const MATCH_KEYS = ['rule', 'device', 'district', 'profile', 'severity', 'service', 'department'] as const;
export type MatchKey = (typeof MATCH_KEYS)[number];

const list = z.array(z.string()).readonly().exactOptional();
const lists = Object.fromEntries(MATCH_KEYS.map((key) => [key, list])) as Record<MatchKey, typeof list>;

/** Selects alerts: each list must contain the alert's value, and the device must have every tag. Empty: matches all. */
export const MatchersSchema = z.object({ ...lists, tags: z.record(z.string(), z.string()).exactOptional() });
export type Matchers = ShapeOf<typeof MatchersSchema>;

/**
 * While an alert that `source` matches fires, alerts that `target` matches raise no ticket. Both must agree in `equal`;
 * with
 * `via`, the source's device is the one that this tag of the target's device names (a gateway and its sensors).
 */
export interface Inhibition {
  readonly source: Pick<Matchers, 'rule' | 'district' | 'severity'>;
  readonly target: Matchers;
  readonly equal: readonly ('district' | 'device')[];
  readonly via: string | null;
}
