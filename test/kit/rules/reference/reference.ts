import {
  type Calendar,
  DAY_MS,
  type EndCause,
  HOUR_MS,
  type KnownDevice,
  MINUTE_MS,
  type Rule,
  type Transition,
} from '../../../../domain/index.ts';
import type { RulesInForce } from '../../../../rules/engine/types.ts';
import { Alerts } from './alerts.ts';
import { type ClauseContext, type Course, coursesOf, takeReading } from './clauses.ts';
import {
  type Due,
  dues,
  everyClause,
  type Group,
  groupOf,
  newGroup,
  silentFrom,
  takesDevice,
  waitsUntil,
} from './group.ts';
import { byId, type Entry, type Instant, type Sample } from './journal.ts';

/** Blocks further apart than this mean that the server was down in between. */
const GAP_MS = 15_000;

/**
 * The rule engine without regard to speed, written from `docs/rule-engine.md` and the types of the domain only. It
 * stores every reading, cuts each window out of all of them, and finds the next due time by a search of all groups.
 * With `gaps: false` time never stops, as in a backtest. Calendars are in the zone of Shanghai.
 */
export class Reference {
  /**
   * Set by a percentile over a slice that is too full to be exact, or a value on an edge within rounding; later results
   * do not count.
   */
  inexact = false;
  readonly #gaps: boolean;
  readonly #zone: string;
  #rules: Alerts[] = [];
  #calendars: RulesInForce['calendars'] = new Map();
  readonly #devices = new Map<string, KnownDevice>();
  #now: Instant = { atMs: Number.NEGATIVE_INFINITY, runMs: Number.NEGATIVE_INFINITY };
  #seq = 0;
  #out: Transition[] = [];

  constructor({ gaps = true, zone = 'Asia/Shanghai' } = {}) {
    this.#gaps = gaps;
    this.#zone = zone;
  }

  /** Reads one block of the journal. */
  play({ seq, atMs, op }: Entry): Transition[] {
    this.#seq = seq;
    this.#out = [];
    this.#advance(atMs);
    if (op.kind === 'readings') for (const sample of op.samples) this.#read(sample);
    if (op.kind === 'rules') {
      this.#calendars = new Map(op.calendars.map((calendar) => [calendar.id, calendar]));
      this.#configure(op.rules);
    }
    if (op.kind === 'device') this.#devices.set(op.device.id, op.device);
    if (op.kind === 'revoke') this.#devices.delete(op.id);
    if (op.kind === 'device' || op.kind === 'revoke')
      this.#regroup(op.kind === 'revoke' ? 'device-revoked' : 'rule-left');
    return this.#out;
  }

  #advance(atMs: number): void {
    const { atMs: before, runMs } = this.#now;
    const first = before === Number.NEGATIVE_INFINITY;
    const gap = this.#gaps && atMs - before > GAP_MS;
    const missedMs = first ? 0 : before - runMs + (gap ? atMs - before : 0);
    // In a gap engine time goes on, and time without gaps stops.
    const instant = (at: number): Instant => ({ atMs: at, runMs: first ? at : Math.max(runMs, at - missedMs) });
    const wallMsOf = (due: Due) => ('atMs' in due ? due.atMs : due.runMs + missedMs);
    for (;;) {
      const next = this.#next(wallMsOf);
      if (next === undefined || next.at > atMs) break;
      this.#now = instant(next.at);
      this.#runDue(next.alerts, next.group);
    }
    this.#now = instant(atMs);
  }

  /** The next due group in order of (time, rule, group). */
  #next(wallMsOf: (due: Due) => number): { at: number; alerts: Alerts; group: Group } | undefined {
    const found = this.#rules.flatMap((alerts) =>
      [...alerts.groups.values()].map((group) => {
        const times = dues(group, (ms) => this.#nextChange(alerts.rule, ms)).map(wallMsOf);
        return { at: Math.min(...times), alerts, group };
      }),
    );
    const order = (a: (typeof found)[number], b: (typeof found)[number]) =>
      a.at - b.at || byId(a.alerts.rule.id, b.alerts.rule.id) || byId(a.group.id, b.group.id);
    const finite = found.filter(({ at }) => at < Number.POSITIVE_INFINITY);
    return finite.toSorted(order)[0];
  }

  /** Runs everything of one group that is due now: clauses, then silence, then `for` and `keep_firing_for`. */
  #runDue(alerts: Alerts, group: Group): void {
    const { rule } = alerts;
    const { atMs, runMs } = this.#now;
    for (const course of everyClause(group)) {
      if (course.clause.kind !== 'absent' || course.silent) continue;
      if (course.since.runMs + course.clause.absentMs > runMs) continue;
      course.silent = true;
      course.verdict = 'true';
    }
    group.calendarCheckedMs = atMs;
    this.#evaluate(alerts, group);
    const silence = rule.onNoData !== 'keep' && !group.silenceHandled;
    if (silence && silentFrom(group) <= runMs) this.#silence(alerts, group);
    const waited = group.state === 'pending' && waitsUntil(group) <= runMs;
    if (waited) alerts.wantsToFire(group, this.#now);
    const { state, ceased } = group;
    if (state === 'firing' && ceased !== null && ceased.runMs + ceased.delayMs <= runMs) alerts.end(group, this.#now);
  }

  #silence(alerts: Alerts, group: Group): void {
    group.silenceHandled = true;
    if (alerts.rule.onNoData === 'resolve') {
      alerts.ceases(group, this.#now);
      for (const course of everyClause(group)) course.verdict = 'unknown';
      return;
    }
    group.silent = true;
    this.#evaluate(alerts, group);
  }

  #read({ id, metric, ts, value, isSuspect = false }: Sample): void {
    const device = this.#devices.get(id);
    if (device === undefined) return;
    for (const alerts of this.#rules) {
      const { rule } = alerts;
      if (!takesDevice(rule, device)) continue;
      const group = alerts.groups.get(groupOf(rule, device))!;
      const clauses = rule.quorum === null ? group.clauses : group.devices.get(id)!;
      const late = rule.latenessMs !== null && this.#now.atMs - ts > rule.latenessMs;
      const isIgnored = isSuspect && rule.suspect === 'ignore';
      const counting = clauses.filter(({ clause }) => !isIgnored || clause.kind === 'absent');
      const took = counting.filter((course) =>
        takeReading(course, metric, { ts, value }, late, this.#context(alerts, group, id, course)),
      );
      if (took.length === 0) continue;
      group.lastRead = this.#now;
      group.spoken = true;
      group.silenceHandled = false;
      group.silent = false;
      this.#evaluate(alerts, group);
    }
  }

  #context({ groups, rule }: Alerts, own: Group, id: string, { path }: Course): ClauseContext {
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
    const gone = this.#rules.filter((alerts) => !kept(alerts));
    const successor = ({ rule }: Alerts) => rules.find(({ id }) => id === rule.id);
    const goesOn = (alerts: Alerts, { id, state }: Group) => {
      const next = successor(alerts);
      if (state !== 'firing' || next === undefined || next.forEach !== alerts.rule.forEach) return false;
      return [...this.#devices.values()].some((one) => takesDevice(next, one) && groupOf(next, one) === id);
    };
    const going = gone.flatMap((alerts) =>
      [...alerts.groups.values()]
        .filter((group) => goesOn(alerts, group))
        .map((group) => ({ rule: alerts.rule.id, group, before: { ...group } })),
    );
    for (const alerts of gone)
      alerts.endAll(this.#now, successor(alerts) !== undefined, (group) => going.some((one) => one.group === group));
    this.#rules = rules
      .toSorted((a, b) => byId(a.id, b.id))
      .map((rule) => this.#rules.find((one) => kept(one) && one.rule.id === rule.id) ?? this.#alerts(rule));
    for (const alerts of this.#rules) this.#recount(alerts);
    const wentOn = new Set<Group>();
    for (const { rule, group, before } of going) {
      const alerts = this.#rules.find((one) => one.rule.id === rule)!;
      const next = alerts.groups.get(group.id)!;
      alerts.goOn(next, before);
      wentOn.add(next);
      if (next.rule.quorum === null && group.rule.quorum === null) this.#continueSilence(group.clauses, next.clauses);
      else for (const [id, courses] of next.devices) this.#continueSilence(group.devices.get(id) ?? [], courses);
    }
    this.#regroup('rule-left', wentOn);
  }

  /** A silence that was counted before a change of the rule goes on. */
  #continueSilence(before: readonly Course[], after: readonly Course[]): void {
    for (const course of after) {
      const { clause } = course;
      if (clause.kind !== 'absent') continue;
      for (const old of before) {
        if (old.clause.kind !== 'absent' || old.clause.metric !== clause.metric) continue;
        const silent = old.since.runMs + clause.absentMs <= this.#now.runMs;
        Object.assign(course, { since: old.since, silent, verdict: silent ? 'true' : 'false' });
      }
    }
  }

  #alerts(rule: Rule): Alerts {
    return new Alerts(rule, (_, { since, ...move }) => {
      const id = `${this.#seq}.${this.#out.length}`;
      this.#out.push({ id, rule: rule.id, atMs: this.#now.atMs, sinceMs: since.atMs, ...move });
    });
  }

  /**
   * After a change of devices: ends groups without devices in order of rule and group, then evaluates quorums again.
   */
  #regroup(left: EndCause, wentOn: ReadonlySet<Group> = new Set()): void {
    const all = this.#rules.flatMap((alerts) => this.#recount(alerts));
    for (const { alerts, group } of all) {
      if (this.#members(alerts, group.id).length > 0) continue;
      const because = alerts.rule.forEach === 'device' ? left : 'rule-left';
      alerts.end(group, this.#now, { because });
      alerts.groups.delete(group.id);
    }
    for (const { alerts, group } of all) {
      if (!alerts.groups.has(group.id)) continue;
      if (wentOn.has(group)) alerts.evaluateCarried(group, this.#calendarIsOn(alerts.rule), this.#now);
      else if (alerts.rule.quorum !== null) this.#evaluate(alerts, group);
    }
  }

  #members({ rule }: Alerts, id: string): KnownDevice[] {
    return [...this.#devices.values()].filter((device) => takesDevice(rule, device) && groupOf(rule, device) === id);
  }

  /** Assigns devices to groups; returns the groups of the rule in order, also those without devices. */
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
        if (!group.devices.has(one.id)) group.devices.set(one.id, coursesOf(rule, this.#now));
      }
    }
    return sorted.map((group) => ({ alerts, group }));
  }

  #evaluate(alerts: Alerts, group: Group): void {
    alerts.evaluate(group, this.#calendarIsOn(alerts.rule), this.#now);
  }

  #calendarIsOn({ active }: Rule): boolean {
    const calendar = this.#calendars.get(active ?? '');
    return calendar === undefined || isActive(calendar, this.#now.atMs);
  }

  #nextChange({ active }: Rule, ms: number): number {
    const calendar = this.#calendars.get(active ?? '');
    return calendar === undefined ? Number.POSITIVE_INFINITY : nextChange(calendar, ms);
  }
}

/**
 * Shanghai is eight hours ahead of UTC all year, which is enough for a calendar that is independent of the engine's.
 */
const AHEAD = 8 * HOUR_MS;

/** Whether a calendar of the zone `Asia/Shanghai` is on. */
function isActive({ spans, holidays, workdays }: Calendar, ms: number): boolean {
  const day = Math.floor((ms + AHEAD) / DAY_MS);
  const minute = Math.floor((((ms + AHEAD) % DAY_MS) + DAY_MS) / MINUTE_MS) % 1440;
  const begins = (on: number, span: Calendar['spans'][number]): boolean => {
    const date = new Date(on * DAY_MS).toISOString().slice(0, 10);
    const made = workdays.find((one) => one.date === date);
    if (made === undefined && holidays.includes(date)) return false;
    return span.weekdays.includes(made?.weekday ?? ((new Date(on * DAY_MS).getUTCDay() + 6) % 7) + 1);
  };
  return spans.some((span) => {
    const until = span.toMin <= span.fromMin ? span.toMin + 1440 : span.toMin;
    const today = begins(day, span) && minute >= span.fromMin && minute < until;
    return today || (begins(day - 1, span) && minute + 1440 < until);
  });
}

const known = new Map<string, number>();

/** The next time after `ms` at which the calendar begins or ends; tries each minute of eight days. */
function nextChange(calendar: Calendar, ms: number): number {
  const minute = Math.floor(ms / MINUTE_MS);
  const key = `${JSON.stringify([calendar.spans, calendar.holidays, calendar.workdays])} ${minute}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const now = isActive(calendar, ms);
  let next = minute + 1;
  while (next < minute + 8 * 1440 && isActive(calendar, next * MINUTE_MS) === now) next++;
  const found = isActive(calendar, next * MINUTE_MS) === now ? Number.POSITIVE_INFINITY : next * MINUTE_MS;
  known.set(key, found);
  return found;
}
