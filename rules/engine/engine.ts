import {
  createZone,
  FAULT_GROUP,
  type KnownDevice,
  LIMIT_GROUP,
  type MetricTable,
  type ReadingColumns,
  type Transition,
} from '../../domain/index.ts';
import { AbsentState } from './clauses/absent.ts';
import { FALSE, TRUE, UNKNOWN } from './clauses/index.ts';
import { decodeClock, decodeInstance, decodeRun, encodeClock, encodeInstance, encodeRun } from './codec.ts';
import { type CompiledRule, groupOf, takes } from './compiled.ts';
import { explainGroup } from './explain.ts';
import { dispose, makeInstance, type Settled, settle } from './groups.ts';
import { createHours } from './hours.ts';
import type { Instance, Member, Phase } from './instance.ts';
import { finish, matches, move, onTime, type Stage } from './machine.ts';
import { compileRules, type DevicePlan, NO_RULES, planMetric } from './plan.ts';
import { DueQueue } from './queue.ts';
import { describe, describeAlarm, quorumOf } from './transition.ts';
import type { Explanation, Moment, RuleEngine, RulesInForce, StateRow } from './types.ts';

/** Blocks further apart than this mean that nobody listened in between. */
const GAP_MS = 60_000;
/** The group under which a rule's own memory is kept. */
const RUN_GROUP = '~rule';
const CLOCK = { rule: '', version: '', group: '' };
const NEVER = Number.POSITIVE_INFINITY;

/** What an engine is made with. */
export interface EngineOptions {
  readonly metrics: MetricTable;
  /** Whether a distance of more than 60 s between two blocks counts for nothing; stored readings have no such gaps. */
  readonly gaps?: boolean;
}

/** Makes an engine without rules or devices. */
export function createRuleEngine({ metrics, gaps = true }: EngineOptions): RuleEngine {
  return new Engine(metrics, gaps);
}

class Engine implements RuleEngine, Stage {
  /** Engine time without its gaps, and what they took: together, engine time. */
  k = 0;
  offset = 0;
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

  moved(instance: Instance, from: Phase, to: Transition['to']): void {
    this.#touch(instance);
    this.#out.push(describe(instance, { id: this.#nextId(), from, to }, this));
  }

  alarm(rule: CompiledRule, group: typeof LIMIT_GROUP | typeof FAULT_GROUP, to: 'firing' | 'resolved'): void {
    const from = to === 'firing' ? 'inactive' : 'firing';
    this.#out.push(describeAlarm(rule, group, { id: this.#nextId(), from, to }, this));
  }

  inForce(rule: CompiledRule): boolean {
    return this.#rules.byId.get(rule.rule.id) === rule;
  }

  configure({ rules, calendars, zone }: RulesInForce, moment: Moment): Transition[] {
    this.#enter(moment);
    const before = this.#rules;
    this.#rules = compileRules(rules, before, this.#metrics, moment.atMs);
    this.#zone = createZone(zone);
    for (const rule of this.#rules.byId.values()) {
      const calendar = rule.rule.active === null ? undefined : calendars.get(rule.rule.active);
      rule.hours = calendar === undefined ? null : createHours(calendar);
    }
    const settled = nothingSettled();
    for (const plan of this.#plans) {
      if (plan !== undefined) settle(plan, this.#rules, plan.device, this.k, settled);
    }
    this.#finishSettling(
      settled,
      [...before.byId.values()].filter((rule) => !this.inForce(rule)),
    );
    for (const rule of this.#rules.byId.values()) {
      if (rule.run.fault !== null && before.byId.get(rule.rule.id) !== rule) this.alarm(rule, FAULT_GROUP, 'firing');
    }
    // A calendar may have changed under a rule that did not.
    this.#lookAtHours();
    this.#happen(this.k);
    return this.#leave();
  }

  deviceChanged(device: KnownDevice, moment: Moment): Transition[] {
    this.#enter(moment);
    while (this.#plans.length <= device.index) this.#plans.push(undefined);
    const plan = this.#plans[device.index] ?? { device, instances: [], seats: [], byMetric: [] };
    this.#plans[device.index] = plan;
    const settled = nothingSettled();
    settle(plan, this.#rules, device, this.k, settled);
    this.#finishSettling(settled, []);
    return this.#leave();
  }

  deviceRevoked(device: KnownDevice, moment: Moment): Transition[] {
    this.#enter(moment);
    const plan = this.#plans[device.index];
    this.#plans[device.index] = undefined;
    const settled = nothingSettled();
    if (plan !== undefined) settle(plan, this.#rules, null, this.k, settled);
    this.#finishSettling(settled, []);
    return this.#leave();
  }

  step(readings: ReadingColumns, moment: Moment): Transition[] {
    this.#enter(moment);
    for (let row = 0; row < readings.length; row++) this.#read(readings, row);
    return this.#leave();
  }

  replay(readings: ReadingColumns, seq: number): Transition[] {
    for (let row = 0; row < readings.length; row++) {
      const k = Math.max(this.k, readings.ts[row]! - this.offset);
      this.#count(seq);
      if (this.#queue.nextK() <= k) this.#happen(k);
      this.k = k;
      this.#read(readings, row);
    }
    return this.#leave();
  }

  tick(moment: Moment): Transition[] {
    this.#enter(moment);
    return this.#leave();
  }

  takeDirty(): StateRow[] {
    const rows = this.#gone;
    for (const instance of this.#dirty) {
      instance.dirty = false;
      if (!instance.gone) rows.push({ ...rowOf(instance), state: encodeInstance(instance) });
    }
    for (const { rule, run } of this.#rules.byId.values()) {
      if (!run.dirty) continue;
      run.dirty = false;
      rows.push({ rule: rule.id, version: rule.version, group: RUN_GROUP, state: encodeRun(run) });
    }
    rows.push({ ...CLOCK, state: encodeClock(this.k, this.offset) });
    this.#dirty = [];
    this.#gone = [];
    return rows;
  }

  restore(rows: Iterable<StateRow>): void {
    const plans = new Map(this.#plans.flatMap((plan) => (plan === undefined ? [] : [[plan.device.id, plan] as const])));
    // What rules and devices set off by themselves on the way here has happened before.
    for (const { run } of this.#rules.byId.values()) {
      run.firing = 0;
      run.held.clear();
      run.limitedMs = null;
    }
    for (const row of rows) {
      if (!this.#restoreRow(row, plans)) this.#gone.push({ ...row, state: null });
    }
    this.#queue.clear();
    for (const member of this.#members()) {
      member.queuedK = NEVER;
      this.#schedule(member);
    }
  }

  instanceCount(): number {
    return [...this.#instances()].length;
  }

  explain(rule: string, group: string): Explanation | null {
    const known = this.#rules.byId.get(rule);
    if (known === undefined) return null;
    const plan = this.#plans.find((one) => one?.device.id === group);
    const own = plan?.instances.find((one) => one.rule === known);
    const instance = (known.grouped ? known.run.groups.get(group) : own) ?? null;
    const taken = instance !== null || (!known.grouped && plan !== undefined && takes(known.rule, plan.device));
    return explainGroup(known, group, instance, this, instance === null ? NEVER : this.#dueK(instance), taken);
  }

  explainDevice(device: string): Explanation[] {
    const plan = this.#plans.find((one) => one?.device.id === device);
    if (plan === undefined) return [];
    return [...this.#rules.byId.values()].map((rule) => {
      const seat = plan.seats.find(({ instance }) => instance.rule === rule)?.instance;
      const instance = seat ?? plan.instances.find((one) => one.rule === rule) ?? null;
      const taken = takes(rule.rule, plan.device);
      const group = groupOf(rule.rule, plan.device);
      return explainGroup(rule, group, instance, this, instance === null ? NEVER : this.#dueK(instance), taken);
    });
  }

  // Time

  /** A block begins: a gap moves the clock, what is due happens. */
  #enter({ seq, atMs }: Moment): void {
    this.#count(seq);
    const k = atMs - this.offset;
    const gap = k - this.k;
    if (this.k > 0 && gap > this.#gapMs) {
      this.offset += gap;
      this.#lookAtHours();
      this.#happen(this.k);
      return;
    }
    this.#happen(k);
    this.k = Math.max(this.k, k);
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

  /** Everything due up to `k` happens, each at its own time. */
  #happen(k: number): void {
    for (let look = this.#queue.take(k); look !== null; look = this.#queue.take(k)) {
      const { member } = look;
      const due = this.#dueK(member);
      if (due > look.k) {
        // It moved back since it was asked for.
        this.#queue.add(member, due);
        continue;
      }
      this.k = Math.max(this.k, look.k);
      this.#guarded(member.rule, () => this.#comesDue(member));
    }
  }

  /** All of a group that is due now is judged before its alert moves; what it waited for comes last. */
  #comesDue(member: Member): void {
    const { owner } = member;
    for (const one of owner.members?.values() ?? [owner]) this.#judgeDue(one);
    move(owner, this);
    if (this.#silenceK(owner) <= this.k) this.#fallSilent(owner);
    onTime(owner, this);
    this.#schedule(member);
    if (owner !== member) this.#schedule(owner);
  }

  #judgeDue(member: Member): void {
    if (member.clauseDueK() > this.k) return;
    for (const clause of member.clauses) if (clause.dueK() <= this.k) clause.judge(this);
    this.#judgeWhole(member);
    this.#touch(member.owner);
  }

  #fallSilent(instance: Instance): void {
    instance.silenceOver = true;
    this.#touch(instance);
    if (instance.rule.rule.onNoData === 'alert') {
      instance.silent = true;
      if (matches(instance, this)) move(instance, this);
      return;
    }
    finish(instance, this);
    for (const member of [instance, ...(instance.members?.values() ?? [])]) {
      for (const clause of member.clauses) if (!(clause instanceof AbsentState)) clause.verdict = UNKNOWN;
      if (member.clauses.length > 0) this.#judgeWhole(member);
    }
  }

  /** When the instance has heard nothing for too long. */
  #silenceK({ rule: { rule }, silenceOver, heardK }: Instance): number {
    return rule.onNoData === 'keep' || silenceOver ? NEVER : heardK + rule.noDataAfterMs;
  }

  /** When something happens to the member by itself. */
  #dueK(member: Member): number {
    let due = member.clauseDueK();
    const { owner } = member;
    if (member !== owner) return due;
    const { phase, episode, rule } = owner;
    if (phase === 'pending' && !episode!.held) due = Math.min(due, episode!.sinceK + rule.rule.forMs);
    if (phase === 'firing' && !Number.isNaN(episode!.endK)) due = Math.min(due, episode!.endK);
    due = Math.min(due, this.#silenceK(owner));
    return rule.hours === null ? due : Math.min(due, this.#hoursK(owner, rule.hours));
  }

  /** When the calendar changes whether it matches: at once, where a gap or a change of the calendar did. */
  #hoursK(instance: Instance, hours: NonNullable<CompiledRule['hours']>): number {
    if (instance.whole !== TRUE && !instance.silent) return NEVER;
    const on = hours.isOn(this.k + this.offset);
    const { phase, episode } = instance;
    const settled = phase === 'inactive' ? !on : phase === 'pending' ? on : on === Number.isNaN(episode!.endK);
    return settled ? hours.nextChange(this.k + this.offset) - this.offset : this.k;
  }

  #schedule(member: Member): void {
    const due = this.#dueK(member);
    if (due < NEVER) this.#queue.add(member, due);
  }

  #lookAtHours(): void {
    for (const instance of this.#instances()) if (instance.rule.hours !== null) this.#queue.add(instance, this.k);
  }

  // Readings

  #read({ device, metric, ts, value }: ReadingColumns, row: number): void {
    const plan = this.#plans[device[row]!.index];
    if (plan === undefined) return;
    const members = plan.byMetric[metric[row]!] ?? planMetric(plan, metric[row]!, this.#rules, this.#instanceOf);
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!;
      try {
        if (member.rule.plain) this.#takePlain(member as Instance, metric[row]!, ts[row]!, value[row]!);
        else this.#take(member, metric[row]!, ts[row]!, value[row]!);
      } catch (error) {
        this.#disable(member.rule, error);
      }
    }
  }

  readonly #instanceOf = (plan: DevicePlan, rule: CompiledRule): Instance =>
    plan.instances.find((instance) => instance.rule === rule) ?? makeInstance(plan, rule, this.k);

  /** `#take` for what most rules are, which touches little memory. */
  #takePlain(instance: Instance, metric: number, ts: number, value: number): void {
    const clause = instance.clauses[0]!;
    if (!clause.take(metric, ts, value, this)) return;
    clause.judge(this);
    instance.whole = clause.verdict;
    this.#touch(instance);
    if (instance.phase === 'inactive' && instance.whole !== TRUE) return;
    move(instance, this);
    if (instance.phase !== 'inactive') this.#schedule(instance);
  }

  #take(member: Member, metric: number, ts: number, value: number): void {
    const { owner, clauses, rule } = member;
    const { latenessMs } = rule.rule;
    const late = latenessMs !== null && this.k + this.offset - ts > latenessMs;
    let took = false;
    for (let i = 0; i < clauses.length; i++) {
      const clause = clauses[i]!;
      if (!clause.hears(metric) || (late && !(clause instanceof AbsentState))) continue;
      if (!clause.take(metric, ts, value, this)) continue;
      clause.judge(this);
      took = true;
    }
    if (!took) return;
    this.#touch(owner);
    owner.heardK = this.k;
    owner.silent = false;
    owner.silenceOver = false;
    this.#judgeWhole(member);
    move(owner, this);
    if (rule.timed || owner.phase !== 'inactive') {
      this.#schedule(member);
      if (owner !== member) this.#schedule(owner);
    }
  }

  #judgeWhole(member: Member): void {
    const before = member.whole;
    member.judgeWhole();
    const { owner } = member;
    if (owner === member) return;
    owner.matching += Number(member.whole === TRUE) - Number(before === TRUE);
    owner.whole = owner.matching >= quorumOf(owner) ? TRUE : FALSE;
  }

  // Rules and groups

  #guarded(rule: CompiledRule, work: () => void): void {
    if (rule.run.fault !== null) return;
    try {
      work();
    } catch (error) {
      this.#disable(rule, error);
    }
  }

  #disable(rule: CompiledRule, error: unknown): void {
    rule.run.fault = { detail: (error as Error).message, atMs: this.k + this.offset };
    rule.run.dirty = true;
    for (const plan of this.#plans) if (plan !== undefined) plan.byMetric = [];
    this.alarm(rule, FAULT_GROUP, 'firing');
  }

  #touch(instance: Instance): void {
    if (instance.dirty) return;
    instance.dirty = true;
    this.#dirty.push(instance);
  }

  /** Everything that no longer stands ends, before anything begins; then the quorums that changed are judged. */
  #finishSettling({ ended, shaken, made }: Settled, rulesGone: readonly CompiledRule[]): void {
    for (const member of made) if (member.owner === member) this.#touch(member.owner);
    const ends = [
      ...ended.map((instance) => ({ rule: instance.rule, group: instance.group, run: () => this.#end(instance) })),
      // Sorts after the groups of the rule.
      ...rulesGone.map((rule) => ({ rule, group: FAULT_GROUP, run: () => this.#endAlarms(rule) })),
    ];
    for (const { run } of ends.sort(inOrder)) run();
    // Only now: the figures of one alert that ends may rest on the readings of another.
    for (const instance of ended) for (const one of [instance, ...(instance.members?.values() ?? [])]) dispose(one);
    for (const instance of [...shaken].sort(inOrder)) if (!instance.gone) this.#recount(instance);
    for (const member of made) this.#schedule(member);
  }

  #recount(instance: Instance): void {
    instance.whole = instance.matching >= quorumOf(instance) ? TRUE : FALSE;
    this.#touch(instance);
    move(instance, this);
    this.#schedule(instance);
  }

  #end(instance: Instance): void {
    finish(instance, this);
    instance.gone = true;
    this.#gone.push({ ...rowOf(instance), state: null });
  }

  #endAlarms(rule: CompiledRule): void {
    const { run } = rule;
    if (run.fault !== null) this.alarm(rule, FAULT_GROUP, 'resolved');
    if (run.limitedMs !== null) this.alarm(rule, LIMIT_GROUP, 'resolved');
    if (run.fault === null && run.limitedMs === null && !run.dirty) return;
    this.#gone.push({ rule: rule.rule.id, version: rule.rule.version, group: RUN_GROUP, state: null });
  }

  *#instances(): Generator<Instance> {
    for (const plan of this.#plans) if (plan !== undefined) yield* plan.instances;
    for (const { run } of this.#rules.byId.values()) yield* run.groups.values();
  }

  *#members(): Generator<Member> {
    for (const instance of this.#instances()) {
      yield instance;
      yield* instance.members?.values() ?? [];
    }
  }

  #restoreRow({ rule: id, version, group, state }: StateRow, plans: ReadonlyMap<string, DevicePlan>): boolean {
    if (state === null) return false;
    if (id === '') {
      ({ k: this.k, offset: this.offset } = decodeClock(state));
      return true;
    }
    const rule = this.#rules.byId.get(id);
    if (rule === undefined || rule.rule.version !== version) return false;
    if (group === RUN_GROUP) {
      decodeRun(rule, state);
      return true;
    }
    const instance = rule.grouped ? rule.run.groups.get(group) : this.#ofDevice(rule, plans.get(group));
    if (instance === undefined) return false;
    decodeInstance(instance, state, (device) => instance.members?.get(plans.get(device)?.device.index ?? -1));
    if (instance.episode?.held) rule.run.held.add(instance);
    if (instance.phase === 'firing') rule.run.firing++;
    return true;
  }

  #ofDevice(rule: CompiledRule, plan: DevicePlan | undefined): Instance | undefined {
    return plan === undefined || !takes(rule.rule, plan.device) ? undefined : this.#instanceOf(plan, rule);
  }
}

/** By rule and group. */
function inOrder(a: Pick<Instance, 'rule' | 'group'>, b: Pick<Instance, 'rule' | 'group'>): number {
  const key = ({ rule, group }: typeof a) => `${rule.rule.id}\n${group}`;
  return key(a) === key(b) ? 0 : key(a) < key(b) ? -1 : 1;
}

function nothingSettled(): Settled {
  return { ended: [], shaken: new Set(), made: [] };
}

function rowOf({ rule: { rule }, group }: Instance): Omit<StateRow, 'state'> {
  return { rule: rule.id, version: rule.version, group };
}
