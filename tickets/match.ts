import { type AlertLabels, type Inhibition, MATCH_KEYS, type Matchers } from '../domain/index.ts';

/** Reports whether an alert has all that the matchers name. */
export function matches(matchers: Matchers, labels: AlertLabels): boolean {
  const lists = MATCH_KEYS.every((key) => {
    const wanted = matchers[key];
    const own = labels[key];
    return wanted === undefined || (own !== null && wanted.includes(own));
  });
  return lists && Object.entries(matchers.tags ?? {}).every(([tag, value]) => labels.tags[tag] === value);
}

/** The fields of a firing alert that inhibitions compare. */
export interface FiringAlert {
  readonly rule: string;
  readonly group: string;
  readonly severity: string;
  readonly district: string;
}

/**
 * Returns the firing alerts of rules, or those that say that nothing comes from a device any more; of one group or
 * (null) of all. They are read lazily.
 */
export type FiringAlerts = (rules: readonly string[] | 'silent', group: string | null) => Iterable<FiringAlert>;

/** Reports whether an alert says that nothing comes from a device that a gateway publishes for. */
export function isBehindGateway({ silent, gateway, device }: AlertLabels): boolean {
  return silent === true && gateway !== undefined && gateway !== device;
}

/**
 * Returns the firing alert that keeps another from opening a ticket; null where none does. An alert never inhibits
 * itself. That nothing comes from a device is explained where nothing comes from its gateway, whatever the city says.
 */
export function inhibitorOf(
  labels: AlertLabels,
  inhibitions: readonly Inhibition[],
  firing: FiringAlerts,
): FiringAlert | null {
  for (const inhibition of inhibitions) {
    if (!matches(inhibition.target, labels)) continue;
    const group = sourceGroup(inhibition, labels);
    if (group === undefined) continue;
    for (const alert of firing(inhibition.source.rule ?? [], group)) {
      if (inhibits(inhibition, alert, labels)) return alert;
    }
  }
  if (!isBehindGateway(labels)) return null;
  for (const alert of firing('silent', labels.gateway!)) return alert;
  return null;
}

/** Returns the one group that can inhibit an alert; null: any can; undefined: none can. In a storm thousands fire. */
function sourceGroup({ equal, via }: Inhibition, { device, tags }: AlertLabels): string | null | undefined {
  if (via !== null) return tags[via];
  return equal.includes('device') ? (device ?? undefined) : null;
}

/** Reports whether an alert is one of the sources of an inhibition that fit the labels of a target. */
export function inhibits({ source, equal, via }: Inhibition, alert: FiringAlert, labels: AlertLabels): boolean {
  if (alert.rule === labels.rule && alert.group === labels.group) return false;
  if (source.district !== undefined && !source.district.includes(alert.district)) return false;
  if (source.severity !== undefined && !source.severity.includes(alert.severity)) return false;
  if (equal.includes('district') && alert.district !== labels.district) return false;
  if (equal.includes('device') && alert.group !== labels.device) return false;
  return via === null || labels.tags[via] === alert.group;
}
