import { type FAULT_GROUP, LIMIT_GROUP, SEVERITIES, type Severity, type Transition } from '../../domain/index.ts';
import { AbsentState } from './clauses/absent.ts';
import { beyond, type EngineTime, TRUE, UNKNOWN } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';
import type { Instance, Phase } from './instance.ts';

/** What the state machine calls on the engine. */
export interface MachineContext extends EngineTime {
  /** The alert has changed its phase or severity. */
  moved(instance: Instance, from: Phase, to: Transition['to']): void;
  /** An alarm of the rule itself starts or ends. */
  alarm(rule: CompiledRule, group: typeof LIMIT_GROUP | typeof FAULT_GROUP, to: 'firing' | 'resolved'): void;
  inForce(rule: CompiledRule): boolean;
  /** Marks the instance for the next checkpoint: its state changed without a transition. */
  touch(instance: Instance): void;
}

/** Whether the condition matches now: it is true or the group is silent, and the calendar is on. */
export function matches({ whole, silent, rule: { hours } }: Instance, { k, offset }: EngineTime): boolean {
  return (whole === TRUE || silent) && (hours === null || hours.isOn(k + offset));
}

/** Moves the alert after its condition was judged or its calendar changed. Idempotent. */
export function move(instance: Instance, context: MachineContext): void {
  const on = matches(instance, context);
  if (instance.phase === 'inactive') {
    if (on) begin(instance, context);
  } else if (instance.phase === 'pending') {
    if (!on) finish(instance, context);
    else if (instance.silent && !instance.episode!.held) wantFire(instance, context);
  } else if (on) {
    setEnd(instance, Number.NaN, context);
    escalate(instance, context);
  } else miss(instance, context);
}

/** Moves the alert whose `for` or `keep_firing_for` has come due. */
export function onTime(instance: Instance, context: MachineContext): void {
  const { rule, phase, episode } = instance;
  if (episode === null) return;
  if (phase === 'pending' && !episode.held && context.k - episode.sinceK >= rule.rule.forMs)
    wantFire(instance, context);
  // A comparison with NaN is false: an alert that matches does not end.
  else if (phase === 'firing' && context.k >= episode.endK) finish(instance, context);
}

/** Ends the alert: back to inactive. */
export function finish(instance: Instance, context: MachineContext): void {
  const { phase, rule, episode } = instance;
  if (episode === null) return;
  if (phase === 'firing') rule.run.firing--;
  if (episode.held) rule.run.held.delete(instance);
  instance.phase = 'inactive';
  context.moved(instance, phase, phase === 'firing' ? 'resolved' : 'cancelled');
  instance.episode = null;
  underLimit(rule, context);
}

/**
 * Handles a silence of `no_data_after`: the alert fires (`on_no_data: alert`) or ends, and its verdicts become unknown.
 */
export function fallSilent(instance: Instance, context: MachineContext): void {
  instance.silenceHandled = true;
  if (instance.rule.rule.onNoData === 'alert') {
    instance.silent = true;
    if (matches(instance, context)) move(instance, context);
    return;
  }
  finish(instance, context);
  for (const member of [instance, ...(instance.members?.values() ?? [])]) {
    for (const clause of member.clauses) if (!(clause instanceof AbsentState)) clause.verdict = UNKNOWN;
    if (member.clauses.length > 0) member.judge();
  }
}

function begin(instance: Instance, context: MachineContext): void {
  const { severity } = instance.rule.rule;
  const sinceK = context.k;
  instance.episode = { sinceMs: sinceK + context.offset, sinceK, severity, held: false, endK: Number.NaN };
  if (instance.silent || instance.rule.rule.forMs === 0) wantFire(instance, context);
  else pend(instance, context);
}

function pend(instance: Instance, context: MachineContext): void {
  instance.phase = 'pending';
  context.moved(instance, 'inactive', 'pending');
}

function wantFire(instance: Instance, context: MachineContext): void {
  const { run, rule } = instance.rule;
  if (run.limitedMs === null && run.firing < rule.limit) {
    fire(instance, context);
    return;
  }
  if (instance.phase === 'inactive') pend(instance, context);
  instance.episode!.held = true;
  run.held.add(instance);
  context.touch(instance);
  if (run.limitedMs !== null) return;
  run.limitedMs = context.k + context.offset;
  run.dirty = true;
  context.alarm(instance.rule, LIMIT_GROUP, 'firing');
}

function fire(instance: Instance, context: MachineContext): void {
  const from = instance.phase;
  instance.phase = 'firing';
  const episode = instance.episode!;
  episode.held = false;
  episode.endK = Number.NaN;
  episode.severity = severityOf(instance, context);
  instance.rule.run.firing++;
  noteFired(instance, context.k);
  context.moved(instance, from, 'firing');
}

function noteFired({ firedK, rule }: Instance, k: number): void {
  if (firedK === null) return;
  firedK.push(k);
  if (firedK.length > rule.rule.flapping!.times) firedK.shift();
}

function miss(instance: Instance, context: MachineContext): void {
  const { endK } = instance.episode!;
  const end = Number.isNaN(endK) ? context.k + delayOf(instance, context.k) : endK;
  setEnd(instance, end, context);
  if (context.k >= end) finish(instance, context);
}

/** Sets when the alert ends; a calendar does so without a reading. */
function setEnd(instance: Instance, endK: number, context: MachineContext): void {
  const episode = instance.episode!;
  if (Object.is(episode.endK, endK)) return;
  episode.endK = endK;
  context.touch(instance);
}

function delayOf({ rule: { rule }, firedK }: Instance, k: number): number {
  const { flapping, keepFiringForMs } = rule;
  if (flapping === null || firedK!.length < flapping.times) return keepFiringForMs;
  return firedK![0]! >= k - flapping.withinMs ? Math.max(keepFiringForMs, flapping.withinMs) : keepFiringForMs;
}

function escalate(instance: Instance, context: MachineContext): void {
  if (instance.rule.rule.steps.length === 0) return;
  const severity = severityOf(instance, context);
  const episode = instance.episode!;
  if (severity === episode.severity) return;
  episode.severity = severity;
  context.moved(instance, 'firing', 'firing');
}

/** The highest severity whose step the value is beyond; never lower than before in this episode. */
function severityOf({ rule: { rule, clauses }, clauses: states, episode }: Instance, time: EngineTime): Severity {
  let highest = episode!.severity;
  for (const step of rule.steps) {
    const { clause } = clauses[0]!;
    const op = 'op' in clause ? clause.op : 'above';
    const higher = SEVERITIES.indexOf(step.severity) > SEVERITIES.indexOf(highest);
    if (higher && beyond(op, states[0]!.decidedValue(time), step.at)) highest = step.severity;
  }
  return highest;
}

/** Where the rule is no longer over its limit, fires what was held. */
function underLimit(rule: CompiledRule, context: MachineContext): void {
  const { run } = rule;
  if (run.limitedMs === null || run.firing + run.held.size > rule.rule.limit || !context.inForce(rule)) return;
  context.alarm(rule, LIMIT_GROUP, 'resolved');
  run.limitedMs = null;
  run.dirty = true;
  const held = [...run.held].sort((a, b) => (a.group < b.group ? -1 : 1));
  run.held.clear();
  for (const instance of held) fire(instance, context);
}
