import {
  type City,
  type Device,
  type HistoryStore,
  type KnownDevice,
  LamppostError,
  type MetricTable,
  type Rule,
  type Series,
  type Transition,
} from '../../domain/index.ts';
import { createRuleEngine, type Explanation } from '../engine/index.ts';

/** Readings between two turns of the event loop, since the thread has other work, too. */
const ROWS_AT_ONCE = 2_000;
const MOST_POINTS = 200_000;
const MOST_HALVINGS = 12;

/** An engine for one rule. Its time is moved by what it reads. */
export interface TrialEngine {
  /** Reads stored readings in order of time, each at its own time. Returns how many there were. */
  warmUp(series: readonly Series[]): Promise<number>;
  /** Reads the values of one reading of a device at an engine time. What came due before then comes first. */
  feed(device: string, tsMs: number, values: readonly { metric: number; value: number }[], atMs: number): Transition[];
  /** Explains the rule's alert for a device, also where the rule does not apply to it. */
  explain(device: string): Explanation;
}

/** Makes an engine whose time starts at `fromMs`, with the given devices. */
export function createTrialEngine(
  { rule, city, devices, metrics }: { rule: Rule; city: City; devices: readonly Device[]; metrics: MetricTable },
  fromMs: number,
): TrialEngine {
  const engine = createRuleEngine({ metrics, gaps: false });
  const known = new Map<string, KnownDevice>(devices.map((device, index) => [device.id, { ...device, index }]));
  let atMs = fromMs;
  let seq = 1;
  engine.configure({ rules: [rule], calendars: city.calendars, zone: city.timezone }, { seq, atMs });
  for (const device of known.values()) engine.deviceChanged(device, { seq, atMs });

  const feed: TrialEngine['feed'] = (device, tsMs, values, toMs) => {
    atMs = Math.max(atMs, toMs);
    const one = known.get(device);
    const moment = { seq: ++seq, atMs };
    if (one === undefined || values.length === 0) return engine.tick(moment);
    const columns = {
      length: values.length,
      device: values.map(() => one),
      metric: values.map(({ metric }) => metric),
      ts: values.map(() => tsMs),
      value: values.map(({ value }) => value),
    };
    return engine.step(columns, moment);
  };

  return {
    async warmUp(series) {
      const rows = rowsOf(series, metrics);
      for (const [i, { device, ts, metric, value }] of rows.entries()) {
        feed(device, ts, [{ metric, value }], ts);
        if (i % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
      }
      return rows.length;
    },
    feed,
    explain: (device) => engine.explainDevice(device)[0]!,
  };
}

function rowsOf(series: readonly Series[], metrics: MetricTable) {
  const rows = series.flatMap(({ device, metric, points }) => {
    const number = metrics.indexOf(metric);
    return points.flatMap(([ts, value]) => (value === null ? [] : [{ device, metric: number, ts, value }]));
  });
  return rows.sort((a, b) => a.ts - b.ts);
}

/** Stored readings before a trial. */
interface StoredReadings {
  readonly fromMs: number;
  readonly series: readonly Series[];
  /** Whether the history holds more readings than a trial reads, so that `fromMs` is later than requested. */
  readonly cut: boolean;
}

/**
 * Reads the raw readings of `[fromMs, toMs)`; of all metrics where `metrics` is null. Where there are more than
 * 200,000, it reads the second half of the time, and so on.
 */
export async function readStored(
  history: Pick<HistoryStore, 'query'>,
  wanted: { devices: readonly Device[]; metrics: readonly string[] | null; fromMs: number; toMs: number },
): Promise<StoredReadings> {
  const { devices, metrics, toMs } = wanted;
  let { fromMs } = wanted;
  for (let halvings = 0; ; halvings++) {
    try {
      const filter = { devices: devices.map(({ id }) => id), ...(metrics === null ? {} : { metrics }) };
      const series = await history.query({ ...filter, fromMs, toMs, fn: 'last', maxPoints: MOST_POINTS });
      return { fromMs, series, cut: halvings > 0 };
    } catch (error) {
      if (!(error instanceof LamppostError) || error.code !== 'invalid' || halvings === MOST_HALVINGS) throw error;
      fromMs = Math.ceil((fromMs + toMs) / 2);
    }
  }
}
