import {
  type Clause,
  type Condition,
  DAY_MS,
  HOUR_MS,
  type MetricTable,
  qualityMetric,
  type Rule,
} from '../domain/index.ts';

const LONGEST_MS = 62 * DAY_MS;

/** Returns the metrics that a rule reads; null where it reads any metric. */
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

/**
 * Returns the metrics of a history that decide with these: of rules that ignore suspect values, also the qualities,
 * which come first.
 */
export function withQualities(rules: readonly Pick<Rule, 'suspect'>[], metrics: readonly string[]): string[] {
  const ignores = rules.some(({ suspect }) => suspect === 'ignore');
  return ignores ? [...metrics.map(qualityMetric), ...metrics] : [...metrics];
}

/** Returns whether the rule compares a device with its peers. */
export function hasPeers(rule: Rule): boolean {
  return clausesOf(rule.when).some((clause) => clause.kind === 'threshold' && clause.compare?.with === 'peers');
}

/**
 * Returns how far back readings can still matter to a rule, ms: its longest window plus its waiting times, between one
 * hour and 62 days.
 */
export function reachOf(rule: Rule): number {
  const longest = Math.max(0, ...clausesOf(rule.when).map(windowOf));
  const silence = rule.onNoData === 'keep' ? 0 : rule.noDataAfterMs + rule.noDataForMs;
  const waiting = rule.forMs + rule.keepFiringForMs + Math.max(rule.flapping?.withinMs ?? 0, silence);
  return Math.min(LONGEST_MS, Math.max(HOUR_MS, longest + waiting));
}

/** Makes a table that numbers metrics in order: first the given ones, then each new one at its first use. */
export function createMetricTable(names: readonly string[] = []): MetricTable {
  const ids = [...names];
  return {
    indexOf(id) {
      const at = ids.indexOf(id);
      return at >= 0 ? at : ids.push(id) - 1;
    },
    idOf: (index) => ids[index]!,
  };
}

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

function windowOf(clause: Clause): number {
  if (clause.kind === 'absent') return clause.absentMs;
  if (clause.kind === 'anomaly') return clause.trainMs + clause.windowMs;
  if (clause.kind === 'forecast') return clause.method === 'trend' ? clause.overMs : 3 * clause.seasonMs;
  if (clause.kind === 'threshold') return clause.windowMs + (clause.compare?.withinMs ?? 0);
  return clause.windowMs * 2;
}
