import type {
  AbsentCondition,
  AnomalyCondition,
  Calendar,
  Clause,
  Condition,
  FlatCondition,
  ForecastCondition,
  JumpCondition,
  KnownDevice,
  MetricTable,
  ReadingColumns,
  Rule,
  ThresholdCondition,
} from '../../../../domain/index.ts';
import { DAY_MS as DAY, HOUR_MS as HOUR, MINUTE_MS as MINUTE } from '../../../../domain/index.ts';
import type { RulesInForce } from '../../../../rules/engine/types.ts';

export { DAY, HOUR, MINUTE };

/** What each profile of the test city measures. */
const PROFILES: Readonly<Record<string, readonly string[]>> = {
  air: ['pm25', 'noise'],
  bin: ['fill', 'noise'],
};

/** A metric table in memory. */
export function metricTable(): MetricTable {
  const ids: string[] = [];
  return {
    indexOf: (id) => (ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1),
    idOf: (index) => ids[index]!,
  };
}

/** `last` of pm25 above 75, without hysteresis; `changes` replace fields. */
export function threshold(changes: Partial<ThresholdCondition> = {}): ThresholdCondition {
  const limit = changes.threshold ?? 75;
  return {
    kind: 'threshold',
    metric: 'pm25',
    fn: 'last',
    windowMs: 0,
    op: 'above',
    threshold: limit,
    clear: limit,
    compare: null,
    ...changes,
  };
}

/** No pm25 for a minute. */
export function absent(changes: Partial<AbsentCondition> = {}): AbsentCondition {
  return { kind: 'absent', metric: 'pm25', absentMs: MINUTE, ...changes };
}

/** All pm25 of a minute equal. */
export function flat(changes: Partial<FlatCondition> = {}): FlatCondition {
  return { kind: 'flat', metric: 'pm25', windowMs: MINUTE, within: 0, ...changes };
}

/** pm25 differs more than 10 from another of the last minute, up or down. */
export function jump(changes: Partial<JumpCondition> = {}): JumpCondition {
  const by = changes.by ?? 10;
  return { kind: 'jump', metric: 'pm25', windowMs: MINUTE, by, clear: by, direction: 'either', ...changes };
}

/** The last pm25 is more than 3 spreads from what is usual at its hour in 7 days. */
export function anomaly(changes: Partial<AnomalyCondition> = {}): AnomalyCondition {
  return {
    kind: 'anomaly',
    metric: 'pm25',
    fn: 'last',
    windowMs: 0,
    seasonMs: DAY,
    deviations: 3,
    trainMs: 7 * DAY,
    leastSpread: 1,
    ...changes,
  };
}

/** The line through an hour of pm25 passes 75 within the next hour. */
export function forecast(changes: Partial<ForecastCondition> = {}): ForecastCondition {
  const limit = changes.threshold ?? 75;
  return {
    kind: 'forecast',
    metric: 'pm25',
    method: 'trend',
    withinMs: HOUR,
    overMs: HOUR,
    reset: null,
    seasonMs: DAY,
    op: 'above',
    threshold: limit,
    clear: limit,
    ...changes,
  };
}

/** The clauses of a condition in written order, with their paths. */
export function clausesOf(when: Condition, path = 'when'): { path: string; clause: Clause }[] {
  if (when.kind === 'not') return clausesOf(when.of, `${path}.not`);
  if ('of' in when) return when.of.flatMap((part, i) => clausesOf(part, `${path}.${when.kind}[${i}]`));
  return [{ path, clause: when }];
}

/** Profiles of the test city that measure every metric of the condition. */
function profilesFor(when: Condition): string[] {
  const metrics = clausesOf(when).flatMap(({ clause }) => {
    const other = clause.kind === 'threshold' && clause.compare !== null ? clause.compare.with : 'peers';
    return [clause.metric, other === 'peers' ? null : other.metric].filter((metric) => metric !== null);
  });
  return Object.keys(PROFILES).filter((id) => metrics.every((metric) => PROFILES[id]!.includes(metric)));
}

/**
 * A rule on pm25, `last` above 75, for each device, fires at once; `changes` replace fields. Its version depends on its
 * content.
 */
export function rule(changes: Partial<Rule> = {}): Rule {
  const when = changes.when ?? threshold();
  const full: Rule = {
    id: 'dust',
    version: '',
    title: 'Dust at {{device.name}}',
    titleZh: 'Dust at {{device.name}}',
    forEach: 'device',
    where: {},
    profiles: profilesFor(when),
    when,
    quorum: null,
    forMs: 0,
    keepFiringForMs: 0,
    latenessMs: null,
    active: null,
    severity: 'high',
    steps: [],
    onNoData: 'keep',
    noDataAfterMs: 10 * MINUTE,
    noDataGraceMs: 10 * MINUTE,
    noDataForMs: 0,
    flapping: null,
    limit: 1000,
    source: 'id: dust',
    origin: 'file:rules/dust.yaml',
    ...changes,
  };
  return changes.version === undefined ? { ...full, version: JSON.stringify(full) } : full;
}

/** A device of profile `air` in the harbour; its id ends with its number: `a0`. */
export function device(id: string, changes: Partial<KnownDevice> = {}): KnownDevice {
  return { id, index: Number(id.slice(1)), profile: 'air', district: 'harbour', ...changes };
}

/** Readings as columns, from rows of [device, metric number, ts, value]. */
export function columns(rows: readonly (readonly [KnownDevice, number, number, number])[]): ReadingColumns {
  return {
    length: rows.length,
    device: rows.map((row) => row[0]),
    metric: rows.map((row) => row[1]),
    ts: rows.map((row) => row[2]),
    value: rows.map((row) => row[3]),
  };
}

/** Every day from 10:00 to 11:00 in Shanghai. */
export function calendar(changes: Partial<Calendar> = {}): Calendar {
  return {
    id: 'hours',
    title: { en: 'Hours', zh: '时间' },
    zone: 'Asia/Shanghai',
    spans: [{ weekdays: [1, 2, 3, 4, 5, 6, 7], fromMin: 600, toMin: 660 }],
    holidays: [],
    workdays: [],
    ...changes,
  };
}

/** The input of `configure` for a city in the zone of Shanghai. */
export function inForce(rules: readonly Rule[], calendars: readonly Calendar[] = []): RulesInForce {
  return { rules, calendars: new Map(calendars.map((one) => [one.id, one])), zone: 'Asia/Shanghai' };
}
