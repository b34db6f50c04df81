import type { Severity, Transition } from '../../domain/index.ts';
import { type FAULT_GROUP, LIMIT_GROUP, SEVERITIES } from '../../domain/index.ts';
import { beyond, type Scene, TRUE } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';
import type { Instance, Phase } from './instance.ts';

/** Where the machine acts: the time, and who is told. */
export interface Stage extends Scene {
  /** The instance has moved. */
  moved(instance: Instance, from: Phase, to: Transition['to']): void;
  /** An alarm of the rule itself has begun or ended. */
  alarm(rule: CompiledRule, group: typeof LIMIT_GROUP | typeof FAULT_GROUP, to: 'firing' | 'resolved'): void;
  /** Whether the rule is still in force. */
  inForce(rule: CompiledRule): boolean;
}

/** Whether the condition matches now: true, or silent, and the calendar is on. */
export function matches({ whole, silent, rule: { hours } }: Instance, { k, offset }: Scene): boolean {
  return (whole === TRUE || silent) && (hours === null || hours.isOn(k + offset));
}

/** The whole was judged, or the calendar has changed: the alert moves. Calling it again changes nothing. */
export function move(instance: Instance, stage: Stage): void {
  const on = matches(instance, stage);
  if (instance.phase === 'inactive') {
    if (on) begin(instance, stage);
  } else if (instance.phase === 'pending') {
    if (!on) finish(instance, stage);
    else if (instance.silent && !instance.episode!.held) wantFire(instance, stage);
  } else if (on) {
    instance.episode!.endK = Number.NaN;
    escalate(instance, stage);
  } else miss(instance, stage);
}

/** Time passed: `for` or `keep_firing_for` may have come due. */
export function onTime(instance: Instance, stage: Stage): void {
  const { rule, phase, episode } = instance;
  if (episode === null) return;
  if (phase === 'pending' && !episode.held && stage.k - episode.sinceK >= rule.rule.forMs) wantFire(instance, stage);
  // A comparison with NaN is false: an alert that matches does not end.
  else if (phase === 'firing' && stage.k >= episode.endK) finish(instance, stage);
}

/** The alert ends: back to inactive. */
export function finish(instance: Instance, stage: Stage): void {
  const { phase, rule, episode } = instance;
  if (episode === null) return;
  if (phase === 'firing') rule.run.firing--;
  if (episode.held) rule.run.held.delete(instance);
  instance.phase = 'inactive';
  stage.moved(instance, phase, phase === 'firing' ? 'resolved' : 'cancelled');
  instance.episode = null;
  underLimit(rule, stage);
}

function begin(instance: Instance, stage: Stage): void {
  const { severity } = instance.rule.rule;
  const sinceK = stage.k;
  instance.episode = { sinceMs: sinceK + stage.offset, sinceK, severity, held: false, endK: Number.NaN };
  if (instance.silent || instance.rule.rule.forMs === 0) wantFire(instance, stage);
  else pend(instance, stage);
}

function pend(instance: Instance, stage: Stage): void {
  instance.phase = 'pending';
  stage.moved(instance, 'inactive', 'pending');
}

function wantFire(instance: Instance, stage: Stage): void {
  const { run, rule } = instance.rule;
  if (run.limitedMs === null && run.firing < rule.limit) {
    fire(instance, stage);
    return;
  }
  if (instance.phase === 'inactive') pend(instance, stage);
  instance.episode!.held = true;
  run.held.add(instance);
  if (run.limitedMs !== null) return;
  run.limitedMs = stage.k + stage.offset;
  run.dirty = true;
  stage.alarm(instance.rule, LIMIT_GROUP, 'firing');
}

function fire(instance: Instance, stage: Stage): void {
  const from = instance.phase;
  instance.phase = 'firing';
  const episode = instance.episode!;
  episode.held = false;
  episode.endK = Number.NaN;
  episode.severity = severityOf(instance, stage);
  instance.rule.run.firing++;
  remember(instance, stage.k);
  stage.moved(instance, from, 'firing');
}

function remember({ firedK, rule }: Instance, k: number): void {
  if (firedK === null) return;
  firedK.push(k);
  if (firedK.length > rule.rule.flapping!.times) firedK.shift();
}

function miss(instance: Instance, stage: Stage): void {
  const episode = instance.episode!;
  if (Number.isNaN(episode.endK)) episode.endK = stage.k + delayOf(instance, stage.k);
  if (stage.k >= episode.endK) finish(instance, stage);
}

function delayOf({ rule: { rule }, firedK }: Instance, k: number): number {
  const { flapping, keepFiringForMs } = rule;
  if (flapping === null || firedK!.length < flapping.times) return keepFiringForMs;
  return firedK![0]! >= k - flapping.withinMs ? Math.max(keepFiringForMs, flapping.withinMs) : keepFiringForMs;
}

function escalate(instance: Instance, stage: Stage): void {
  if (instance.rule.rule.steps.length === 0) return;
  const severity = severityOf(instance, stage);
  const episode = instance.episode!;
  if (severity === episode.severity) return;
  episode.severity = severity;
  stage.moved(instance, 'firing', 'firing');
}

/** The hardest step that the figure is beyond; never below what it was in this episode. */
function severityOf({ rule: { rule, clauses }, clauses: states, episode }: Instance, stage: Stage): Severity {
  let hardest = episode!.severity;
  for (const step of rule.steps) {
    const { clause } = clauses[0]!;
    const op = 'op' in clause ? clause.op : 'above';
    const harder = SEVERITIES.indexOf(step.severity) > SEVERITIES.indexOf(hardest);
    if (harder && beyond(op, states[0]!.said(stage), step.at)) hardest = step.severity;
  }
  return hardest;
}

/** The rule is no longer over its limit: what was held fires. */
function underLimit(rule: CompiledRule, stage: Stage): void {
  const { run } = rule;
  if (run.limitedMs === null || run.firing + run.held.size > rule.rule.limit || !stage.inForce(rule)) return;
  stage.alarm(rule, LIMIT_GROUP, 'resolved');
  run.limitedMs = null;
  run.dirty = true;
  const held = [...run.held].sort((a, b) => (a.group < b.group ? -1 : 1));
  run.held.clear();
  for (const instance of held) fire(instance, stage);
}
