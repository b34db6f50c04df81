import type { KnownDevice, MetricTable, Rule } from '../../domain/index.ts';
import { type CompiledRule, compileRule, takes } from './compiled.ts';
import type { Instance, Member } from './instance.ts';

/** What the rules make of one device: by metric, the members that a reading goes to, in the order of the rules. */
export interface DevicePlan {
  device: KnownDevice;
  /** Its own alerts. */
  instances: Instance[];
  /** Its places in alerts of districts and the city. */
  seats: Seat[];
  /** Undefined where no reading of the metric has come since the plan was made. */
  byMetric: (readonly Member[] | undefined)[];
}

/** A device's part in the alert of a group: a member of its own in a quorum, else the group's one. */
export interface Seat {
  readonly instance: Instance;
  readonly member: Member;
}

/** The rules in force, compiled, in order of id. */
export interface RuleSet {
  readonly byId: ReadonlyMap<string, CompiledRule>;
  /** By number of the metric. */
  readonly byMetric: readonly (readonly CompiledRule[] | undefined)[];
  /** Those that read every metric. */
  readonly ofAny: readonly CompiledRule[];
  /** Those whose groups exist before their first reading. */
  readonly early: readonly CompiledRule[];
}

/** No rules. */
export const NO_RULES: RuleSet = { byId: new Map(), byMetric: [], ofAny: [], early: [] };

/** Compiles rules; one whose version did not change stays the same object as in `before`, with what the city says of it now. */
export function compileRules(rules: readonly Rule[], before: RuleSet, metrics: MetricTable, atMs: number): RuleSet {
  const byId = new Map<string, CompiledRule>();
  for (const rule of rules.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const known = before.byId.get(rule.id);
    if (known?.rule.version === rule.version) {
      known.rule = rule;
      byId.set(rule.id, known);
    } else byId.set(rule.id, compileRule(rule, metrics, atMs));
  }
  const all = [...byId.values()];
  const ofAny = all.filter(({ anyMetric }) => anyMetric);
  const byMetric: CompiledRule[][] = [];
  for (const metric of new Set(all.flatMap((rule) => rule.metrics))) {
    byMetric[metric] = [];
  }
  for (const rule of all) {
    if (rule.anyMetric) for (const metric of byMetric.keys()) byMetric[metric]?.push(rule);
    else for (const metric of rule.metrics) byMetric[metric]!.push(rule);
  }
  return { byId, byMetric, ofAny, early: all.filter(({ eager, grouped }) => eager || grouped) };
}

/** The members that a reading of the metric goes to, planned at its first. */
export function planMetric(
  plan: DevicePlan,
  metric: number,
  rules: RuleSet,
  instanceOf: (plan: DevicePlan, rule: CompiledRule) => Instance,
): readonly Member[] {
  const members: Member[] = [];
  for (const rule of rules.byMetric[metric] ?? rules.ofAny) {
    if (rule.run.fault !== null || !takes(rule.rule, plan.device)) continue;
    if (rule.grouped) {
      const seat = plan.seats.find(({ instance }) => instance.rule === rule);
      if (seat !== undefined) members.push(seat.member);
    } else members.push(instanceOf(plan, rule));
  }
  const same = members.length === plan.instances.length && members.every((member, i) => member === plan.instances[i]);
  const exact = same ? plan.instances : members.slice();
  // Copies, since an array that was pushed to has room for 17; without holes the hot path's look-up stays a plain load.
  const length = Math.max(plan.byMetric.length, metric + 1);
  plan.byMetric = Array.from({ length }, (_, at) => (at === metric ? exact : plan.byMetric[at]));
  return plan.byMetric[metric]!;
}
