import { type EngineTime, metricOf, shown, shownWindow, TRUE, UNKNOWN, VERDICTS } from './clauses/index.ts';
import { type CompiledRule, groupOf, type RuleSet, takes } from './compiled.ts';
import { dueK } from './due.ts';
import type { DevicePlan } from './groups.ts';
import type { Instance, Member } from './instance.ts';
import { matches } from './machine.ts';
import type { ClauseExplanation, ExplainReason, Explanation } from './types.ts';

/** Explains the alert of a rule and group; `plan` is that of the device with the group's id, if there is one. */
export function explainRule(
  rule: CompiledRule,
  group: string,
  plan: DevicePlan | undefined,
  time: EngineTime,
): Explanation {
  const own = plan?.instances.find((instance) => instance.rule === rule);
  const instance = (rule.grouped ? rule.run.groups.get(group) : own) ?? null;
  const taken = instance !== null || (!rule.grouped && plan !== undefined && takes(rule.rule, plan.device));
  return explainGroup(rule, group, instance, time, taken);
}

/** Explains every rule for one device: its own alerts, and those of its district and the city. */
export function explainPlan(plan: DevicePlan, rules: RuleSet, time: EngineTime): Explanation[] {
  return [...rules.byId.values()].map((rule) => {
    const seat = plan.seats.find(({ instance }) => instance.rule === rule)?.instance;
    const instance = seat ?? plan.instances.find((one) => one.rule === rule) ?? null;
    return explainGroup(rule, groupOf(rule.rule, plan.device), instance, time, takes(rule.rule, plan.device));
  });
}

/** `instance` is null where no reading came yet, or where the rule does not take the group. */
function explainGroup(
  rule: CompiledRule,
  group: string,
  instance: Instance | null,
  time: EngineTime,
  taken: boolean,
): Explanation {
  const { id, version } = rule.rule;
  const reason = rule.run.fault !== null ? 'rule-fault' : taken ? reasonOf(instance, time) : 'not-taken';
  const head = { rule: id, version, group, reason };
  if (instance === null) {
    return { ...head, state: 'inactive', sinceMs: null, dueMs: null, matches: null, clauses: [] };
  }
  const due = dueK(instance, time);
  return {
    ...head,
    state: instance.phase,
    sinceMs: instance.episode?.sinceMs ?? null,
    dueMs: Number.isFinite(due) ? due + time.offset : null,
    matches: instance.whole === UNKNOWN ? null : instance.whole === TRUE,
    clauses: clausesOf(instance, time),
  };
}

function reasonOf(instance: Instance | null, time: EngineTime): ExplainReason {
  if (instance === null) return 'no-reading';
  const { phase, whole, episode, silent } = instance;
  const on = matches(instance, time);
  if (episode?.held) return 'held-by-limit';
  if (phase === 'pending') return 'waiting-for';
  if (phase === 'firing' && !on) return instance.carried ? 'unknown' : 'firing-kept';
  if (phase === 'firing') return silent ? 'firing-silent' : 'firing';
  if (whole === UNKNOWN) return 'unknown';
  return whole === TRUE ? 'outside-calendar' : 'not-matching';
}

/** With a quorum: the clauses of the first device that matches, else of the first device. */
function clausesOf(instance: Instance, time: EngineTime): ClauseExplanation[] {
  const members = [...(instance.members?.values() ?? [])];
  const shownMember: Member = members.find(({ whole }) => whole === TRUE) ?? members[0] ?? instance;
  return shownMember.clauses.map((state, i) => {
    const { path, clause } = instance.rule.clauses[i]!;
    const { op, threshold, count, toMs } = shownWindow(state, time);
    return {
      path,
      kind: clause.kind,
      metric: metricOf(clause),
      verdict: VERDICTS[state.verdict],
      value: shown(state.value(time)),
      op,
      threshold,
      clear: state.clear(),
      count,
      newestMs: Number.isFinite(toMs) && count > 0 ? toMs : null,
    };
  });
}
