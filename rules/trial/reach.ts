import type { Clause, Condition, Rule } from '../../domain/index.ts';
import { HOUR_MS } from '../../domain/index.ts';

const LONGEST_MS = 62 * 24 * HOUR_MS;

/** Every clause of a condition. */
function clausesOf(condition: Condition): Clause[] {
  switch (condition.kind) {
    case 'all':
    case 'any':
      return condition.of.flatMap(clausesOf);
    case 'not':
      return clausesOf(condition.of);
    default:
      return [condition];
  }
}

/** Metrics that a rule reads; null where it hears any. */
export function metricsOf(rule: Rule): string[] | null {
  const metrics = new Set<string>();
  for (const clause of clausesOf(rule.when)) {
    if (clause.metric === null) return null;
    metrics.add(clause.metric);
    if (clause.kind === 'threshold' && clause.compare !== null && clause.compare.with !== 'peers') {
      metrics.add(clause.compare.with.metric);
    }
  }
  return [...metrics];
}

/** Whether a device is compared with its neighbours. */
export function hasPeers(rule: Rule): boolean {
  return clausesOf(rule.when).some((clause) => clause.kind === 'threshold' && clause.compare?.with === 'peers');
}

/** How far back the readings lie that can still matter, ms: the longest window, and the waiting before and after; at least an hour. */
export function reachOf(rule: Rule): number {
  const longest = Math.max(0, ...clausesOf(rule.when).map(windowOf));
  const silence = rule.onNoData === 'keep' ? 0 : rule.noDataAfterMs;
  const waiting = rule.forMs + rule.keepFiringForMs + Math.max(rule.flapping?.withinMs ?? 0, silence);
  return Math.min(LONGEST_MS, Math.max(HOUR_MS, longest + waiting));
}

function windowOf(clause: Clause): number {
  if (clause.kind === 'absent') return clause.absentMs;
  if (clause.kind === 'anomaly') return clause.trainMs + clause.windowMs;
  if (clause.kind === 'forecast') return clause.method === 'trend' ? clause.overMs : 3 * clause.seasonMs;
  if (clause.kind === 'threshold') return clause.windowMs + (clause.compare?.withinMs ?? 0);
  return clause.windowMs * 2;
}
