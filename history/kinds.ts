import type { DuckDBConnection } from '@duckdb/node-api';
import {
  type Aggregate,
  codeOfState,
  DAY_MS,
  HOLDS_MS,
  HOUR_MS,
  type Measure,
  type MetricKind,
  overflowStep,
} from '../domain/index.ts';

/** A metric of the file that is not a gauge. */
export interface KindOfMetric {
  /** Its number in the file. */
  readonly metric: number;
  readonly measure: Measure;
}

/**
 * Roll-ups of metrics that are not gauges, beside those that every metric has. `rollup_sums`: sums of powers (levels),
 * of sines and cosines (angles). `rollup_counters`: the first and the last reading of an hour and what was counted
 * between them; of states, how often they changed. `rollup_states`: how long a state had each value between the first
 * and the last reading of an hour. `rolled_kinds`: by which kind a metric was rolled up.
 */
export const KINDS_SCHEMA = `
  create table if not exists rollup_sums (
    ts bigint not null, device integer not null, metric smallint not null,
    n bigint not null, a double not null, b double not null
  );
  create table if not exists rollup_counters (
    ts bigint not null, device integer not null, metric smallint not null,
    first_ts bigint not null, first double not null, last_ts bigint not null, last double not null,
    increase double not null
  );
  create table if not exists rollup_states (
    ts bigint not null, device integer not null, metric smallint not null, code double not null, ms bigint not null
  );
  create table if not exists rolled_kinds (metric smallint primary key, kind varchar not null, most double not null);
`;

/** How far before a query the reading may be from which a counter counts on. */
const COUNTS_ON_MS = 7 * DAY_MS;

const TURN = (change: string) => `(((${change} + 180) % 360 + 360) % 360 - 180)`;
const CHANGE = 'arg_max(value, ts) - arg_min(value, ts)';
const ranked = (percent: number) => `list_sort(list(value))[greatest(1, (count(*) * ${percent} + 50) // 100)]`;
const rateOf = (change: string) =>
  `case when max(ts) > min(ts) then ${change} * ${HOUR_MS}.0 / (max(ts) - min(ts)) end`;

/** Aggregates as SQL over the raw readings of an interval; null without a value. */
const GAUGE_SQL: Readonly<Record<Aggregate, string>> = {
  mean: 'avg(value)',
  min: 'min(value)',
  max: 'max(value)',
  sum: 'sum(value)',
  count: 'count(*)::double',
  first: 'arg_min(value, ts)',
  last: 'arg_max(value, ts)',
  p10: ranked(10),
  p50: ranked(50),
  p90: ranked(90),
  // Rank ⌊0.95·n + 0.5⌋ in whole numbers; quantile_disc takes ⌈0.95·n⌉, one more for some n.
  p95: 'list_sort(list(value))[(count(*) * 95 + 50) // 100]',
  stddev: 'stddev_samp(value)',
  delta: `case when count(*) > 1 then ${CHANGE} end`,
  rate: rateOf(`(${CHANGE})`),
  // Of states only.
  changes: 'null::double',
  share: 'null::double',
};

const SINES = 'sin(radians(value))';
const COSINES = 'cos(radians(value))';
const POWER = 'pow(10, least(value, 300) / 10)';

const length = (a: string, b: string) => `sqrt(${a} * ${a} + ${b} * ${b})`;
const direction = (a: string, b: string, n: string) =>
  `case when ${length(a, b)} >= 1e-9 * ${n} then (round(degrees(atan2(${a}, ${b})), 9) + 360) % 360 end`;
const spread = (a: string, b: string, n: string) =>
  `case when ${n} > 1 and ${length(a, b)} >= 1e-9 * ${n}
     then degrees(sqrt(-2 * ln(least(1, ${length(a, b)} / ${n})))) end`;
const angular = (of: typeof direction) => of(`sum(${SINES})`, `sum(${COSINES})`, 'count(*)');

/** Where a kind differs from a gauge, over raw readings. */
const RAW_SQL: Readonly<Record<MetricKind, Partial<Record<Aggregate, string>>>> = {
  gauge: {},
  counter: {},
  angle: {
    mean: angular(direction),
    stddev: angular(spread),
    delta: `case when count(*) > 1 then ${TURN(CHANGE)} end`,
    rate: rateOf(TURN(CHANGE)),
  },
  level: { mean: `10 * log10(avg(${POWER}))` },
  presence: {},
  state: {},
  text: {},
};

/** The same over `rollup_sums`. */
const SUMS_SQL: Readonly<Record<MetricKind, Partial<Record<Aggregate, string>>>> = {
  gauge: {},
  counter: {},
  angle: { mean: direction('sum(a)', 'sum(b)', 'sum(n)'), stddev: spread('sum(a)', 'sum(b)', 'sum(n)') },
  level: { mean: '10 * log10(sum(a) / sum(n))' },
  presence: {},
  state: {},
  text: {},
};

/** An aggregate of a kind as SQL over raw readings. */
export function rawSqlOf(kind: MetricKind, fn: Aggregate): string {
  return RAW_SQL[kind][fn] ?? GAUGE_SQL[fn];
}

/** An aggregate of a kind as SQL over `rollup_sums`; undefined where these do not have it. */
export function sumsSqlOf(kind: MetricKind, fn: Aggregate): string | undefined {
  return SUMS_SQL[kind][fn];
}

/** The sums of each raw reading, as SQL: `a` and `b`. */
export function sumsOfReadings(kinds: readonly KindOfMetric[]): string {
  const angles = numbersOf(kinds, 'angle');
  return `case when metric in (${angles}) then ${SINES} else ${POWER} end as a,
    case when metric in (${angles}) then ${COSINES} else 0 end as b`;
}

/** The numbers of the metrics of a kind, as SQL. */
export function numbersOf(kinds: readonly KindOfMetric[], ...of: readonly MetricKind[]): string {
  const numbers = kinds.filter(({ measure }) => of.includes(measure.kind)).map(({ metric }) => metric);
  return numbers.length === 0 ? 'null' : numbers.join(', ');
}

/** Whether a function of a kind counts what happens between readings. */
export function counts(kind: MetricKind, fn: Aggregate): kind is 'counter' | 'state' {
  return (
    (kind === 'state' && fn === 'changes') || (kind === 'counter' && (fn === 'delta' || fn === 'sum' || fn === 'rate'))
  );
}

interface SegmentsQuery {
  readonly fromMs: number;
  readonly toMs: number;
  /** Raw readings before this time are deleted; -Infinity: none. */
  readonly prunedMs: number;
  /** Length of the intervals, ms: shorter ones than an hour have no roll-ups. */
  readonly every: number;
  /** Joins and condition of the devices and metrics, for rows `r`. */
  readonly filter: string;
}

/** Segments of readings in and before the queried time, as SQL: an hour of the roll-ups, or a single reading. */
function segmentsOf({ fromMs, toMs, prunedMs, every, filter }: SegmentsQuery): string {
  const beforeMs = fromMs - COUNTS_ON_MS;
  const edge = Math.min(prunedMs, toMs);
  const readings = `select ts, device, metric, ts as first_ts, value as first, ts as last_ts, value as last,
    0.0 as increase from readings where ts >= ${Math.max(fromMs, edge)} and ts < ${toMs}`;
  const newest = `select max(ts), device, metric, max(ts), arg_max(value, ts), max(ts), arg_max(value, ts), 0.0
    from readings where ts >= ${Math.max(beforeMs, edge)} and ts < ${fromMs} group by device, metric`;
  const rolledTo = every < HOUR_MS ? Math.min(edge, fromMs) : edge;
  const rolled = `select * from rollup_counters where ts >= ${beforeMs} and ts < ${rolledTo}`;
  const source = [readings, newest, ...(beforeMs < edge ? [rolled] : [])].join(' union all ');
  return `select r.* from (${source}) r ${filter}`;
}

/** A statement with device, metric, t and v of what counters counted, or of how often states changed. */
export function countStatement(
  kind: 'counter' | 'state',
  kinds: readonly KindOfMetric[],
  query: SegmentsQuery & { readonly fn: Aggregate; readonly bucket: string },
): string {
  const { fromMs, fn, bucket } = query;
  const value = fn === 'rate' ? `case when sum(ms) > 0 then sum(counted) * ${HOUR_MS}.0 / sum(ms) end` : 'sum(counted)';
  const counted = (kind === 'counter' ? countedOf : changedOf)(segmentsOf(query), kinds, 'device, metric');
  return `
    select device, metric, ${bucket}, (${value})::double as v from (${counted})
    where ts >= ${fromMs}${kind === 'state' ? '' : ' and (before_ts is not null or last_ts > first_ts)'} group by all`;
}

/** Intervals of one list. */
const MOST_LISTED = 256;

/** A statement with device, metric, t and v of how much of the time states had the value of this name, percent. */
export function shareStatement(
  kinds: readonly KindOfMetric[],
  query: SegmentsQuery & { readonly state: string },
): string {
  const { fromMs, toMs, prunedMs, every, filter, state } = query;
  const codes = kinds.flatMap(({ metric, measure: { values = [] } }) => {
    const code = codeOfState(values, state);
    return code === null ? [] : [`(${metric}, ${code}::double)`];
  });
  if (codes.length === 0) return NOTHING;
  const bucketOf = (ts: string) => `(${ts} - ((${ts} % ${every}) + ${every}) % ${every})`;
  const chosen = `select r.device, r.metric
    from (select d.id as device, m.id as metric from devices d cross join metrics m) r ${filter}`;
  const ofChosen = 'semi join chosen using (device, metric) where true';
  const segments = segmentsOf({ ...query, filter: ofChosen });
  const held = `select device, metric, last as code, greatest(last_ts, ${fromMs}) as a,
    least(coalesce(lead(first_ts) over (partition by device, metric order by first_ts), ${toMs}),
      last_ts + ${HOLDS_MS}, ${toMs}) as b from (${segments})`;
  // In two steps: the lists of 2,048 rows are in memory together, and count for no limit of DuckDB's.
  const some = MOST_LISTED * every;
  const split = `select device, metric, code, t, least(b, t + ${every}) - greatest(a, t) as ms from (
    select *, unnest(range(s, least(b, s + ${some}), ${every}::bigint)) as t from (
      select *, unnest(range(${bucketOf('a')}, b, ${some}::bigint)) as s from (${held}) where b > a))`;
  const rolled = `select r.device, r.metric, r.code, ${bucketOf('r.ts')} as t, r.ms from rollup_states r ${ofChosen}
    and r.ts >= ${fromMs} and r.ts < ${every < HOUR_MS ? fromMs : Math.min(prunedMs, toMs)}`;
  const all = Number.isFinite(prunedMs) ? `${split} union all ${rolled}` : split;
  return `
    with chosen as materialized (${chosen})
    select device, metric, t, (100.0 * sum(case when s.code = wanted.code then ms else 0 end) / sum(ms))::double as v
      from (${all}) s join (values ${codes}) wanted(metric, code) using (metric) group by device, metric, t`;
}

/** A statement without a row. */
export const NOTHING = 'select 0 as device, 0 as metric, 0::bigint as t, 0.0::double as v where false';

/** Adds the end of the segment before, in its `partition`. */
const withBefore = (segments: string, partition: string) =>
  `select *, lag(last) over w as before, lag(last_ts) over w as before_ts
    from (${segments}) window w as (partition by ${partition} order by first_ts)`;

/**
 * Segments of counters with what each counted since the end of the one before in its `partition`, and the time that
 * this took, ms.
 */
function countedOf(segments: string, kinds: readonly KindOfMetric[], partition: string): string {
  const limits = kinds
    .filter(({ measure }) => measure.kind === 'counter')
    .map(({ metric, measure: { max } }) => `(${metric}, ${max}::double, ${overflowStep(max)})`);
  const past = 'most + step - before + first';
  return `
    select *, last_ts - coalesce(before_ts, first_ts) as ms, increase + case
        when before is null then 0 when first >= before then first - before
        when ${past} < most * 0.25 then ${past} else first end as counted
      from (${withBefore(segments, partition)})
      join (values ${limits}) limits(metric, most, step) using (metric)`;
}

/** Segments of states with how often each changed since the end of the one before in its `partition`. */
function changedOf(segments: string, kinds: readonly KindOfMetric[], partition: string): string {
  return `
    select *, increase + case when before is null or before = first then 0 else 1 end as counted
      from (${withBefore(segments, partition)}) where metric in (${numbersOf(kinds, 'state')})`;
}

/** Joins segments of one hour, device and metric to one. */
export function joinedSegments(segments: string, kinds: readonly KindOfMetric[]): string {
  const partition = 'ts, device, metric';
  const of = (kind: MetricKind) => numbersOf(kinds, kind) !== 'null';
  const joined = [...(of('counter') ? [countedOf] : []), ...(of('state') ? [changedOf] : [])].map(
    (counted) => `
    select ts, device, metric, min(first_ts), arg_min(first, first_ts), max(last_ts), arg_max(last, last_ts),
      sum(counted) from (${counted(segments, kinds, partition)}) group by ${partition}`,
  );
  return joined.join(' union all ');
}

/** How long states had each value between segments of one hour, device and metric. */
export function heldBetween(segments: string, kinds: readonly KindOfMetric[]): string {
  return `
    select ts, device, metric, before as code, first_ts - before_ts as ms
      from (${withBefore(segments, 'ts, device, metric')})
      where metric in (${numbersOf(kinds, 'state')}) and before is not null`;
}

/**
 * Marks the hours of metrics as due whose kind is not that of their roll-ups: they are computed again as far as their
 * readings are stored.
 */
export async function noteKinds(
  connection: DuckDBConnection,
  kinds: readonly KindOfMetric[],
  { hourOf, untilMs }: { readonly hourOf: string; readonly untilMs: number },
): Promise<void> {
  const stored = (await connection.runAndReadAll('select metric, kind, most from rolled_kinds')).getRows();
  const known = new Map(stored.map(([metric, kind, most]) => [Number(metric), `${kind} ${most}`]));
  const changed = kinds.filter(({ metric, measure: { kind, max } }) => known.get(metric) !== `${kind} ${max}`);
  if (changed.length === 0 && known.size === kinds.length) return;
  await connection.run('delete from rolled_kinds');
  if (kinds.length > 0) {
    const rows = kinds.map(({ metric, measure: { kind, max } }) => `(${metric}, '${kind}', ${max}::double)`);
    await connection.run(`insert into rolled_kinds values ${rows}`);
  }
  if (changed.length === 0) return;
  await connection.run(`
    insert or ignore into rollup_due select distinct ${hourOf} from readings
    where metric in (${changed.map(({ metric }) => metric)}) and ts < ${Math.floor(untilMs / HOUR_MS) * HOUR_MS}`);
}
