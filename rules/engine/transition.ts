import type { ClauseEvidence, Evidence, Transition } from '../../domain/index.ts';
import { type FAULT_GROUP, LIMIT_GROUP } from '../../domain/index.ts';
import { metricOf, type Scene, shown, TRUE, VERDICTS } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';
import type { Instance, Phase } from './instance.ts';

const MOST_DEVICES = 10;

/** What changed, and when. */
export interface Change {
  readonly id: string;
  readonly from: Phase;
  readonly to: Transition['to'];
}

/** Puts a transition together from the instance as it stands after it. */
export function describe(instance: Instance, { id, from, to }: Change, scene: Scene): Transition {
  const { rule, group, episode } = instance;
  const { sinceMs, severity } = episode!;
  const evidence = evidenceOf(instance, scene);
  const atMs = scene.k + scene.offset;
  const { value } = evidence.window;
  return { id, rule: rule.rule.id, group, from, to, atMs, sinceMs, value, severity, evidence };
}

/** A transition of an alarm of the rule itself. */
export function describeAlarm(
  { rule, run, clauses }: CompiledRule,
  group: typeof LIMIT_GROUP | typeof FAULT_GROUP,
  { id, from, to }: Change,
  scene: Scene,
): Transition {
  const atMs = scene.k + scene.offset;
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
  };
}

function evidenceOf(instance: Instance, scene: Scene): Evidence {
  const { rule, members } = instance;
  const ruleVersion = rule.rule.version;
  if (instance.silent) return { ruleVersion, window: silence(instance, scene), readings: [] };
  if (members !== null) {
    return { ruleVersion, window: quorum(instance, scene), readings: [], devices: matchingDevices(instance) };
  }
  const deciding = Math.max(
    0,
    instance.clauses.findIndex(({ verdict }) => verdict === TRUE),
  );
  const clause = instance.clauses[deciding]!;
  // `fromMs` is the first moment that counts (included), so the readings from there to `toMs` give the very figure.
  const standing = clause.standing(scene);
  const value = shown(clause.said(scene));
  const now = scene.k + scene.offset;
  const times = Number.isFinite(standing.toMs) ? {} : { fromMs: now, toMs: now };
  const window = { metric: metricOf(rule.clauses[deciding]!.clause), ...standing, ...times, value };
  const clauses = rule.clauses.length > 1 ? { clauses: said(instance, scene) } : {};
  return { ruleVersion, window, readings: clause.readings(), ...clauses };
}

function silence({ rule, heardK }: Instance, { k, offset }: Scene): Evidence['window'] {
  const metric = rule.clauses.length === 1 ? metricOf(rule.clauses[0]!.clause) : '*';
  const times = { fromMs: heardK + offset, toMs: k + offset };
  const value = (k - heardK) / 1000;
  return { metric, fn: 'absent', ...times, count: 0, value, op: 'above', threshold: rule.rule.noDataAfterMs / 1000 };
}

function quorum(instance: Instance, { k, offset }: Scene): Evidence['window'] {
  const metric = metricOf(instance.rule.clauses[0]!.clause);
  const [at, value, threshold] = [k + offset, instance.matching, quorumOf(instance)];
  return { metric, fn: 'quorum', fromMs: at, toMs: at, count: instance.devices, value, op: 'above', threshold };
}

/** How many devices must match. */
export function quorumOf({ rule, devices }: Instance): number {
  const quorum = rule.rule.quorum!;
  return 'devices' in quorum ? quorum.devices : Math.max(1, Math.ceil((quorum.percent * devices) / 100));
}

function matchingDevices({ members }: Instance): string[] {
  const matching = [...members!.values()].filter(({ whole }) => whole === TRUE).map(({ device }) => device!.id);
  return matching.sort().slice(0, MOST_DEVICES);
}

function said({ rule, clauses }: Instance, scene: Scene): ClauseEvidence[] {
  return clauses.map((state, i) => {
    const { path, clause } = rule.clauses[i]!;
    const value = shown(state.said(scene));
    return { path, kind: clause.kind, metric: metricOf(clause), verdict: VERDICTS[state.verdict], value };
  });
}
