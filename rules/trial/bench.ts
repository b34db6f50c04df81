import type { City, Device, KnownDevice, MetricTable, Rule, Series, Transition } from '../../domain/index.ts';
import { createRuleEngine } from '../engine/index.ts';
import type { Explanation } from '../engine/types.ts';

/** The thread has other work, too. */
const ROWS_AT_ONCE = 2_000;

/** An engine of its own for one rule, whose time is moved by what it is fed. */
export interface Bench {
  /** Stored readings, in order of their time, each at its own time. */
  remember(series: readonly Series[]): Promise<number>;
  /** Values of one reading of a device, at an engine time; what came due until then comes first. */
  feed(device: string, tsMs: number, values: readonly { metric: number; value: number }[], atMs: number): Transition[];
  /** How the rule's alert about a device stands, also where the rule leaves it out. */
  explain(device: string): Explanation;
}

/** Metric names as numbers, for one trial. */
export function createMetricNumbers(): MetricTable {
  const ids: string[] = [];
  return {
    indexOf(id) {
      const at = ids.indexOf(id);
      return at >= 0 ? at : ids.push(id) - 1;
    },
    idOf: (index) => ids[index]!,
  };
}

/** Makes a bench whose time begins at `fromMs`, with the devices that belong to the trial. */
export function createBench(
  { rule, city, devices, metrics }: { rule: Rule; city: City; devices: readonly Device[]; metrics: MetricTable },
  fromMs: number,
): Bench {
  const engine = createRuleEngine({ metrics, gaps: false });
  const known = new Map<string, KnownDevice>(devices.map((device, index) => [device.id, { ...device, index }]));
  let atMs = fromMs;
  let seq = 1;
  engine.configure({ rules: [rule], calendars: city.calendars, zone: city.timezone }, { seq, atMs });
  for (const device of known.values()) engine.deviceChanged(device, { seq, atMs });

  const feed: Bench['feed'] = (device, tsMs, values, toMs) => {
    // What came due until then comes first.
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
    async remember(series) {
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
