import { createHash } from 'node:crypto';
import {
  type Band,
  type City,
  type Clause,
  type Condition,
  codeOfState,
  DAY_MS,
  GAUGE,
  HOUR_MS,
  type Measure,
  type Rule,
  SEVERITIES,
  type ThresholdCondition,
  WEEK_MS,
  WINDOW_FUNCTIONS,
  type WindowAggregate,
} from '../../domain/index.ts';
import { metricsOf } from './conditions.ts';
import type { Raw } from './raw.ts';
import type { WrittenRule, WrittenWhen } from './schema.ts';

const SEASONS_MS = { '1d': DAY_MS, '1w': WEEK_MS } as const;

/** Builds the rule from a text that has no mistakes. */
export function buildRule(
  written: WrittenRule,
  { raw, text, origin }: { readonly raw: Raw; readonly text: string; readonly origin: string },
  city: City,
): Rule {
  const { id, title, where, ticket, when, quorum } = { ...written, quorum: written.when.quorum };
  const texts = typeof title === 'string' ? { en: title, zh: title } : title;
  const deadlineMs = ticket && (ticket.deadline ?? city.services.get(ticket.service)!.deadlineMs);
  const condition = conditionOf(when, city);
  const profiles = profilesOf(written, raw, city);
  const noDataAfterMs = written.no_data_after ?? silenceOf(condition, profiles, city);
  const { severity, steps } = severityOf(written.severity);
  return {
    id,
    version: versionOf(raw, derived(condition, written, noDataAfterMs)),
    title: texts.en,
    titleZh: texts.zh,
    forEach: written.for_each ?? quorum?.of ?? 'device',
    where: Object.fromEntries(Object.entries(where).filter(([, value]) => value !== undefined)),
    profiles,
    when: condition,
    quorum: quorum === undefined ? null : quorumOf(quorum.at_least),
    forMs: written.for,
    keepFiringForMs: written.keep_firing_for,
    latenessMs: written.lateness ?? null,
    ...(written.suspect === 'ignore' ? { suspect: written.suspect } : {}),
    active: written.active ?? null,
    severity,
    steps,
    onNoData: written.on_no_data,
    noDataAfterMs,
    noDataGraceMs: written.no_data_grace ?? noDataAfterMs,
    noDataForMs: written.no_data_for ?? 0,
    flapping:
      written.flapping === undefined ? null : { times: written.flapping.times, withinMs: written.flapping.within },
    limit: written.limit,
    ...(ticket === undefined ? {} : { ticket: { service: ticket.service, deadlineMs: deadlineMs! } }),
    source: text,
    origin,
  };
}

/**
 * Hash of the written rule with sorted keys, and of the values derived from the city. Comments, layout and a service's
 * deadline do not change it.
 */
function versionOf(raw: Raw, derivedValues: readonly unknown[]): string {
  const canonical = JSON.stringify(raw, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
  const whole = derivedValues.length === 0 ? canonical : `${canonical}${JSON.stringify(derivedValues)}`;
  return createHash('sha256').update(whole).digest('hex').slice(0, 12);
}

function derived(condition: Condition, written: WrittenRule, noDataAfterMs: number): unknown[] {
  const spreads = clausesOf(condition).flatMap((one) => (one.kind === 'anomaly' ? [one.leastSpread] : []));
  const measures = clausesOf(condition).flatMap((one) =>
    'measure' in one && one.measure !== undefined ? [decidingMeasure(one.measure, one.states)] : [],
  );
  return [...(written.on_no_data === 'keep' ? [] : [noDataAfterMs]), ...spreads, ...measures];
}

/**
 * A state decides by the codes that the rule names: what others are called, or that there are more, changes nothing.
 */
function decidingMeasure(measure: Measure, states: readonly number[] | undefined) {
  return measure.kind === 'state' ? { kind: measure.kind, states } : measure;
}

function profilesOf({ where }: WrittenRule, raw: Raw, city: City): string[] {
  const metrics = metricsOf(raw.when as Raw);
  const profiles = (where.profile ?? [...city.profiles.keys()]).map((id) => city.profiles.get(id)!);
  return profiles.filter((profile) => metrics.every((metric) => profile.metrics.includes(metric))).map(({ id }) => id);
}

/** The default of `no_data_after`: the longest window, or three times the longest interval where that is more. */
function silenceOf(condition: Condition, profiles: readonly string[], city: City): number {
  const windows = clausesOf(condition).map((one) => ('windowMs' in one ? one.windowMs : 0));
  return Math.max(...windows, ...profiles.map((id) => 3 * city.profiles.get(id)!.intervalMs));
}

/** Returns the clauses of a condition in the order in which they are written. */
export function clausesOf(condition: Condition): Clause[] {
  if (!('of' in condition)) return [condition];
  return condition.kind === 'not' ? clausesOf(condition.of) : condition.of.flatMap(clausesOf);
}

function quorumOf(atLeast: number | string): Rule['quorum'] {
  return typeof atLeast === 'number' ? { devices: atLeast } : { percent: Number(atLeast.slice(0, -1)) };
}

function severityOf(severity: WrittenRule['severity']): Pick<Rule, 'severity' | 'steps'> {
  if (typeof severity === 'string') return { severity, steps: [] };
  const [least, ...steps] = SEVERITIES.flatMap((name) => {
    const at = severity[name];
    return at === undefined ? [] : [{ at, severity: name }];
  });
  return { severity: least!.severity, steps };
}

function conditionOf(when: WrittenWhen, city: City): Condition {
  if (when.all !== undefined) return { kind: 'all', of: when.all.map((one) => conditionOf(one, city)) };
  if (when.any !== undefined) return { kind: 'any', of: when.any.map((one) => conditionOf(one, city)) };
  if (when.not !== undefined) return { kind: 'not', of: conditionOf(when.not, city) };
  return clauseOf(when, city);
}

function clauseOf(when: WrittenWhen, city: City): Clause {
  const { metric, absent, flat, jump, anomaly, forecast } = when;
  if (absent !== undefined) return { kind: 'absent', metric: metric ?? null, absentMs: absent };
  const named = metric!;
  if (flat !== undefined) return { kind: 'flat', metric: named, windowMs: flat.for, within: flat.within };
  if (jump !== undefined) {
    const { by, within: windowMs, clear, direction } = jump;
    return { kind: 'jump', metric: named, windowMs, by, clear: clear ?? by, direction };
  }
  if (anomaly !== undefined) {
    const { season, deviations, train, least } = anomaly;
    const { min, max } = city.metrics.get(named)!;
    const trainMs = train ?? (season === '1w' ? 28 : 14) * DAY_MS;
    const leastSpread = least ?? (max - min) / 1000;
    return {
      kind: 'anomaly',
      ...aggregateOf(when, city),
      seasonMs: SEASONS_MS[season],
      deviations,
      trainMs,
      leastSpread,
    };
  }
  if (forecast !== undefined) return forecastOf(when, forecast);
  return thresholdOf(when, city);
}

function aggregateOf(when: WrittenWhen, city: City): WindowAggregate {
  const fn = WINDOW_FUNCTIONS.find((name) => when[name] !== undefined) ?? 'last';
  const { kind, max, values } = city.metrics.get(when.metric!) ?? GAUGE;
  const measure = kind === 'gauge' ? {} : { measure: { kind, max, ...(values === undefined ? {} : { values }) } };
  const names = when.is ?? when.is_not ?? when.of;
  const states = names === undefined ? {} : { states: names.map((name) => codeOfState(values!, name)!) };
  return { metric: when.metric!, fn, windowMs: fn === 'last' ? 0 : when[fn]!, ...measure, ...states };
}

/** Within a sector is outside of the rest of the turn. */
function limitsOf(when: WrittenWhen): Pick<ThresholdCondition, 'op' | 'threshold' | 'clear'> {
  const { sector, clear } = when;
  if (when.is ?? when.is_not) return { op: when.is === undefined ? 'is_not' : 'is', threshold: 0, clear: 0 };
  if (sector !== undefined) {
    const [from, to] = (clear as Band | undefined) ?? sector;
    return { op: 'outside', threshold: [sector[1], sector[0]], clear: [to, from] };
  }
  const op = (['above', 'below', 'outside', 'equals'] as const).find((one) => when[one] !== undefined)!;
  const limit = when[op]!;
  const threshold = typeof limit === 'boolean' ? Number(limit) : limit;
  return { op, threshold, clear: clear ?? threshold };
}

function thresholdOf(when: WrittenWhen, city: City): ThresholdCondition {
  const aggregate = aggregateOf(when, city);
  const { compare } = when;
  const other = compare === undefined || compare.with === 'peers' ? ('peers' as const) : { metric: compare.with };
  const withinMs = compare?.within ?? (aggregate.fn === 'last' ? HOUR_MS : aggregate.windowMs);
  const comparison = compare === undefined ? null : { with: other, as: compare.as, withinMs };
  return { kind: 'threshold', ...aggregate, ...limitsOf(when), compare: comparison };
}

function forecastOf(when: WrittenWhen, forecast: NonNullable<WrittenWhen['forecast']>): Clause {
  const { within, method, over, reset, season } = forecast;
  const op = when.above === undefined ? 'below' : 'above';
  const threshold = when[op]!;
  return {
    kind: 'forecast',
    metric: when.metric!,
    method,
    withinMs: within,
    overMs: over ?? Math.max(DAY_MS, within),
    reset: reset ?? null,
    seasonMs: SEASONS_MS[season],
    op,
    threshold,
    clear: (when.clear as number | undefined) ?? threshold,
  };
}
