import type { KnownDevice } from '../../domain/index.ts';
import { TRUE } from './clauses/index.ts';
import { Peers } from './clauses/peers.ts';
import { ThresholdState } from './clauses/threshold.ts';
import { type CompiledRule, groupOf, takes } from './compiled.ts';
import { Instance, Member } from './instance.ts';
import type { DevicePlan, RuleSet, Seat } from './plan.ts';

/** What a change of rules or of a device leaves behind. */
export interface Settled {
  /** Alerts whose group the rule no longer takes. */
  readonly ended: Instance[];
  /** Quorums that a device joined or left. */
  readonly shaken: Set<Instance>;
  /** What is new. */
  readonly made: Member[];
}

/** Holds a device's plan against rules and device as they are now; a device that is gone (`null`) leaves all its groups. */
export function settle(plan: DevicePlan, rules: RuleSet, device: KnownDevice | null, k: number, into: Settled): void {
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

/** A device's own alert under a rule. */
export function makeInstance(plan: DevicePlan, rule: CompiledRule, k: number): Instance {
  const made = new Instance(rule, plan.device.id, plan.device, k);
  // An array literal with a spread in it would have room for 17.
  plan.instances = plan.instances.concat(made);
  becomePeer(made, plan.device);
  return made;
}

function join(plan: DevicePlan, rule: CompiledRule, k: number, into: Settled): void {
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
  into.shaken.add(instance);
}

function leave({ instance, member }: Seat, inForce: boolean, { ended, shaken }: Settled): void {
  const { groups } = instance.rule.run;
  if (!inForce) {
    // It is told as it stood, with all its devices; the first of them ends it for all.
    if (groups.delete(instance.group)) ended.push(instance);
    return;
  }
  instance.devices--;
  if (member !== instance) {
    instance.members!.delete(member.device!.index);
    if (member.whole === TRUE) instance.matching--;
    dispose(member);
    shaken.add(instance);
  }
  if (instance.devices > 0) return;
  groups.delete(instance.group);
  ended.push(instance);
}

/** Gives back what a member holds. */
export function dispose(member: Member): void {
  if (member.peerKey !== null) noLongerPeer(member);
  // What the queue still has of it does not count.
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
