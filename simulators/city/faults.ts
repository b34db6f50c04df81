import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../domain/index.ts';
import type { Metrics } from './models.ts';
import { between, normal, pick, type Random } from './random.ts';

/** The kinds of faults of a device. */
export const FAULT_KINDS = ['stuck', 'drift', 'dropout', 'spike', 'clock-skew', 'malformed', 'redelivery'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What a healthy device would send. */
export interface Sample {
  /** Epoch ms. */
  readonly tsMs: number;
  readonly metrics: Metrics;
}

/** A payload to publish; `dup` sets the DUP flag of its PUBLISH. */
interface Delivery {
  readonly payload: string;
  readonly dup: boolean;
}

/** What is published in place of a sample, and the fault that changed it. */
export interface Distortion {
  readonly fault: FaultKind | null;
  readonly deliveries: readonly Delivery[];
}

const LASTING: ReadonlySet<FaultKind> = new Set(['stuck', 'drift', 'dropout', 'clock-skew']);
/** A server accepts some of these skews and refuses others. */
const SKEWS_MS = [-9 * DAY_MS, -10 * MINUTE_MS, -20 * SECOND_MS, 30 * SECOND_MS, 15 * MINUTE_MS, 400 * DAY_MS];

interface Episode {
  readonly kind: FaultKind;
  /** Readings until it ends. */
  left: number;
  /** Readings since it began. */
  age: number;
  readonly frozen: Metrics;
  readonly skewMs: number;
  readonly slope: number;
}

/** Returns a sample in the native format: `{"ts": epoch ms, "metrics": {…}}`. */
export function encodeSample({ tsMs, metrics }: Sample): string {
  return JSON.stringify({ ts: tsMs, metrics });
}

/**
 * Makes the faults of one device. Each sample starts a fault with probability `rate` (0..1); all kinds are equally likely.
 * Stuck, drift, dropout and clock skew last several readings; spike, malformed and redelivery change one.
 */
export function createFaults(random: Random, rate: number): (sample: Sample) => Distortion {
  let episode: Episode | null = null;
  return (sample) => {
    if (!episode && random() < rate) episode = begin(random, sample);
    if (!episode) return { fault: null, deliveries: [{ payload: encodeSample(sample), dup: false }] };
    const current = episode;
    current.left -= 1;
    current.age += 1;
    if (current.left === 0) episode = null;
    return { fault: current.kind, deliveries: distort(random, current, sample) };
  };
}

function begin(random: Random, sample: Sample): Episode {
  const kind = pick(random, FAULT_KINDS);
  const left = LASTING.has(kind) ? Math.floor(between(random, 4, 15)) : 1;
  const slope = between(random, 0.01, 0.04) * (random() < 0.5 ? -1 : 1);
  return { kind, left, age: 0, frozen: sample.metrics, skewMs: pick(random, SKEWS_MS), slope };
}

function distort(random: Random, episode: Episode, sample: Sample): Delivery[] {
  const { tsMs, metrics } = sample;
  const once = (changed: Sample): Delivery[] => [{ payload: encodeSample(changed), dup: false }];
  switch (episode.kind) {
    case 'stuck':
      return once({ tsMs, metrics: episode.frozen });
    case 'drift':
      return once({ tsMs, metrics: scaled(metrics, 1 + episode.slope * episode.age) });
    case 'dropout':
      return [];
    case 'spike':
      return once({ tsMs, metrics: spiked(random, metrics) });
    case 'clock-skew':
      return once({ tsMs: tsMs + episode.skewMs, metrics });
    case 'malformed':
      return [{ payload: malformed(random, sample), dup: false }];
    case 'redelivery': {
      const payload = encodeSample(sample);
      return [
        { payload, dup: false },
        { payload, dup: true },
      ];
    }
  }
}

function scaled(metrics: Metrics, factor: number): Metrics {
  return Object.fromEntries(Object.entries(metrics).map(([id, value]) => [id, Math.round(value * factor * 100) / 100]));
}

/** One metric jumps. Outside its range the server refuses that value and keeps the others. */
function spiked(random: Random, metrics: Metrics): Metrics {
  const id = pick(random, Object.keys(metrics));
  const value = metrics[id]!;
  return { ...metrics, [id]: Math.round((value * 3 + 20 + 10 * Math.abs(normal(random))) * 100) / 100 };
}

function malformed(random: Random, { tsMs, metrics }: Sample): string {
  const text = encodeSample({ tsMs, metrics });
  const id = pick(random, Object.keys(metrics));
  return pick(random, [
    () => text.slice(0, Math.floor(text.length / 2)),
    () => JSON.stringify({ ts: tsMs, metrics: { ...metrics, radiation: 0.12 } }),
    () => JSON.stringify({ ts: tsMs, metrics: { ...metrics, [id]: `${metrics[id]}` } }),
    () => JSON.stringify({ ts: tsMs, metrics: { ...metrics, [id]: 1e9 } }),
    () => JSON.stringify({ ts: 'yesterday', metrics }),
    () => JSON.stringify({ time: tsMs, values: metrics }),
  ])();
}
