import type { KnownDevice, Rule, Transition } from '../../../../domain/index.ts';
import type { RulesInForce } from '../../../../rules/engine/types.ts';
import { Alerts } from './alerts.ts';
import { isActive, nextChange } from './calendars.ts';
import { type Course, courses, hear, type Surroundings } from './clauses.ts';
import { type Due, dues, everyClause, type Group, groupOf, newGroup, takesDevice } from './group.ts';
import { byId, type Entry, type Instant, type Sample } from './journal.ts';

/** Neighbouring blocks further apart than this: nobody listened. */
const GAP_MS = 60_000;

/**
 * The rule engine as one would write it without a thought for speed, from `docs/rule-engine.md` and the types of the
 * domain alone: keeps every reading, cuts windows out of all of them each time, and finds what is due next by asking
 * every group. With `gaps: false` time never stands still, as in a backtest. Zone of calendars is Shanghai.
 */
export class Reference {
  /** Percentiles over a fuller slice than is promised to be exact, or a figure on an edge but for rounding: what follows says nothing. */
  inexact = false;
  readonly #gaps: boolean;
  readonly #zone: string;
  #rules: Alerts[] = [];
  #calendars: RulesInForce['calendars'] = new Map();
  readonly #devices = new Map<string, KnownDevice>();
  #now: Instant = { atMs: Number.NEGATIVE_INFINITY, heardMs: Number.NEGATIVE_INFINITY };
  #seq = 0;
  #out: Transition[] = [];

  constructor({ gaps = true, zone = 'Asia/Shanghai' } = {}) {
    this.#gaps = gaps;
    this.#zone = zone;
  }

  /** One block of the journal. */
  play({ seq, atMs, op }: Entry): Transition[] {
    this.#seq = seq;
    this.#out = [];
    this.#timePasses(atMs);
    if (op.kind === 'readings') for (const sample of op.samples) this.#read(sample);
    if (op.kind === 'rules') {
      this.#calendars = new Map(op.calendars.map((calendar) => [calendar.id, calendar]));
      this.#configure(op.rules);
    }
    if (op.kind === 'device') this.#devices.set(op.device.id, op.device);
    if (op.kind === 'revoke') this.#devices.delete(op.id);
    if (op.kind === 'device' || op.kind === 'revoke') this.#regroup();
    return this.#out;
  }

  #timePasses(atMs: number): void {
    const { atMs: before, heardMs } = this.#now;
    const first = before === Number.NEGATIVE_INFINITY;
    const nobody = this.#gaps && atMs - before > GAP_MS;
    const missedMs = first ? 0 : before - heardMs + (nobody ? atMs - before : 0);
    // In a gap the clock on the wall goes on, and nothing is heard.
    const instant = (at: number): Instant => ({ atMs: at, heardMs: first ? at : Math.max(heardMs, at - missedMs) });
    const onTheWall = (due: Due) => ('atMs' in due ? due.atMs : due.heardMs + missedMs);
    for (;;) {
      const next = this.#next(onTheWall);
      if (next === undefined || next.at > atMs) break;
      this.#now = instant(next.at);
      this.#comesDue(next.alerts, next.group);
    }
    this.#now = instant(atMs);
  }

  /** The first group in order of (time, rule, group) in which something comes due. */
  #next(onTheWall: (due: Due) => number): { at: number; alerts: Alerts; group: Group } | undefined {
    const found = this.#rules.flatMap((alerts) =>
      [...alerts.groups.values()].map((group) => {
        const times = dues(group, (ms) => this.#nextChange(alerts.rule, ms)).map(onTheWall);
        return { at: Math.min(...times), alerts, group };
      }),
    );
    const order = (a: (typeof found)[number], b: (typeof found)[number]) =>
      a.at - b.at || byId(a.alerts.rule.id, b.alerts.rule.id) || byId(a.group.id, b.group.id);
    const finite = found.filter(({ at }) => at < Number.POSITIVE_INFINITY);
    return finite.toSorted(order)[0];
  }

  /** Everything of one group that is due now: what is known first, then silence, then what the alert waited for. */
  #comesDue(alerts: Alerts, group: Group): void {
    const { rule } = alerts;
    const { atMs, heardMs } = this.#now;
    for (const course of everyClause(group)) {
      if (course.clause.kind !== 'absent' || course.silent) continue;
      if (course.since.heardMs + course.clause.absentMs > heardMs) continue;
      course.silent = true;
      course.verdict = 'true';
    }
    group.calendarSeenMs = atMs;
    this.#evaluate(alerts, group);
    const silence = rule.onNoData !== 'keep' && !group.silenceSeen;
    if (silence && group.heard.heardMs + rule.noDataAfterMs <= heardMs) this.#silence(alerts, group);
    const waited = group.state === 'pending' && group.since.heardMs + rule.forMs <= heardMs;
    if (waited) alerts.wantsToFire(group, this.#now);
    const { state, ceased } = group;
    if (state === 'firing' && ceased !== null && ceased.heardMs + ceased.delayMs <= heardMs)
      alerts.end(group, this.#now);
  }

  #silence(alerts: Alerts, group: Group): void {
    group.silenceSeen = true;
    if (alerts.rule.onNoData === 'resolve') {
      if (group.state !== 'inactive') alerts.end(group, this.#now);
      for (const course of everyClause(group)) course.verdict = 'unknown';
      return;
    }
    group.silent = true;
    this.#evaluate(alerts, group);
  }

  #read({ id, metric, ts, value }: Sample): void {
    const device = this.#devices.get(id);
    if (device === undefined) return;
    for (const alerts of this.#rules) {
      const { rule } = alerts;
      if (!takesDevice(rule, device)) continue;
      const group = alerts.groups.get(groupOf(rule, device))!;
      const clauses = rule.quorum === null ? group.clauses : group.devices.get(id)!;
      const late = rule.latenessMs !== null && this.#now.atMs - ts > rule.latenessMs;
      const took = clauses.filter((course) =>
        hear(course, metric, { ts, value }, late, this.#around(alerts, group, id, course)),
      );
      if (took.length === 0) continue;
      group.heard = this.#now;
      group.silenceSeen = false;
      group.silent = false;
      this.#evaluate(alerts, group);
    }
  }

  #around({ groups, rule }: Alerts, own: Group, id: string, { path }: Course): Surroundings {
    const others = () => {
      const { profile, district } = own.known.get(id)!;
      return [...this.#devices.values()].filter(
        (one) => one.id !== id && one.profile === profile && one.district === district && takesDevice(rule, one),
      );
    };
    const clausesOf = (one: KnownDevice) => {
      const group = groups.get(groupOf(rule, one))!;
      return rule.quorum === null ? group.clauses : group.devices.get(one.id)!;
    };
    return {
      now: this.#now,
      zone: this.#zone,
      peers: () => others().map((one) => clausesOf(one).find((course) => course.path === path)!.own),
      inexact: () => {
        this.inexact = true;
      },
    };
  }

  #configure(rules: readonly Rule[]): void {
    const kept = (alerts: Alerts) =>
      rules.some(({ id, version }) => id === alerts.rule.id && version === alerts.rule.version);
    for (const alerts of this.#rules) if (!kept(alerts)) alerts.endAll(this.#now);
    this.#rules = rules
      .toSorted((a, b) => byId(a.id, b.id))
      .map((rule) => this.#rules.find((one) => kept(one) && one.rule.id === rule.id) ?? this.#alerts(rule));
    this.#regroup();
  }

  #alerts(rule: Rule): Alerts {
    return new Alerts(rule, (_, { since, ...move }) => {
      const id = `${this.#seq}.${this.#out.length}`;
      this.#out.push({ id, rule: rule.id, atMs: this.#now.atMs, sinceMs: since.atMs, ...move });
    });
  }

  /** Devices came, went or moved: what is without any ends, in order of rule and group; then quorums are taken anew. */
  #regroup(): void {
    const all = this.#rules.flatMap((alerts) => this.#recount(alerts));
    for (const { alerts, group } of all) {
      if (this.#members(alerts, group.id).length > 0) continue;
      alerts.end(group, this.#now);
      alerts.groups.delete(group.id);
    }
    for (const { alerts, group } of all)
      if (alerts.rule.quorum !== null && alerts.groups.has(group.id)) this.#evaluate(alerts, group);
  }

  #members({ rule }: Alerts, id: string): KnownDevice[] {
    return [...this.#devices.values()].filter((device) => takesDevice(rule, device) && groupOf(rule, device) === id);
  }

  /** Who is in which group now. The rule's groups in order, also those that nobody is left in. */
  #recount(alerts: Alerts): { alerts: Alerts; group: Group }[] {
    const { rule, groups } = alerts;
    for (const device of this.#devices.values()) {
      const id = groupOf(rule, device);
      if (takesDevice(rule, device) && !groups.has(id)) groups.set(id, newGroup(rule, id, this.#now));
    }
    const sorted = [...groups.values()].toSorted((a, b) => byId(a.id, b.id));
    for (const group of sorted) {
      const members = this.#members(alerts, group.id);
      for (const id of group.devices.keys()) if (!members.some((one) => one.id === id)) group.devices.delete(id);
      for (const one of members) {
        group.known.set(one.id, one);
        if (!group.devices.has(one.id)) group.devices.set(one.id, courses(rule, this.#now));
      }
    }
    return sorted.map((group) => ({ alerts, group }));
  }

  #evaluate(alerts: Alerts, group: Group): void {
    const calendar = this.#calendars.get(alerts.rule.active ?? '');
    alerts.evaluate(group, calendar === undefined || isActive(calendar, this.#now.atMs), this.#now);
  }

  #nextChange({ active }: Rule, ms: number): number {
    const calendar = this.#calendars.get(active ?? '');
    return calendar === undefined ? Number.POSITIVE_INFINITY : nextChange(calendar, ms);
  }
}
