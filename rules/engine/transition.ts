import type { Evidence, Transition } from '../../domain/index.ts';
import { COUNT, type Instance, NEWEST, type Phase, SINCE } from './instance.ts';
import { recentSince } from './recent.ts';
import { figureOf, windowStart } from './window.ts';

/** Puts a transition together from the instance as it stands after it. */
export function describe(
  instance: Instance,
  change: Pick<Transition, 'id' | 'to' | 'atMs'> & { from: Phase },
): Transition {
  const { rule, group, data } = instance;
  return {
    id: change.id,
    rule: rule.rule.id,
    group,
    from: change.from,
    to: change.to,
    atMs: change.atMs,
    sinceMs: data[SINCE]!,
    value: figureOf(data, rule),
    severity: rule.rule.severity,
    evidence: evidenceOf(instance),
  };
}

/** `fromMs` is the first moment that counts (included), so the readings from there to `toMs` give the very figure. */
function evidenceOf(instance: Instance): Evidence {
  const { rule, data } = instance;
  const { metric, fn, op, threshold } = rule.rule.when;
  const fromMs = windowStart(data, rule);
  const value = figureOf(data, rule);
  return {
    ruleVersion: rule.rule.version,
    window: { metric, fn, fromMs, toMs: data[NEWEST]!, count: data[COUNT]!, value, op, threshold },
    // `last` has no window: the readings that led up to it are shown.
    readings: recentSince(instance, fn === 'last' ? Number.NEGATIVE_INFINITY : fromMs),
  };
}
