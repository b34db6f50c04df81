import { metricOf, type Scene, shown, TRUE, UNKNOWN, VERDICTS } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';
import type { Instance, Member } from './instance.ts';
import { matches } from './machine.ts';
import type { ClauseExplanation, ExplainReason, Explanation } from './types.ts';

/** Why an alert stands as it does; `instance` is null where no reading came yet, or where the rule does not take the group. */
export function explainGroup(
  rule: CompiledRule,
  group: string,
  instance: Instance | null,
  scene: Scene,
  dueK: number,
  taken = true,
): Explanation {
  const { id, version } = rule.rule;
  const reason = rule.run.fault !== null ? 'rule-fault' : taken ? reasonOf(instance, scene) : 'not-taken';
  const head = { rule: id, version, group, reason };
  if (instance === null) {
    return { ...head, state: 'inactive', sinceMs: null, dueMs: null, matches: null, clauses: [] };
  }
  return {
    ...head,
    state: instance.phase,
    sinceMs: instance.episode?.sinceMs ?? null,
    dueMs: Number.isFinite(dueK) ? dueK + scene.offset : null,
    matches: instance.whole === UNKNOWN ? null : instance.whole === TRUE,
    clauses: clausesOf(instance, scene),
  };
}

function reasonOf(instance: Instance | null, scene: Scene): ExplainReason {
  if (instance === null) return 'no-reading';
  const { phase, whole, episode, silent } = instance;
  const on = matches(instance, scene);
  if (episode?.held) return 'held-by-limit';
  if (phase === 'pending') return 'waiting-for';
  if (phase === 'firing' && !on) return 'firing-kept';
  if (phase === 'firing') return silent ? 'firing-silent' : 'firing';
  if (whole === UNKNOWN) return 'unknown';
  return whole === TRUE ? 'outside-calendar' : 'not-matching';
}

/** Of a quorum, those of the device that came closest: one that matches, else the first. */
function clausesOf(instance: Instance, scene: Scene): ClauseExplanation[] {
  const members = [...(instance.members?.values() ?? [])];
  const shownMember: Member = members.find(({ whole }) => whole === TRUE) ?? members[0] ?? instance;
  return shownMember.clauses.map((state, i) => {
    const { path, clause } = instance.rule.clauses[i]!;
    const { op, threshold, count, toMs } = state.standing(scene);
    return {
      path,
      kind: clause.kind,
      metric: metricOf(clause),
      verdict: VERDICTS[state.verdict],
      value: shown(state.figure(scene)),
      op,
      threshold,
      clear: state.clear(),
      count,
      newestMs: Number.isFinite(toMs) && count > 0 ? toMs : null,
    };
  });
}
