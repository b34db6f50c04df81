import { DAY_MS, formatDuration, MINUTE_MS } from '../../domain/index.ts';

/** The readings of one device, in order of time. */
export interface DeviceSeries {
  readonly device: string;
  readonly ts: readonly number[];
  readonly value: readonly number[];
}

export const KINDS = ['threshold', 'jump', 'anomaly'] as const;
export type Kind = (typeof KINDS)[number];

/** A setting to try. */
export interface Candidate {
  readonly kind: Kind;
  /** How it follows from the readings, the same for every metric: `jump by the 99.9 % quantile`. */
  readonly recipe: string;
  /** The condition in YAML. */
  readonly when: string;
}

/** What candidates follow from. */
interface Basis {
  readonly metric: string;
  readonly intervalMs: number;
  readonly series: readonly DeviceSeries[];
}

const SHARES = [0.99, 0.999, 0.9999] as const;
const DEVIATIONS = [4, 6, 8, 12] as const;
const WEEKS_FOR_A_WEEK = 3;
/** Readings that a jump looks back at, at most: more are closer together than jumps are. */
const MOST_BACK = 60;

/**
 * Returns the settings to try for a metric: limits that few values are beyond, jumps larger than most, and anomalies
 * from narrow to wide. They know nothing of what was marked, or what is held out would not be.
 */
export function candidatesOf({ metric, intervalMs, series }: Basis): Candidate[] {
  const windowMs = Math.max(4 * intervalMs, 30 * MINUTE_MS);
  const window = formatDuration(windowMs);
  const of = (condition: string) => `{ metric: ${metric}, ${condition} }`;
  const values = sortedOf(series.map(({ value }) => value));
  const jumps = sortedOf(series.map((one) => jumpsOf(one, windowMs)));
  const aggregates = ['last: true', `mean: ${window}`];
  const thresholds = aggregates.flatMap((aggregate) =>
    SHARES.flatMap((share) => [
      limit(aggregate, 'above', share, quantile(values, share)),
      limit(aggregate, 'below', share, quantile(values, 1 - share)),
    ]),
  );
  const spans = series.map(({ ts }) => (ts.length === 0 ? 0 : ts.at(-1)! - ts[0]!));
  const seasons = Math.max(0, ...spans) >= WEEKS_FOR_A_WEEK * 7 * DAY_MS ? ['1d', '1w'] : ['1d'];
  return [
    ...thresholds.map(({ condition, recipe }): Candidate => ({ kind: 'threshold', recipe, when: of(condition) })),
    ...SHARES.flatMap((share): Candidate[] => {
      const by = rounded(quantile(jumps, share));
      if (by <= 0) return [];
      const condition = `jump: { by: ${by}, within: ${window} }`;
      return [{ kind: 'jump', recipe: `more than ${percent(share)} of all jumps`, when: of(condition) }];
    }),
    ...seasons.flatMap((season) =>
      aggregates.flatMap((aggregate) =>
        DEVIATIONS.map((deviations): Candidate => {
          const recipe = `${nameOf(aggregate)}, ${deviations} deviations, ${season}`;
          const condition = `${aggregate}, anomaly: { season: ${season}, deviations: ${deviations} }`;
          return { kind: 'anomaly', recipe, when: of(condition) };
        }),
      ),
    ),
  ];
}

function limit(aggregate: string, op: 'above' | 'below', share: number, value: number) {
  const recipe = `${nameOf(aggregate)} ${op} ${percent(share)} of all values`;
  return { recipe, condition: `${aggregate}, ${op}: ${rounded(value)}` };
}

const nameOf = (aggregate: string) => (aggregate.startsWith('mean') ? 'mean' : 'last');
const percent = (share: number) => `${Number((100 * share).toPrecision(4))} %`;

/** Three digits: more would be read as knowledge. */
const rounded = (value: number) => Number(value.toPrecision(3));

function sortedOf(values: readonly (readonly number[])[]): Float64Array {
  return Float64Array.from(values.flat()).sort();
}

/** The nearest rank; 0 where there are no values. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? 0;
}

/** Returns for each reading by how much it differs from the farthest of the readings within a time before it. */
function jumpsOf({ ts, value }: DeviceSeries, withinMs: number): number[] {
  return value.map((now, at) => {
    let most = 0;
    for (let i = at - 1; i >= Math.max(0, at - MOST_BACK) && ts[i]! > ts[at]! - withinMs; i--)
      most = Math.max(most, Math.abs(now - value[i]!));
    return most;
  });
}
