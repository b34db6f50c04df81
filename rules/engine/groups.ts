import { type EndCause, FAULT_GROUP, type KnownDevice, LIMIT_GROUP } from '../../domain/index.ts';
import { TRUE } from './clauses/index.ts';
import { Peers } from './clauses/peers.ts';
import { ThresholdState } from './clauses/threshold.ts';
import { type CompiledRule, groupOf, RUN_GROUP, type RuleSet, takes } from './compiled.ts';
import { Instance, Member } from './instance.ts';
import { carry, finish, type MachineContext, move, moveAfterChange } from './machine.ts';

/** The alerts that the readings of one device go to. */
export interface DevicePlan {
  device: KnownDevice;
  /** Its own alerts. */
  instances: Instance[];
  /** Its places in alerts of districts and the city. */
  seats: Seat[];
  /** By metric number, in the order of the rules; undefined until the first reading of the metric after a change. */
  byMetric: (readonly Member[] | undefined)[];
}

/** The place of a device in the alert of a group: with a quorum its own member, else the group's only one. */
export interface Seat {
  readonly instance: Instance;
  readonly member: Member;
}

/** What a change of the rules or of a device leads to; `finishChange` completes it. */
export interface Change {
  /** Alerts whose group the rule no longer applies to. */
  readonly ended: Instance[];
  /** Quorums that a device joined or left. */
  readonly recount: Set<Instance>;
  /** New members. */
  readonly made: Member[];
}

/** What `finishChange` calls on the engine. */
export interface ChangeContext extends MachineContext {
  schedule(member: Member): void;
  /** Deletes the stored state of the group with the next checkpoint. */
  drop(rule: CompiledRule, group: string): void;
  /** Returns the alert of the same group under the changed rule; null where there is none. */
  successorOf(instance: Instance): Instance | null;
  /** Whether a rule of this id is in force. */
  hasRule(id: string): boolean;
}

export function noChange(): Change {
  return { ended: [], recount: new Set(), made: [] };
}

/** Fits the plan to the rules and the device as they are now; a device that is gone (`null`) leaves all its groups. */
export function settle(plan: DevicePlan, rules: RuleSet, device: KnownDevice | null, k: number, into: Change): void {
  const stays = ({ rule, owner }: Member) =>
    device !== null &&
    rules.byId.get(rule.rule.id) === rule &&
    takes(rule.rule, device) &&
    groupOf(rule.rule, device) === owner.group;
  for (const instance of plan.instances) if (!stays(instance)) into.ended.push(instance);
  for (const seat of plan.seats) {
    const { rule } = seat.instance;
    if (!stays(seat.member)) leave(seat, rules.byId.get(rule.rule.id) === rule, into);
  }
  plan.instances = plan.instances.filter(stays);
  plan.seats = plan.seats.filter(({ member }) => stays(member));
  plan.byMetric = [];
  if (device === null) return;
  plan.device = device;
  for (const member of [...plan.instances, ...plan.seats.map((seat) => seat.member)]) becomePeer(member, device);
  for (const rule of rules.early) {
    if (rule.run.fault !== null || !takes(rule.rule, device)) continue;
    if (rule.grouped) join(plan, rule, k, into);
    else if (!plan.instances.some((instance) => instance.rule === rule)) into.made.push(makeInstance(plan, rule, k));
  }
}

/**
 * Ends alerts and alarms in order of (rule, group), before anything new begins; then judges the quorums that changed,
 * and alerts that go on under a changed rule. `left`: why alerts end whose rule is in force.
 */
export function finishChange(
  { ended, recount, made }: Change,
  rulesGone: readonly CompiledRule[],
  left: EndCause,
  context: ChangeContext,
): void {
  for (const member of made) if (member.owner === member) context.touch(member.owner);
  const carried = new Map(
    ended.flatMap((instance) => {
      const next = instance.phase === 'firing' ? context.successorOf(instance) : null;
      return next === null ? [] : [[instance, next] as const];
    }),
  );
  const ends = [
    ...ended.map((instance) => ({
      rule: instance.rule,
      group: instance.group,
      run: () => end(instance, carried.get(instance) ?? null, left, context),
    })),
    // Sorts after the groups of the rule.
    ...rulesGone.map((rule) => ({ rule, group: FAULT_GROUP, run: () => endAlarms(rule, context) })),
  ];
  for (const { run } of ends.sort(inOrder)) run();
  // Only now: the value of one alert that ends may depend on the readings of another.
  for (const instance of ended) for (const one of [instance, ...(instance.members?.values() ?? [])]) dispose(one);
  for (const instance of [...new Set([...recount, ...carried.values()])].sort(inOrder)) {
    if (instance.gone) continue;
    if (instance.members !== null) instance.judgeQuorum();
    context.touch(instance);
    if (instance.carried) moveAfterChange(instance, context);
    else move(instance, context);
    context.schedule(instance);
  }
  for (const member of made) context.schedule(member);
}

function end(instance: Instance, next: Instance | null, left: EndCause, context: ChangeContext): void {
  const { rule } = instance;
  if (next === null) finish(instance, context, causeOf(rule, left, context));
  else carry(instance, next, context);
  instance.gone = true;
  context.drop(rule, instance.group);
}

/** An alert of a changed rule ends where that does not apply to its group. */
function causeOf(rule: CompiledRule, left: EndCause, context: ChangeContext): EndCause {
  if (context.inForce(rule)) return rule.grouped ? 'rule-left' : left;
  return context.hasRule(rule.rule.id) ? 'rule-left' : 'rule-removed';
}

function endAlarms(rule: CompiledRule, context: ChangeContext): void {
  const { run } = rule;
  const because = context.hasRule(rule.rule.id) ? 'rule-changed' : 'rule-removed';
  if (run.fault !== null) context.alarm(rule, FAULT_GROUP, 'resolved', because);
  if (run.limitedMs !== null) context.alarm(rule, LIMIT_GROUP, 'resolved', because);
  if (run.fault !== null || run.limitedMs !== null || run.dirty) context.drop(rule, RUN_GROUP);
}

/** In order of rule and group. */
export function inOrder(a: Pick<Instance, 'rule' | 'group'>, b: Pick<Instance, 'rule' | 'group'>): number {
  const key = ({ rule, group }: typeof a) => `${rule.rule.id}\n${group}`;
  return key(a) === key(b) ? 0 : key(a) < key(b) ? -1 : 1;
}

/** The members that a reading of the metric goes to, planned at the first one. */
export function planMetric(plan: DevicePlan, metric: number, rules: RuleSet, k: number): readonly Member[] {
  const members: Member[] = [];
  for (const rule of rules.byMetric[metric] ?? rules.ofAny) {
    if (rule.run.fault !== null || !takes(rule.rule, plan.device)) continue;
    if (rule.grouped) {
      const seat = plan.seats.find(({ instance }) => instance.rule === rule);
      if (seat !== undefined) members.push(seat.member);
    } else members.push(instanceOf(plan, rule, k));
  }
  const same = members.length === plan.instances.length && members.every((member, i) => member === plan.instances[i]);
  const exact = same ? plan.instances : members.slice();
  // Copies, since an array that was pushed to has room for 17; without holes the hot path's look-up stays a plain load.
  const length = Math.max(plan.byMetric.length, metric + 1);
  plan.byMetric = Array.from({ length }, (_, at) => (at === metric ? exact : plan.byMetric[at]));
  return plan.byMetric[metric]!;
}

/** A device's own alert under a rule, created where it does not exist. */
export function instanceOf(plan: DevicePlan, rule: CompiledRule, k: number): Instance {
  return plan.instances.find((instance) => instance.rule === rule) ?? makeInstance(plan, rule, k);
}

function makeInstance(plan: DevicePlan, rule: CompiledRule, k: number): Instance {
  const made = new Instance(rule, plan.device.id, plan.device, k);
  // An array literal with a spread in it would have room for 17.
  plan.instances = plan.instances.concat(made);
  becomePeer(made, plan.device);
  return made;
}

function join(plan: DevicePlan, rule: CompiledRule, k: number, into: Change): void {
  if (plan.seats.some(({ instance }) => instance.rule === rule)) return;
  const group = groupOf(rule.rule, plan.device);
  let instance = rule.run.groups.get(group);
  if (instance === undefined) {
    instance = new Instance(rule, group, null, k);
    rule.run.groups.set(group, instance);
    into.made.push(instance);
  }
  instance.devices++;
  const member = instance.members === null ? instance : new Member(rule, instance, plan.device, k);
  plan.seats = plan.seats.concat({ instance, member });
  if (instance.members === null) return;
  instance.members.set(plan.device.index, member);
  if (member.whole === TRUE) instance.matching++;
  becomePeer(member, plan.device);
  into.made.push(member);
  into.recount.add(instance);
}

function leave({ instance, member }: Seat, inForce: boolean, { ended, recount }: Change): void {
  const { groups } = instance.rule.run;
  if (!inForce) {
    // The alert ends with all its devices in the evidence; the first device to leave ends it.
    if (groups.delete(instance.group)) ended.push(instance);
    return;
  }
  instance.devices--;
  if (member !== instance) {
    instance.members!.delete(member.device!.index);
    if (member.whole === TRUE) instance.matching--;
    dispose(member);
    recount.add(instance);
  }
  if (instance.devices > 0) return;
  groups.delete(instance.group);
  ended.push(instance);
}

/** Gives the memory of a member back. */
function dispose(member: Member): void {
  if (member.peerKey !== null) noLongerPeer(member);
  // Its entries in the queue no longer count.
  member.queuedK = Number.NEGATIVE_INFINITY;
  for (const clause of member.clauses) clause.release();
}

function becomePeer(member: Member, device: KnownDevice): void {
  if (member.device === null) return;
  member.device = device;
  if (!member.rule.peers) return;
  const key = `${device.profile} ${device.district}`;
  if (member.peerKey === key) return;
  if (member.peerKey !== null) noLongerPeer(member);
  member.peerKey = key;
  for (const [i, clause] of member.clauses.entries()) {
    if (!(clause instanceof ThresholdState && clause.hasPeers)) continue;
    const { peers } = member.rule.run;
    const all = peers.get(`${i} ${key}`) ?? new Peers();
    peers.set(`${i} ${key}`, all);
    all.add(clause.own);
    clause.peers = all;
  }
}

function noLongerPeer(member: Member): void {
  for (const [i, clause] of member.clauses.entries()) {
    if (clause instanceof ThresholdState) member.rule.run.peers.get(`${i} ${member.peerKey}`)?.delete(clause.own);
  }
  member.peerKey = null;
}
