import { z } from 'zod';
import type { LocalText } from './city.ts';
import type { Parameters } from './device-command.ts';
import type { ShapeOf } from './schema.ts';

/** A question that a service asks citizens (Open311 GeoReport v2, service definition). */
export interface ServiceAttribute {
  readonly code: string;
  readonly title: LocalText;
  /** `asset`: the id of an asset of the service; to clients of Open311 it is a string. */
  readonly datatype: 'string' | 'number' | 'datetime' | 'text' | 'singlevaluelist' | 'multivaluelist' | 'asset';
  readonly required: boolean;
  /**
   * Whether the answer says which thing it is about (the number on a pole): requests that answer otherwise stay apart.
   */
  readonly identifies: boolean;
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

/** A command that a service names, for the devices whose profile declares it. */
export interface ServiceCommand {
  readonly name: string;
  readonly parameters: Parameters;
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

/** What a warning is about (CAP 1.2 §3.2.2, `category`). */
export const CAP_CATEGORIES = [
  'Geo',
  'Met',
  'Safety',
  'Security',
  'Rescue',
  'Fire',
  'Health',
  'Env',
  'Transport',
  'Infra',
  'CBRNE',
  'Other',
] as const;
export type CapCategory = (typeof CAP_CATEGORIES)[number];

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
  /**
   * A ticket that a person resolved while its alert fires opens again after this time if it still fires, ms; null:
   * never.
   */
  readonly recheckMs: number | null;
  /** How often its department is reminded of an open ticket, ms of working time; null: never. */
  readonly remindMs: number | null;
  /** How long after the resolution the citizen who reported it may say that it is not fixed, ms; 0: never. */
  readonly notFixedMs: number;
  /** Parties that are offered the ticket before the department, in this order. */
  readonly offers: readonly OfferTier[];
  readonly gathering: Gathering | null;
  /** What is sent to the device of an alert, once a person confirms it or by itself (`automatic`); null: nothing. */
  readonly command: ServiceCommand | null;
  /** A request is about the nearest asset of these kinds within some metres, unless it names one; null: about none. */
  readonly asset: { readonly kinds: readonly string[]; readonly withinM: number } | null;
  /**
   * Answers to its questions, by code, that its sensors measure. A request with other answers, or none, ends by a
   * person, not with an alert.
   */
  readonly measured: ReadonlyMap<string, readonly string[]>;
  /** How its alerts are sent as CAP; absent: as `Other`. */
  readonly cap?: { readonly category: CapCategory };
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
  /** The gateway of the device; absent: none. */
  readonly gateway?: string;
  /** Present where the alert says that nothing comes any more. */
  readonly silent?: true;
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
 * with `via`, the source's device is the one that this tag of the target's device names (a gateway and its sensors).
 */
export interface Inhibition {
  readonly source: Pick<Matchers, 'rule' | 'district' | 'severity'>;
  readonly target: Matchers;
  readonly equal: readonly ('district' | 'device')[];
  readonly via: string | null;
  /** Tickets of the targets that are at most so much older than the source's alert are folded into its ticket, ms. */
  readonly lateMs: number;
}
