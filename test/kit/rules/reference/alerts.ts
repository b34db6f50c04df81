import {
  type EndCause,
  type Evidence,
  LIMIT_GROUP,
  type Rule,
  type Severity,
  type Transition,
} from '../../../../domain/index.ts';
import { countEvidence, evidenceOf, silenceEvidence } from './evidence.ts';
import {
  type Group,
  isHigher,
  isOpen,
  isTrue,
  matchingDevices,
  neededDevices,
  severityOf,
  waitsUntil,
} from './group.ts';
import { byId, type Instant } from './journal.ts';

type Move = Pick<Transition, 'group' | 'from' | 'to' | 'value' | 'severity' | 'because'> & {
  since: Instant;
  evidence: Evidence;
};

/** What goes on of an alert when its rule is changed. */
export type Before = Pick<Group, 'since' | 'severity' | 'silent' | 'lastRead' | 'spoken'>;

/** The alerts of one rule: changes their state and emits every transition. */
export class Alerts {
  readonly rule: Rule;
  readonly groups = new Map<string, Group>();
  readonly #emit: (rule: Rule, move: Move) => void;
  /** When the rule went over its limit; null while it is within. */
  #overSince: Instant | null = null;

  constructor(rule: Rule, emit: (rule: Rule, move: Move) => void) {
    this.rule = rule;
    this.#emit = emit;
  }

  /** Moves the group's alert according to its condition now. */
  evaluate(group: Group, calendarIsOn: boolean, now: Instant): void {
    if ((group.silent || isTrue(group)) && calendarIsOn) this.#matches(group, now);
    else if (group.carried && calendarIsOn && isOpen(group)) return;
    else if (group.carried) this.end(group, now, { because: 'rule-changed' });
    else this.ceases(group, now);
    this.#escalate(group, now);
  }

  #matches(group: Group, now: Instant): void {
    group.ceased = null;
    group.carried = false;
    if (group.state === 'inactive') group.since = now;
    if (group.state !== 'firing' && waitsUntil(group) <= now.runMs) this.wantsToFire(group, now);
    else if (group.state === 'inactive') this.#move(group, 'pending', 'pending', now);
  }

  /** What a match that ends does to the alert. */
  ceases(group: Group, now: Instant): void {
    if (group.state === 'pending') this.end(group, now);
    if (group.state !== 'firing' || group.ceased !== null) return;
    const { keepFiringForMs, flapping } = this.rule;
    const recent = group.fired.filter((runMs) => runMs >= now.runMs - (flapping?.withinMs ?? 0)).length;
    const restless = flapping !== null && recent >= flapping.times;
    const delayMs = restless ? Math.max(keepFiringForMs, flapping.withinMs) : keepFiringForMs;
    group.ceased = { runMs: now.runMs, delayMs };
    if (delayMs === 0) this.end(group, now);
  }

  #escalate(group: Group, now: Instant): void {
    const severity = severityOf(group, now);
    if (group.state !== 'firing' || !isHigher(severity, group.severity)) return;
    group.severity = severity;
    this.#move(group, 'firing', 'firing', now);
  }

  /** Fires the alert where the limit allows it; otherwise holds it. */
  wantsToFire(group: Group, now: Instant): void {
    if (group.held) return;
    const firing = this.#count(({ state }) => state === 'firing');
    if (this.#overSince === null && firing < this.rule.limit) {
      this.#fire(group, now);
      return;
    }
    group.held = true;
    if (group.state === 'inactive') this.#move(group, 'pending', 'pending', now);
    if (this.#overSince !== null) return;
    this.#overSince = now;
    this.#limitAlarm('inactive', 'firing', now);
  }

  #fire(group: Group, now: Instant): void {
    group.held = false;
    group.severity = severityOf(group, now);
    group.fired.push(now.runMs);
    this.#move(group, 'firing', 'firing', now);
  }

  /**
   * Ends the group's alert whatever its condition is. `last`: the rule ends too, so that nothing held fires instead.
   */
  end(group: Group, now: Instant, { last = false, because }: { last?: boolean; because?: EndCause } = {}): void {
    group.ceased = null;
    group.held = false;
    group.carried = false;
    if (group.state === 'pending') this.#move(group, 'inactive', 'cancelled', now);
    else if (group.state === 'firing') this.#move(group, 'inactive', 'resolved', now, because);
    group.severity = this.rule.severity;
    if (!last) this.#limit(now);
  }

  /**
   * Ends every alert of a removed or changed rule, in order of group, without those that go on under the changed one.
   */
  endAll(now: Instant, changed: boolean, goesOn: (group: Group) => boolean): void {
    for (const id of [...this.groups.keys()].toSorted(byId)) {
      const group = this.groups.get(id)!;
      if (goesOn(group)) group.state = 'inactive';
      else this.end(group, now, { last: true, because: changed ? 'rule-left' : 'rule-removed' });
    }
    if (this.#overSince !== null)
      this.#limitAlarm('firing', 'resolved', now, changed ? 'rule-changed' : 'rule-removed');
  }

  /** Lets the alert of a group go on that fired before the rule was changed. */
  goOn(group: Group, { since, severity, silent, lastRead, spoken }: Before): void {
    Object.assign(group, { state: 'firing', carried: true, since, severity });
    if (silent && this.rule.onNoData === 'alert')
      Object.assign(group, { silent, silenceHandled: true, lastRead, spoken });
  }

  /** Evaluates a group that went on, and raises its severity to that of the changed rule. */
  evaluateCarried(group: Group, calendarIsOn: boolean, now: Instant): void {
    this.evaluate(group, calendarIsOn, now);
    if (group.state !== 'firing' || !isHigher(this.rule.severity, group.severity)) return;
    group.severity = this.rule.severity;
    this.#move(group, 'firing', 'firing', now);
  }

  #limit(now: Instant): void {
    if (this.#overSince === null || this.#crowd() > this.rule.limit) return;
    this.#limitAlarm('firing', 'resolved', now);
    this.#overSince = null;
    const held = [...this.groups.values()].filter((group) => group.held);
    for (const group of held.toSorted((a, b) => byId(a.id, b.id))) this.#fire(group, now);
  }

  #count(counts: (group: Group) => boolean): number {
    return [...this.groups.values()].filter(counts).length;
  }

  #crowd(): number {
    return this.#count(({ state, held }) => state === 'firing' || held);
  }

  #limitAlarm(from: 'inactive' | 'firing', to: 'firing' | 'resolved', now: Instant, because?: EndCause): void {
    const { severity, limit } = this.rule;
    const [value, since] = [this.#crowd(), this.#overSince!];
    const evidence = countEvidence(this.rule, { fn: 'limit', count: value, value, threshold: limit }, now);
    const why = because === undefined ? {} : { because };
    this.#emit(this.rule, { group: LIMIT_GROUP, from, to, value, severity, since, evidence, ...why });
  }

  #move(group: Group, state: Group['state'], to: Transition['to'], now: Instant, because?: EndCause): void {
    const { rule, id, state: from, since } = group;
    const severity: Severity = from === 'firing' || to === 'firing' ? group.severity : rule.severity;
    group.state = state;
    const evidence = this.#evidence(group, now);
    const why = because === undefined ? {} : { because };
    this.#emit(rule, { group: id, from, to, value: evidence.window.value, severity, since, evidence, ...why });
  }

  #evidence(group: Group, now: Instant): Evidence {
    const { rule, devices } = group;
    if (group.silent) return silenceEvidence(group, now);
    if (rule.quorum === null) return evidenceOf(group, now);
    const matching = matchingDevices(group);
    const counted = { count: devices.size, value: matching.length, threshold: neededDevices(group) };
    return { ...countEvidence(rule, { fn: 'quorum', ...counted }, now), devices: matching.slice(0, 10) };
  }
}
