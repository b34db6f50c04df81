import { fileURLToPath } from 'node:url';
import { loadCity } from '../../../app/city-in-force.ts';
import type { HistoryStore, Rule, ScannedReadings } from '../../../domain/index.ts';
import {
  type BacktestDevice,
  type BacktestInput,
  backtestInput,
  parseRule,
  runBacktest,
} from '../../../rules/index.ts';
import { wouldBeTickets } from '../../../tickets/index.ts';

/** The sample city. */
export const { city: CITY } = await loadCity(fileURLToPath(new URL('../../../city', import.meta.url)));
export { DAY_MS as DAY, HOUR_MS as HOUR, MINUTE_MS as MINUTE } from '../../../domain/index.ts';
/** Monday, 2026-03-02 00:00 UTC. */
export const START = Date.UTC(2026, 2, 2);

/** Parses a rule of the sample city; throws its mistakes. */
export function ruleOf(text: string): Rule {
  const { rule, problems } = parseRule(text, CITY, { path: 'rule', origin: 'api:test' });
  if (rule === null) throw new Error(JSON.stringify(problems));
  return rule;
}

/** A reading in the notation of these tests. */
export interface Reading {
  readonly device: string;
  readonly metric: string;
  readonly ts: number;
  readonly value: number;
}

/** Makes a history in memory that scans in batches of `size`. */
export function historyOf(readings: readonly Reading[], size = 1_000): Pick<HistoryStore, 'scan'> {
  return {
    async *scan({ devices, metrics, fromMs, toMs }) {
      const rows = readings
        .filter(({ ts, device, metric }) => {
          return ts >= fromMs && ts < toMs && devices.includes(device) && metrics.includes(metric);
        })
        .map(({ device, metric, ts, value }) => [ts, devices.indexOf(device), metrics.indexOf(metric), value] as const)
        .sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
      for (let from = 0; from < rows.length; from += size) yield columnsOf(rows.slice(from, from + size));
    },
  };
}

function columnsOf(rows: readonly (readonly [number, number, number, number])[]): ScannedReadings {
  return {
    ts: Float64Array.from(rows, ([ts]) => ts),
    device: Int32Array.from(rows, ([, device]) => device),
    metric: Int32Array.from(rows, ([, , metric]) => metric),
    value: Float64Array.from(rows, ([, , , value]) => value),
  };
}

export interface Case {
  readonly rule: Rule;
  readonly inForce?: Rule;
  readonly devices: readonly BacktestDevice[];
  readonly readings: readonly Reading[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly size?: number;
  readonly most?: number;
  /** Replaces the readings. */
  readonly scan?: HistoryStore['scan'];
}

/** Runs a backtest over readings in memory. */
export function backtest(
  { rule, inForce, devices, readings, fromMs, toMs, size, most, scan }: Case,
  options: Parameters<typeof runBacktest>[2] = {},
) {
  const input: BacktestInput = { ...backtestInput(CITY, rule, inForce ?? null), devices, fromMs, toMs };
  const deps = {
    scan: scan ?? historyOf(readings, size).scan,
    ticketOf: wouldBeTickets(CITY, devices),
    elapsed: () => performance.now(),
    ...(most === undefined ? {} : { most }),
  };
  return runBacktest(input, deps, options);
}

/** Makes readings of a metric, one every `everyMs`, with a value that is a function of time. */
export function series(
  device: string,
  metric: string,
  [fromMs, toMs, everyMs]: readonly [number, number, number],
  valueAt: (ts: number) => number,
): Reading[] {
  const count = Math.ceil((toMs - fromMs) / everyMs);
  return Array.from({ length: count }, (_, n) => {
    const ts = fromMs + n * everyMs;
    return { device, metric, ts, value: valueAt(ts) };
  });
}
