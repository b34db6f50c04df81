import type { KnownDevice, MetricTable, Rule } from '../../domain/index.ts';
import { type CompiledRule, compileRule, takes } from './compiled.ts';
import { Instance } from './instance.ts';

/** What the rules make of one device: by metric, the instances that a reading goes to, in the order of the rules. */
export interface DevicePlan {
  device: KnownDevice;
  /** All instances of the device. */
  instances: Instance[];
  /** Undefined where no reading of the metric has come since the plan was made. */
  byMetric: (readonly Instance[] | undefined)[];
}

/** The rules in force, compiled. */
export interface RuleSet {
  readonly byId: ReadonlyMap<string, CompiledRule>;
  /** By number of the metric, in the order of the rules. */
  readonly byMetric: readonly (readonly CompiledRule[] | undefined)[];
}

/** No rules. */
export const NO_RULES: RuleSet = { byId: new Map(), byMetric: [] };
const NONE: readonly Instance[] = [];

/** Compiles rules; one whose version did not change stays the same object as in `before`. */
export function compileRules(rules: readonly Rule[], before: RuleSet, metrics: MetricTable): RuleSet {
  const byId = new Map<string, CompiledRule>();
  for (const rule of rules) {
    const known = before.byId.get(rule.id);
    byId.set(rule.id, known?.rule.version === rule.version ? known : compileRule(rule, metrics));
  }
  const byMetric: CompiledRule[][] = [];
  for (const rule of byId.values()) {
    byMetric[rule.metric] ??= [];
    byMetric[rule.metric]!.push(rule);
  }
  return { byId, byMetric };
}

/** Holds the plan against rules and device as they are now; gives the instances that it no longer has. */
export function replan(plan: DevicePlan, { byId }: RuleSet): Instance[] {
  const stays = ({ rule }: Instance) => byId.get(rule.rule.id) === rule && takes(rule.rule.where, plan.device);
  const left = plan.instances.filter((instance) => !stays(instance));
  plan.instances = plan.instances.filter(stays);
  plan.byMetric = [];
  return left;
}

/** Plans a metric at its first reading; instances that the device already has are taken on. */
export function planMetric(plan: DevicePlan, metric: number, rules: RuleSet): readonly Instance[] {
  const matching = (rules.byMetric[metric] ?? []).filter(({ rule }) => takes(rule.where, plan.device));
  const instances = matching.length === 0 ? NONE : matching.map((rule) => instanceOf(plan, rule));
  // Without holes the hot path's look-up stays a plain load.
  while (plan.byMetric.length <= metric) plan.byMetric.push(undefined);
  plan.byMetric[metric] = instances;
  return instances;
}

function instanceOf(plan: DevicePlan, rule: CompiledRule): Instance {
  const known = plan.instances.find((instance) => instance.rule === rule);
  if (known !== undefined) return known;
  const made = new Instance(rule, plan.device.id);
  plan.instances.push(made);
  return made;
}
