import {
  createZone,
  type EndCause,
  FAULT_GROUP,
  type KnownDevice,
  type LIMIT_GROUP,
  type MetricTable,
  type ReadingColumns,
  type Rule,
  type Transition,
} from '../../domain/index.ts';
import { AbsentState } from './clauses/absent.ts';
import { type ClauseState, TRUE } from './clauses/index.ts';
import { type CompiledRule, compileRules, NO_RULES, takes } from './compiled.ts';
import { DueQueue, dueK, silenceK } from './due.ts';
import { explainPlan, explainRule } from './explain.ts';
import {
  type ChangeContext,
  type DevicePlan,
  finishChange,
  inOrder,
  instanceOf,
  noChange,
  planMetric,
  settle,
} from './groups.ts';
import type { Instance, Member, Phase } from './instance.ts';
import { fallSilent, move, onTime } from './machine.ts';
import { appendDirty, decodeClock, restoreRow, rowOf } from './snapshot.ts';
import { describe, describeAlarm } from './transition.ts';
import type { Explanation, Moment, RuleEngine, RulesInForce, StateRow } from './types.ts';

/** Blocks further apart than this mean that nobody listened in between. */
const GAP_MS = 15_000;
const NEVER = Number.POSITIVE_INFINITY;

/**
 * Returns an engine without rules or devices. With `gaps`, which is the default, time stands still between blocks that
 * are more than 15 s apart; stored readings have no such gaps.
 */
export function createRuleEngine(options: { readonly metrics: MetricTable; readonly gaps?: boolean }): RuleEngine {
  return new Engine(options.metrics, options.gaps ?? true);
}

class Engine implements RuleEngine, ChangeContext {
  /** Engine time without gaps, and how far civil time is ahead of it, ms; the sum is engine time. */
  k = 0;
  offset = 0;
  /** The part of `offset` that steps of the wall clock made; the rest are gaps. */
  civil = 0;
  readonly #metrics: MetricTable;
  readonly #gapMs: number;
  readonly #plans: (DevicePlan | undefined)[] = [];
  readonly #queue = new DueQueue();
  #rules = NO_RULES;
  #zone = createZone('UTC');
  #dirty: Instance[] = [];
  #gone: StateRow[] = [];
  #seq = -1;
  #ordinal = 0;
  #out: Transition[] = [];

  constructor(metrics: MetricTable, gaps: boolean) {
    this.#metrics = metrics;
    this.#gapMs = gaps ? GAP_MS : NEVER;
  }

  offsetAt(ms: number): number {
    return this.#zone.offsetAt(ms);
  }

  configure(inForce: RulesInForce, moment: Moment): Transition[] {
    this.#enter(moment);
    const before = this.#rules;
    const texts = new Map([...before.byId.values()].map((rule) => [rule, rule.rule]));
    this.#rules = compileRules(inForce, before, this.#metrics, moment.atMs);
    this.#zone = createZone(inForce.zone);
    const change = noChange();
    for (const plan of this.#plans) {
      if (plan !== undefined) settle(plan, this.#rules, plan.device, this.k, change);
    }
    const rulesGone = [...before.byId.values()].filter((rule) => !this.inForce(rule));
    finishChange(change, rulesGone, 'rule-left', this);
    this.#reword(texts);
    for (const rule of this.#rules.byId.values()) {
      if (rule.run.fault !== null && before.byId.get(rule.rule.id) !== rule) this.alarm(rule, FAULT_GROUP, 'firing');
    }
    // A calendar can change while its rule does not.
    this.#queueHours();
    this.#runDue(this.k);
    return this.#leave();
  }

  deviceChanged(device: KnownDevice, moment: Moment): Transition[] {
    this.#enter(moment);
    while (this.#plans.length <= device.index) this.#plans.push(undefined);
    const plan = this.#plans[device.index] ?? { device, instances: [], seats: [], byMetric: [] };
    this.#plans[device.index] = plan;
    this.#change(plan, device, 'rule-left');
    return this.#leave();
  }

  deviceRevoked(device: KnownDevice, moment: Moment): Transition[] {
    this.#enter(moment);
    const plan = this.#plans[device.index];
    this.#plans[device.index] = undefined;
    if (plan !== undefined) this.#change(plan, null, 'device-revoked');
    return this.#leave();
  }

  step(readings: ReadingColumns, moment: Moment): Transition[] {
    this.#enter(moment);
    for (let row = 0; row < readings.length; row++) this.#read(readings, row);
    return this.#leave();
  }

  train(readings: ReadingColumns, moment: Moment): Transition[] {
    this.#enter(moment);
    const learners = new Set<ClauseState>();
    for (let row = 0; row < readings.length; row++) this.#learn(readings, row, learners);
    for (const clause of learners) clause.endLesson();
    return this.#leave();
  }

  replay(readings: ReadingColumns, seq: number): Transition[] {
    for (let row = 0; row < readings.length; row++) {
      const k = Math.max(this.k, readings.ts[row]! - this.offset);
      this.#count(seq);
      if (this.#queue.nextK() <= k) this.#runDue(k);
      this.k = k;
      this.#read(readings, row);
    }
    return this.#leave();
  }

  civilOffsetMs(): number {
    return this.civil;
  }

  tick(moment: Moment): Transition[] {
    this.#enter(moment);
    return this.#leave();
  }

  takeDirty(): StateRow[] {
    const rows = this.#gone;
    appendDirty(rows, this.#dirty, this.#rules, this);
    this.#dirty = [];
    this.#gone = [];
    return rows;
  }

  restore(rows: Iterable<StateRow>): void {
    const plans = new Map(this.#plans.flatMap((plan) => (plan === undefined ? [] : [[plan.device.id, plan] as const])));
    // What configuring rules and devices started on the way here is part of the states already.
    for (const { run } of this.#rules.byId.values()) {
      run.firing = 0;
      run.held.clear();
      run.limitedMs = null;
    }
    for (const row of rows) {
      if (row.rule === '' && row.state !== null) Object.assign(this, decodeClock(row.state));
      else if (!restoreRow(row, this.#rules, plans, this.k)) this.#gone.push({ ...row, state: null });
    }
    this.#queue.clear();
    for (const instance of this.#instances()) {
      for (const member of [instance, ...(instance.members?.values() ?? [])]) {
        member.queuedK = NEVER;
        this.schedule(member);
      }
    }
  }

  instanceCount(): number {
    return [...this.#instances()].length;
  }

  explain(rule: string, group: string): Explanation | null {
    const known = this.#rules.byId.get(rule);
    return known === undefined ? null : explainRule(known, group, this.#planOf(group), this);
  }

  explainDevice(device: string): Explanation[] {
    const plan = this.#planOf(device);
    return plan === undefined ? [] : explainPlan(plan, this.#rules, this);
  }

  // For the state machine and changes

  moved(instance: Instance, from: Phase, to: Transition['to'], because?: EndCause): void {
    this.touch(instance);
    this.#out.push(describe(instance, { id: this.#nextId(), from, to, because }, this));
  }

  alarm(
    rule: CompiledRule,
    group: typeof LIMIT_GROUP | typeof FAULT_GROUP,
    to: 'firing' | 'resolved',
    because?: EndCause,
  ): void {
    const from = to === 'firing' ? 'inactive' : 'firing';
    this.#out.push(describeAlarm(rule, group, { id: this.#nextId(), from, to, because }, this));
  }

  hasRule(id: string): boolean {
    return this.#rules.byId.has(id);
  }

  successorOf({ rule, group, device }: Instance): Instance | null {
    const next = this.#rules.byId.get(rule.rule.id);
    if (next === undefined || next === rule || next.run.fault !== null) return null;
    if (next.rule.forEach !== rule.rule.forEach) return null;
    if (next.grouped) return next.run.groups.get(group) ?? null;
    const plan = device === null ? undefined : this.#plans[device.index];
    return plan !== undefined && takes(next.rule, plan.device) ? instanceOf(plan, next, this.k) : null;
  }

  inForce(rule: CompiledRule): boolean {
    return this.#rules.byId.get(rule.rule.id) === rule;
  }

  touch(instance: Instance): void {
    if (instance.dirty) return;
    instance.dirty = true;
    this.#dirty.push(instance);
  }

  schedule(member: Member): void {
    const due = dueK(member, this);
    if (due < NEVER) this.#queue.add(member, due);
  }

  drop(rule: CompiledRule, group: string): void {
    this.#gone.push(rowOf(rule, group, null));
  }

  // Time

  /** Starts a block: moves the clock over a gap, or runs what has come due. */
  #enter({ seq, atMs, offsetMs = 0, afterDown = false }: Moment): void {
    this.#count(seq);
    if (offsetMs !== this.civil) this.#step(offsetMs);
    const k = atMs - this.offset;
    const gap = k - this.k;
    if (this.k > 0 && (afterDown || gap > this.#gapMs)) {
      this.offset += gap;
      this.#queueHours();
      this.#runDue(this.k);
      return;
    }
    this.#runDue(k);
    this.k = Math.max(this.k, k);
  }

  /** The wall clock was set: what is shown moves, and calendars; what is due is due after the same time. */
  #step(civil: number): void {
    this.offset += civil - this.civil;
    this.civil = civil;
    this.#queueHours();
  }

  #leave(): Transition[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #count(seq: number): void {
    if (seq === this.#seq) return;
    this.#seq = seq;
    this.#ordinal = 0;
  }

  #nextId(): string {
    return `${this.#seq}.${this.#ordinal++}`;
  }

  /** Runs everything due up to `k`, each at its own time. */
  #runDue(k: number): void {
    for (let entry = this.#queue.take(k); entry !== null; entry = this.#queue.take(k)) {
      const { member } = entry;
      const due = dueK(member, this);
      if (due > entry.k) {
        // Its due time moved back after it was queued.
        this.#queue.add(member, due);
        continue;
      }
      this.k = Math.max(this.k, entry.k);
      if (member.rule.run.fault !== null) continue;
      try {
        this.#runMember(member);
      } catch (error) {
        this.#disable(member.rule, error);
      }
    }
  }

  /** Judges all members of the group that are due before the alert moves; `for` and `keep_firing_for` come last. */
  #runMember(member: Member): void {
    const { owner } = member;
    for (const one of owner.members?.values() ?? [owner]) this.#judgeDue(one);
    move(owner, this);
    if (silenceK(owner) <= this.k) {
      this.touch(owner);
      fallSilent(owner, this);
    }
    onTime(owner, this);
    this.schedule(member);
    if (owner !== member) this.schedule(owner);
  }

  #judgeDue(member: Member): void {
    if (member.clauseDueK() > this.k) return;
    for (const clause of member.clauses) if (clause.dueK() <= this.k) clause.judge(this);
    member.judge();
    this.touch(member.owner);
  }

  #queueHours(): void {
    for (const instance of this.#instances()) if (instance.rule.hours !== null) this.#queue.add(instance, this.k);
  }

  // Readings

  #read({ device, metric, ts, value, suspect }: ReadingColumns, row: number): void {
    const plan = this.#plans[device[row]!.index];
    if (plan === undefined) return;
    const members = plan.byMetric[metric[row]!] ?? planMetric(plan, metric[row]!, this.#rules, this.k);
    const isSuspect = suspect?.has(row) ?? false;
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!;
      try {
        if (member.rule.plain) this.#takePlain(member as Instance, metric[row]!, ts[row]!, value[row]!);
        else this.#take(member, metric[row]!, ts[row]!, value[row]!, isSuspect);
      } catch (error) {
        this.#disable(member.rule, error);
      }
    }
  }

  #learn({ device, metric, ts, value }: ReadingColumns, row: number, learners: Set<ClauseState>): void {
    const plan = this.#plans[device[row]!.index];
    if (plan === undefined) return;
    for (const member of plan.byMetric[metric[row]!] ?? planMetric(plan, metric[row]!, this.#rules, this.k)) {
      try {
        for (const clause of member.clauses) {
          if (!clause.reads(metric[row]!) || !clause.learn(ts[row]! - this.civil, value[row]!, this)) continue;
          learners.add(clause);
          this.touch(member.owner);
        }
      } catch (error) {
        this.#disable(member.rule, error);
      }
    }
  }

  /** `#take` for most rules: one clause, no groups. It touches little memory. */
  #takePlain(instance: Instance, metric: number, ts: number, value: number): void {
    const clause = instance.clauses[0]!;
    if (!clause.take(metric, ts - this.civil, value, this)) return;
    clause.judge(this);
    instance.whole = clause.verdict;
    this.touch(instance);
    if (instance.phase === 'inactive' && instance.whole !== TRUE) return;
    move(instance, this);
    if (instance.phase !== 'inactive') this.schedule(instance);
  }

  #take(member: Member, metric: number, ts: number, value: number, isSuspect: boolean): void {
    const { owner, clauses, rule } = member;
    const { latenessMs, suspect } = rule.rule;
    const isIgnored = isSuspect && suspect === 'ignore';
    if (latenessMs !== null && this.k + this.offset - ts > latenessMs) return;
    let took = false;
    for (let i = 0; i < clauses.length; i++) {
      const clause = clauses[i]!;
      if (!clause.reads(metric)) continue;
      // Whatever it is worth: the device is not silent.
      if (isIgnored && !(clause instanceof AbsentState)) continue;
      if (!clause.take(metric, ts - this.civil, value, this)) continue;
      clause.judge(this);
      took = true;
    }
    if (!took) return;
    this.touch(owner);
    owner.readK = this.k;
    owner.spoken = true;
    owner.silent = false;
    owner.silenceHandled = false;
    member.judge();
    move(owner, this);
    if (rule.timed || owner.phase !== 'inactive') {
      this.schedule(member);
      if (owner !== member) this.schedule(owner);
    }
  }

  // Rules and groups

  #change(plan: DevicePlan, device: KnownDevice | null, left: EndCause): void {
    const change = noChange();
    settle(plan, this.#rules, device, this.k, change);
    finishChange(change, [], left, this);
  }

  /**
   * Rules with another text that decide the same: their states are stored again under the new version, and alerts of
   * one that has got a ticket are shown again, so that theirs open.
   */
  #reword(before: ReadonlyMap<CompiledRule, Rule>): void {
    const reworded = (rule: CompiledRule) => this.inForce(rule) && before.get(rule)?.version !== rule.rule.version;
    const changed = [...before.keys()].filter(reworded);
    if (changed.length === 0) return;
    const set = new Set(changed);
    for (const { run } of changed) run.dirty = true;
    const instances = [...this.#instances()].filter(({ rule }) => set.has(rule));
    for (const instance of instances) this.touch(instance);
    const isNew = ({ rule, phase }: Instance) =>
      phase === 'firing' && rule.rule.ticket !== undefined && before.get(rule)?.ticket === undefined;
    for (const instance of instances.filter(isNew).sort(inOrder)) this.moved(instance, 'firing', 'firing');
  }

  #planOf(device: string): DevicePlan | undefined {
    return this.#plans.find((plan) => plan?.device.id === device);
  }

  #disable(rule: CompiledRule, error: unknown): void {
    rule.run.fault = { detail: (error as Error).message, atMs: this.k + this.offset };
    rule.run.dirty = true;
    for (const plan of this.#plans) if (plan !== undefined) plan.byMetric = [];
    this.alarm(rule, FAULT_GROUP, 'firing');
  }

  *#instances(): Generator<Instance> {
    for (const plan of this.#plans) if (plan !== undefined) yield* plan.instances;
    for (const { run } of this.#rules.byId.values()) yield* run.groups.values();
  }
}
