import {
  type ClauseEvidence,
  type EndCause,
  type Evidence,
  type FAULT_GROUP,
  LIMIT_GROUP,
  type Transition,
} from '../../domain/index.ts';
import { type EngineTime, metricOf, shown, shownWindow, TRUE, VERDICTS } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';
import { silenceMs } from './due.ts';
import type { Instance, Phase } from './instance.ts';

const MOST_DEVICES = 10;

/** A phase change, and the id of its transition. */
export interface PhaseChange {
  readonly id: string;
  readonly from: Phase;
  readonly to: Transition['to'];
  readonly because?: EndCause | undefined;
}

/** The transition of an instance, described by its state after the change. */
export function describe(instance: Instance, { id, from, to, because }: PhaseChange, time: EngineTime): Transition {
  const { rule, group, episode } = instance;
  const { sinceMs, severity } = episode!;
  const evidence = evidenceOf(instance, time);
  const atMs = time.k + time.offset;
  const { value } = evidence.window;
  const transition = { id, rule: rule.rule.id, group, from, to, atMs, sinceMs, value, severity, evidence };
  return because === undefined ? transition : { ...transition, because };
}

/** The transition of an alarm of the rule itself. */
export function describeAlarm(
  { rule, run, clauses }: CompiledRule,
  group: typeof LIMIT_GROUP | typeof FAULT_GROUP,
  { id, from, to, because }: PhaseChange,
  time: EngineTime,
): Transition {
  const atMs = time.k + time.offset;
  const limit = group === LIMIT_GROUP;
  const value = limit ? run.firing + run.held.size : null;
  const metric = clauses[0] === undefined ? '*' : metricOf(clauses[0].clause);
  const fn = limit ? ('limit' as const) : ('fault' as const);
  const threshold = limit ? rule.limit : 0;
  const window = { metric, fn, fromMs: atMs, toMs: atMs, count: value ?? 0, value, op: 'above' as const, threshold };
  const detail = limit || run.fault === null ? {} : { detail: run.fault.detail };
  return {
    id,
    rule: rule.id,
    group,
    from,
    to,
    atMs,
    sinceMs: (limit ? run.limitedMs : run.fault?.atMs) ?? atMs,
    value,
    severity: limit ? rule.severity : 'critical',
    evidence: { ruleVersion: rule.version, window, readings: [], ...detail },
    ...(because === undefined ? {} : { because }),
  };
}

function evidenceOf(instance: Instance, time: EngineTime): Evidence {
  const { rule, members } = instance;
  const ruleVersion = rule.rule.version;
  if (instance.silent) return { ruleVersion, window: silence(instance, time), readings: [] };
  if (members !== null) {
    return { ruleVersion, window: quorum(instance, time), readings: [], devices: matchingDevices(instance) };
  }
  const deciding = Math.max(
    0,
    instance.clauses.findIndex(({ verdict }) => verdict === TRUE),
  );
  const clause = instance.clauses[deciding]!;
  // `fromMs` is the first moment that counts (included): the readings from there to `toMs` give exactly this value.
  const cut = shownWindow(clause, time);
  const value = shown(clause.decidedValue(time));
  const now = time.k + time.offset;
  const times = Number.isFinite(cut.toMs) ? {} : { fromMs: now, toMs: now };
  const window = { metric: metricOf(rule.clauses[deciding]!.clause), ...cut, ...times, value };
  const readings = clause.readings().map(([ts, value]): [number, number] => [ts + time.civil, value]);
  const clauses = rule.clauses.length > 1 ? { clauses: clauseEvidence(instance, time) } : {};
  return { ruleVersion, window, readings, ...clauses };
}

function silence(instance: Instance, { k, offset }: EngineTime): Evidence['window'] {
  const { rule, readK } = instance;
  const metric = rule.clauses.length === 1 ? metricOf(rule.clauses[0]!.clause) : '*';
  const times = { fromMs: readK + offset, toMs: k + offset };
  const value = (k - readK) / 1000;
  return { metric, fn: 'absent', ...times, count: 0, value, op: 'above', threshold: silenceMs(instance) / 1000 };
}

function quorum(instance: Instance, { k, offset }: EngineTime): Evidence['window'] {
  const metric = metricOf(instance.rule.clauses[0]!.clause);
  const [at, value, threshold] = [k + offset, instance.matching, instance.quorum];
  return { metric, fn: 'quorum', fromMs: at, toMs: at, count: instance.devices, value, op: 'above', threshold };
}

function matchingDevices({ members }: Instance): string[] {
  const matching = [...members!.values()].filter(({ whole }) => whole === TRUE).map(({ device }) => device!.id);
  return matching.sort().slice(0, MOST_DEVICES);
}

function clauseEvidence({ rule, clauses }: Instance, time: EngineTime): ClauseEvidence[] {
  return clauses.map((state, i) => {
    const { path, clause } = rule.clauses[i]!;
    const value = shown(state.decidedValue(time));
    return { path, kind: clause.kind, metric: metricOf(clause), verdict: VERDICTS[state.verdict], value };
  });
}
