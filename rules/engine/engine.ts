import type { KnownDevice, MetricTable, ReadingColumns, Rule, Transition } from '../../domain/index.ts';
import { decodeState, encodeState } from './codec.ts';
import { takes } from './compiled.ts';
import type { Instance, Phase } from './instance.ts';
import { awaitsTime, leave, matchesNow, onEvaluated, onTime } from './machine.ts';
import { compileRules, type DevicePlan, NO_RULES, planMetric, replan } from './plan.ts';
import { remember } from './recent.ts';
import { describe } from './transition.ts';
import { observe } from './window.ts';

/** Where in the journal the engine stands. */
export interface Moment {
  /** Number of the journal block. */
  readonly seq: number;
  /** Engine time: the block's `receivedAt`, epoch ms; never decreases. */
  readonly atMs: number;
}

/** The state of one instance, for the checkpoint; a null state means that it is gone. */
export interface StateRow {
  readonly rule: string;
  readonly version: string;
  readonly group: string;
  readonly state: Uint8Array | null;
}

/**
 * Decides when alerts begin and end: a function of the journal alone, the same live, restored and replayed (promise 4).
 * Conditions are evaluated on readings only: silence neither fires nor resolves. Windows are in event time, `for` and
 * `keep_firing_for` in engine time. Nothing in it throws on validated readings.
 */
export interface RuleEngine {
  /**
   * Replaces the rules. The state of a rule whose `version` did not change is kept; alerts of rules that vanished or
   * changed end: pending → cancelled, firing → resolved, in order of rule and group.
   */
  configure(rules: readonly Rule[], moment: Moment): Transition[];
  /** A device was registered or changed: plans it anew; alerts of rules that no longer match it end. */
  deviceChanged(device: KnownDevice, moment: Moment): Transition[];
  /** A device is gone: its alerts end and its state is forgotten. */
  deviceRevoked(device: KnownDevice, moment: Moment): Transition[];
  /** Feeds readings in journal order. Readings of devices that were never announced are passed over. */
  step(readings: ReadingColumns, moment: Moment): Transition[];
  /** Time passes: `for` and `keep_firing_for` come due, in order of rule and group. */
  tick(moment: Moment): Transition[];
  /** States changed since the last call, each (rule, group) that is gone before one that took its place. */
  takeDirty(): StateRow[];
  /**
   * Takes states back; after `configure` and `deviceChanged`, before the first `step`. A state of a rule, version or
   * device that is no more is dropped, and given as gone by the next `takeDirty`. Throws `disk` on bytes it cannot read.
   */
  restore(rows: Iterable<StateRow>): void;
  /** How many (rule, device) pairs have met a reading. */
  instanceCount(): number;
}

/** Makes an engine without rules or devices. */
export function createRuleEngine({ metrics }: { readonly metrics: MetricTable }): RuleEngine {
  const plans: (DevicePlan | undefined)[] = [];
  const waiting = new Set<Instance>();
  let rules = NO_RULES;
  let dirty: Instance[] = [];
  let gone: StateRow[] = [];
  let seq = -1;
  let ordinal = 0;

  function nextId(moment: Moment): string {
    if (moment.seq !== seq) {
      seq = moment.seq;
      ordinal = 0;
    }
    return `${seq}.${ordinal++}`;
  }

  function record(instance: Instance, from: Phase, to: Transition['to'], moment: Moment): Transition {
    return describe(instance, { id: nextId(moment), from, to, atMs: moment.atMs });
  }

  function touch(instance: Instance): void {
    if (instance.dirty) return;
    instance.dirty = true;
    dirty.push(instance);
  }

  function keepWaiting(instance: Instance): void {
    const waits = awaitsTime(instance);
    if (waits === instance.waiting) return;
    instance.waiting = waits;
    if (waits) waiting.add(instance);
    else waiting.delete(instance);
  }

  function evaluate(instance: Instance, ts: number, value: number, moment: Moment, into: Transition[]): void {
    if (!observe(instance.data, instance.rule, ts, value)) return;
    remember(instance, ts, value);
    touch(instance);
    const matches = matchesNow(instance);
    const from = instance.phase;
    if (!matches && from === 'inactive') return;
    const to = onEvaluated(instance, matches, moment.atMs);
    keepWaiting(instance);
    if (to !== null) into.push(record(instance, from, to, moment));
  }

  function end(instances: Instance[], moment: Moment): Transition[] {
    const transitions: Transition[] = [];
    for (const instance of instances.sort(byRuleAndGroup)) {
      const from = instance.phase;
      const to = leave(instance);
      keepWaiting(instance);
      instance.gone = true;
      const { id, version } = instance.rule.rule;
      gone.push({ rule: id, version, group: instance.group, state: null });
      if (to !== null) transitions.push(record(instance, from, to, moment));
    }
    return transitions;
  }

  function restoreOne(row: StateRow, plan: DevicePlan | undefined): boolean {
    const rule = rules.byId.get(row.rule);
    if (row.state === null || plan === undefined || rule === undefined) return false;
    if (rule.rule.version !== row.version || !takes(rule.rule.where, plan.device)) return false;
    const instance = decodeState(rule, row.group, row.state);
    plan.instances.push(instance);
    keepWaiting(instance);
    return true;
  }

  return {
    configure(next, moment) {
      rules = compileRules(next, rules, metrics);
      return end(
        plans.flatMap((plan) => (plan === undefined ? [] : replan(plan, rules))),
        moment,
      );
    },
    deviceChanged(device, moment) {
      const plan = plans[device.index];
      if (plan !== undefined) {
        plan.device = device;
        return end(replan(plan, rules), moment);
      }
      while (plans.length <= device.index) plans.push(undefined);
      plans[device.index] = { device, instances: [], byMetric: [] };
      return [];
    },
    deviceRevoked(device, moment) {
      const plan = plans[device.index];
      plans[device.index] = undefined;
      return plan === undefined ? [] : end(plan.instances, moment);
    },
    step({ length, device, metric, ts, value }, moment) {
      const transitions: Transition[] = [];
      for (let row = 0; row < length; row++) {
        const plan = plans[device[row]!.index];
        if (plan === undefined) continue;
        const instances = plan.byMetric[metric[row]!] ?? planMetric(plan, metric[row]!, rules);
        for (let i = 0; i < instances.length; i++) evaluate(instances[i]!, ts[row]!, value[row]!, moment, transitions);
      }
      return transitions;
    },
    tick(moment) {
      const moved: { instance: Instance; from: Phase; to: Transition['to'] }[] = [];
      for (const instance of waiting) {
        const from = instance.phase;
        const to = onTime(instance, moment.atMs);
        if (to !== null) moved.push({ instance, from, to });
      }
      moved.sort((a, b) => byRuleAndGroup(a.instance, b.instance));
      return moved.map(({ instance, from, to }) => {
        touch(instance);
        keepWaiting(instance);
        return record(instance, from, to, moment);
      });
    },
    takeDirty() {
      const changed = dirty.filter((instance) => !instance.gone);
      const rows = [...gone, ...changed.map(rowOf)];
      dirty = [];
      gone = [];
      return rows;
    },
    restore(rows) {
      const byGroup = new Map(plans.flatMap((plan) => (plan === undefined ? [] : [[plan.device.id, plan] as const])));
      for (const row of rows) {
        const { rule, version, group } = row;
        if (!restoreOne(row, byGroup.get(group))) gone.push({ rule, version, group, state: null });
      }
    },
    instanceCount: () => plans.reduce((sum, plan) => sum + (plan?.instances.length ?? 0), 0),
  };
}

function rowOf(instance: Instance): StateRow {
  instance.dirty = false;
  const { id, version } = instance.rule.rule;
  return { rule: id, version, group: instance.group, state: encodeState(instance) };
}

/** An order that does not depend on how an instance came into memory: a restored engine has the same. */
function byRuleAndGroup(a: Instance, b: Instance): number {
  const [left, right] = a.rule === b.rule ? [a.group, b.group] : [a.rule.rule.id, b.rule.rule.id];
  return left < right ? -1 : left > right ? 1 : 0;
}
