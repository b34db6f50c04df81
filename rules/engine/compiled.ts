import {
  type Calendar,
  CITY_GROUP,
  type Clause,
  type Condition,
  createCalendarClock,
  type Device,
  faultsOf,
  type Measure,
  type MetricTable,
  type Rule,
} from '../../domain/index.ts';
import {
  type ClauseState,
  clauseMaker,
  FALSE,
  namesOf,
  type StateNames,
  TRUE,
  UNKNOWN,
  type Verdict,
} from './clauses/index.ts';
import type { Peers } from './clauses/peers.ts';
import type { Instance } from './instance.ts';
import type { RulesInForce } from './types.ts';

/** A rule prepared for the hot path, with its state beyond that of its groups. */
export interface CompiledRule {
  /**
   * In an unchanged version; what is derived from the city, as the profiles that measure its metrics, follows the city.
   */
  rule: Rule;
  readonly clauses: readonly CompiledClause[];
  /** Combines the verdicts of the clauses; null where the verdict of the only clause is that of the rule. */
  readonly whole: ((clauses: readonly ClauseState[]) => Verdict) | null;
  /** Numbers of the metrics that it reads. */
  readonly metrics: readonly number[];
  /** It reads every metric. */
  readonly anyMetric: boolean;
  /** Groups exist before their first reading: they can be silent, or count in a quorum. */
  readonly eager: boolean;
  /** It can come due while its alert is inactive. */
  readonly timed: boolean;
  /** Groups are districts or the city. */
  readonly grouped: boolean;
  /**
   * One clause of one metric for each device that takes all values, without calendar, lateness or silence, as most
   * rules are.
   */
  readonly plain: boolean;
  /** It compares with peers. */
  readonly peers: boolean;
  /** When it is active; null: always. */
  hours: Hours | null;
  readonly run: RuleRun;
}

/** The group under which the state of a rule as a whole is stored. */
export const RUN_GROUP = '~rule';

/** The state of a rule as a whole. */
export interface RuleRun {
  /** Groups that are firing. */
  firing: number;
  /** Groups that would fire if the rule were not over its limit. */
  readonly held: Set<Instance>;
  /** Engine time at which it went over its limit; null: it is within. */
  limitedMs: number | null;
  /** The error that disabled it, and when. */
  fault: { readonly detail: string; readonly atMs: number } | null;
  dirty: boolean;
  /** By district or city, for grouped rules. */
  readonly groups: Map<string, Instance>;
  /** Peers of each other, by clause, profile and district. */
  readonly peers: Map<string, Peers>;
}

export interface CompiledClause {
  readonly path: string;
  readonly clause: Clause;
  readonly make: (k: number) => ClauseState;
  /** Of a clause that goes on, they follow the city. */
  readonly names: StateNames;
}

/** A rule that cannot be compiled has a fault from the start. */
function compileRule(rule: Rule, metrics: MetricTable, atMs: number): CompiledRule {
  const base = { rule, hours: null, grouped: rule.forEach !== 'device' };
  const run: RuleRun = {
    firing: 0,
    held: new Set(),
    limitedMs: null,
    fault: null,
    dirty: false,
    groups: new Map(),
    peers: new Map(),
  };
  try {
    return { ...base, ...compileCondition(rule, metrics), run };
  } catch (error) {
    run.fault = { detail: (error as Error).message, atMs };
    run.dirty = true;
    const none = {
      clauses: [],
      whole: null,
      metrics: [],
      anyMetric: false,
      eager: false,
      timed: false,
      plain: false,
      peers: false,
    };
    return { ...base, ...none, run };
  }
}

function compileCondition(rule: Rule, metrics: MetricTable) {
  const clauses = [...clausesOf(rule.when, 'when')].map(({ path, clause }): CompiledClause => {
    const names = namesOf(clause);
    return { path, clause, names, make: clauseMaker(clause, metrics, names) };
  });
  const names = new Set(clauses.flatMap(({ clause }) => metricsOf(clause)));
  const silent = clauses.some(({ clause }) => clause.kind === 'absent') || rule.onNoData !== 'keep';
  return {
    clauses,
    whole: clauses.length === 1 && clauses[0]!.path === 'when' ? null : wholeOf(rule.when),
    metrics: [...names].map((name) => metrics.indexOf(name)),
    anyMetric: clauses.some(({ clause }) => clause.kind === 'absent' && clause.metric === null),
    eager: silent || rule.quorum !== null,
    timed: silent || rule.active !== null,
    plain: isPlain(rule, clauses.length) && names.size === 1,
    peers: clauses.some(({ clause }) => clause.kind === 'threshold' && clause.compare?.with === 'peers'),
  };
}

function isPlain({ when, quorum, latenessMs, suspect, active, onNoData }: Rule, clauses: number): boolean {
  return (
    clauses === 1 &&
    !('of' in when) &&
    quorum === null &&
    latenessMs === null &&
    suspect === undefined &&
    active === null &&
    onNoData === 'keep' &&
    when.kind !== 'absent'
  );
}

/** The clauses of a condition in written order, with their paths. */
function* clausesOf(condition: Condition, path: string): Generator<{ path: string; clause: Clause }> {
  if (!('of' in condition)) yield { path, clause: condition };
  else if (condition.kind === 'not') yield* clausesOf(condition.of, `${path}.not`);
  else for (const [i, one] of condition.of.entries()) yield* clausesOf(one, `${path}.${condition.kind}[${i}]`);
}

function metricsOf(clause: Clause): string[] {
  const other = clause.kind === 'threshold' && clause.compare !== null ? clause.compare.with : null;
  return [
    ...(clause.metric === null ? [] : [clause.metric]),
    ...('fn' in clause && clause.fn === 'faults' ? [faultsOf(clause.metric)] : []),
    ...(other === null || other === 'peers' ? [] : [other.metric]),
  ];
}

/** Kleene's logic over the clauses in the order of `clausesOf`. */
function wholeOf(condition: Condition): (clauses: readonly ClauseState[]) => Verdict {
  let next = 0;
  const compile = (node: Condition): ((clauses: readonly ClauseState[]) => Verdict) => {
    if (!('of' in node)) {
      const at = next++;
      return (clauses) => clauses[at]!.verdict;
    }
    if (node.kind === 'not') {
      const inner = compile(node.of);
      return (clauses) => not(inner(clauses));
    }
    const parts = node.of.map(compile);
    const decides = node.kind === 'all' ? FALSE : TRUE;
    return (clauses) => {
      let verdict: Verdict = not(decides);
      for (const part of parts) {
        const one = part(clauses);
        if (one === decides) return decides;
        if (one === UNKNOWN) verdict = UNKNOWN;
      }
      return verdict;
    };
  };
  return compile(condition);
}

function not(verdict: Verdict): Verdict {
  if (verdict === UNKNOWN) return UNKNOWN;
  return verdict === TRUE ? FALSE : TRUE;
}

/** The group of a device under a rule that applies to it. */
export function groupOf({ forEach }: Rule, device: Device): string {
  if (forEach === 'device') return device.id;
  return forEach === 'district' ? device.district : CITY_GROUP;
}

/**
 * Whether a rule applies to the device: its profile measures the metrics, and it matches every list and every tag of
 * `where`.
 */
export function takes({ where, profiles }: Rule, device: Device): boolean {
  const { profile, district, device: ids, tags } = where;
  if (!profiles.includes(device.profile)) return false;
  if (profile !== undefined && !profile.includes(device.profile)) return false;
  if (district !== undefined && !district.includes(device.district)) return false;
  if (ids !== undefined && !ids.includes(device.id)) return false;
  return tags === undefined || Object.entries(tags).every(([tag, value]) => device.tags?.[tag] === value);
}

/** The compiled rules in force, in order of id. */
export interface RuleSet {
  readonly byId: ReadonlyMap<string, CompiledRule>;
  /** By metric number. */
  readonly byMetric: readonly (readonly CompiledRule[] | undefined)[];
  /** Rules that read every metric. */
  readonly ofAny: readonly CompiledRule[];
  /** Rules whose groups exist before their first reading. */
  readonly early: readonly CompiledRule[];
}

export const NO_RULES: RuleSet = { byId: new Map(), byMetric: [], ofAny: [], early: [] };

/** What decides when alerts begin and end; the rest of a rule is words, and what is done about them. */
function decidingOf({ forEach, where, when, quorum, active, severity, steps, limit, ...rule }: Rule): string {
  const { forMs, keepFiringForMs, latenessMs, suspect, onNoData, noDataAfterMs } = rule;
  const { noDataGraceMs, noDataForMs, flapping } = rule;
  const times = { forMs, keepFiringForMs, latenessMs, noDataAfterMs, noDataGraceMs, noDataForMs };
  const deciding = {
    forEach,
    where,
    when,
    quorum,
    active,
    severity,
    steps,
    limit,
    suspect,
    onNoData,
    flapping,
    ...times,
  };
  return JSON.stringify(deciding, isOfState);
}

/** Replaces the measure of a state: the clause names codes, and what these or others are called decides nothing. */
function isOfState(key: string, value: unknown): unknown {
  if (key !== 'measure' || typeof value !== 'object' || value === null) return value;
  return (value as Measure).kind === 'state' ? 'state' : value;
}

/** Whether the state of a rule goes on under another text of it. A rule with a fault is tried again. */
function goesOn({ rule: before, run }: CompiledRule, rule: Rule): boolean {
  if (before.version === rule.version) return true;
  return run.fault === null && decidingOf(before) === decidingOf(rule);
}

/** Compiles rules. One that decides the same stays the same object as in `before`, with its state. */
export function compileRules(
  { rules, calendars }: RulesInForce,
  before: RuleSet,
  metrics: MetricTable,
  atMs: number,
): RuleSet {
  const byId = new Map<string, CompiledRule>();
  for (const rule of rules.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const known = before.byId.get(rule.id);
    const compiled = known !== undefined && goesOn(known, rule) ? known : compileRule(rule, metrics, atMs);
    const calendar = rule.active === null ? undefined : calendars.get(rule.active);
    compiled.rule = rule;
    const clauses = [...clausesOf(rule.when, 'when')];
    for (const [i, { names }] of compiled.clauses.entries()) Object.assign(names, namesOf(clauses[i]!.clause));
    compiled.hours = calendar === undefined ? null : createHours(calendar);
    byId.set(rule.id, compiled);
  }
  const all = [...byId.values()];
  const ofAny = all.filter(({ anyMetric }) => anyMetric);
  const byMetric: CompiledRule[][] = [];
  for (const metric of new Set(all.flatMap((rule) => rule.metrics))) byMetric[metric] = [];
  for (const rule of all) {
    if (rule.anyMetric) for (const metric of byMetric.keys()) byMetric[metric]?.push(rule);
    else for (const metric of rule.metrics) byMetric[metric]!.push(rule);
  }
  return { byId, byMetric, ofAny, early: all.filter(({ eager, grouped }) => eager || grouped) };
}

/** When a rule is active. Times should mostly increase from call to call. */
export interface Hours {
  isOn(ms: number): boolean;
  /** The first time after `ms` at which it changes; Infinity: never. */
  nextChange(ms: number): number;
}

/** Caches the present span: it is read at each reading, and changes twice a day. */
function createHours(calendar: Calendar): Hours {
  const clock = createCalendarClock(calendar);
  let [from, to, on] = [0, 0, false];
  const look = (ms: number) => {
    if (ms >= from && ms < to) return;
    on = clock.isActive(ms);
    from = ms;
    to = clock.nextChange(ms);
  };
  return {
    isOn(ms) {
      look(ms);
      return on;
    },
    nextChange(ms) {
      look(ms);
      return to;
    },
  };
}
