import {
  type EndCause,
  type FAULT_GROUP,
  LIMIT_GROUP,
  SEVERITIES,
  type Severity,
  type Transition,
} from '../../domain/index.ts';
import { AbsentState } from './clauses/absent.ts';
import { beyond, type EngineTime, TRUE, UNKNOWN } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';
import { fireK } from './due.ts';
import type { Instance, Member, Phase } from './instance.ts';

/** What the state machine calls on the engine. */
export interface MachineContext extends EngineTime {
  /** The alert has changed its phase or severity; `because` where its condition did not end it. */
  moved(instance: Instance, from: Phase, to: Transition['to'], because?: EndCause): void;
  /** An alarm of the rule itself starts or ends. */
  alarm(
    rule: CompiledRule,
    group: typeof LIMIT_GROUP | typeof FAULT_GROUP,
    to: 'firing' | 'resolved',
    because?: EndCause,
  ): void;
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
    else if (!instance.episode!.held && context.k >= fireK(instance)) wantFire(instance, context);
  } else if (instance.carried) moveCarried(instance, on, context);
  else if (on) {
    setEnd(instance, Number.NaN, context);
    escalate(instance, context);
  } else miss(instance, context);
}

/** An alert that fired before its rule was changed fires on until the changed condition is known not to match. */
function moveCarried(instance: Instance, on: boolean, context: MachineContext): void {
  if (!on && isUndecided(instance, context)) return;
  if (!on) {
    finish(instance, context, 'rule-changed');
    return;
  }
  instance.carried = false;
  context.touch(instance);
  setEnd(instance, Number.NaN, context);
  escalate(instance, context);
}

/** Whether the condition may still turn out to match. */
function isUndecided(instance: Instance, { k, offset }: EngineTime): boolean {
  const { whole, members, rule } = instance;
  if (rule.hours !== null && !rule.hours.isOn(k + offset)) return false;
  if (members === null) return whole === UNKNOWN;
  const { quorum } = instance;
  let may = instance.matching;
  for (const member of members.values()) {
    if (may >= quorum) return true;
    if (member.whole === UNKNOWN) may++;
  }
  return may >= quorum;
}

/** Lets the alert of a changed rule go on from the one before the change. Its severity does not fall. */
export function carry(from: Instance, to: Instance, context: MachineContext): void {
  const { severity, sinceMs, sinceK } = from.episode!;
  to.phase = 'firing';
  to.carried = true;
  to.episode = { sinceMs, sinceK, severity, held: false, endK: Number.NaN };
  to.rule.run.firing++;
  if (from.silent && to.rule.rule.onNoData === 'alert') {
    to.silent = true;
    to.silenceHandled = true;
    to.readK = from.readK;
    to.spoken = from.spoken;
  }
  continueSilence(from, to, context);
  for (const [device, member] of to.members ?? []) {
    const before = from.members?.get(device);
    if (before !== undefined) continueSilence(before, member, context);
  }
  from.rule.run.firing--;
  from.phase = 'inactive';
  from.episode = null;
}

function continueSilence(from: Member, to: Member, context: MachineContext): void {
  const before = from.clauses.filter((clause) => clause instanceof AbsentState);
  for (const clause of to.clauses) {
    if (!(clause instanceof AbsentState)) continue;
    for (const one of before) clause.continueFrom(one, context);
  }
  if (to.clauses.length > 0) to.judge();
}

/** Moves an alert that was carried: it takes the severity of the changed rule where that is higher. */
export function moveAfterChange(instance: Instance, context: MachineContext): void {
  move(instance, context);
  const { episode, rule } = instance;
  const { severity } = rule.rule;
  if (episode === null || SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(episode.severity)) return;
  episode.severity = severity;
  context.moved(instance, 'firing', 'firing');
}

/** Moves the alert whose `for` or `keep_firing_for` has come due. */
export function onTime(instance: Instance, context: MachineContext): void {
  const { phase, episode } = instance;
  if (episode === null) return;
  if (phase === 'pending' && !episode.held && context.k >= fireK(instance)) wantFire(instance, context);
  // A comparison with NaN is false: an alert that matches does not end.
  else if (phase === 'firing' && context.k >= episode.endK) finish(instance, context);
}

/** Ends the alert: back to inactive. */
export function finish(instance: Instance, context: MachineContext, because?: EndCause): void {
  const { phase, rule, episode } = instance;
  if (episode === null) return;
  if (phase === 'firing') rule.run.firing--;
  if (episode.held) rule.run.held.delete(instance);
  instance.phase = 'inactive';
  instance.carried = false;
  if (phase === 'firing') context.moved(instance, phase, 'resolved', because);
  else context.moved(instance, phase, 'cancelled');
  instance.episode = null;
  underLimit(rule, context);
}

/**
 * Handles a silence of `no_data_after`: the alert matches (`on_no_data: alert`), or it no longer does and its verdicts
 * become unknown.
 */
export function fallSilent(instance: Instance, context: MachineContext): void {
  instance.silenceHandled = true;
  if (instance.rule.rule.onNoData === 'alert') {
    instance.silent = true;
    if (matches(instance, context)) move(instance, context);
    return;
  }
  if (instance.phase === 'pending') finish(instance, context);
  else if (instance.phase === 'firing') miss(instance, context);
  for (const member of [instance, ...(instance.members?.values() ?? [])]) {
    for (const clause of member.clauses) if (!(clause instanceof AbsentState)) clause.verdict = UNKNOWN;
    if (member.clauses.length > 0) member.judge();
  }
}

function begin(instance: Instance, context: MachineContext): void {
  const { severity } = instance.rule.rule;
  const sinceK = context.k;
  instance.episode = { sinceMs: sinceK + context.offset, sinceK, severity, held: false, endK: Number.NaN };
  if (sinceK >= fireK(instance)) wantFire(instance, context);
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
