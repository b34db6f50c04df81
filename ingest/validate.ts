import type { City, MetricTable, Reason, Rejection } from '../domain/index.ts';
import type { RawReading } from './decode/index.ts';
import { parseTimestamp } from './timestamp.ts';

/** What must be true of one metric's values. */
interface MetricCheck {
  /** Number in the metric table. */
  readonly metric: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
}

/** The checks of one profile, compiled from the city: a look-up and two comparisons a value. */
export interface ProfileChecks {
  readonly profile: string;
  readonly byName: Readonly<Record<string, MetricCheck>>;
  readonly pastMs: number;
  readonly aheadMs: number;
}

/** Compiles the checks of every profile; metrics get their numbers here. */
export function compileChecks(city: City, metrics: MetricTable): ReadonlyMap<string, ProfileChecks> {
  const compiled = new Map<string, ProfileChecks>();
  for (const profile of city.profiles.values()) {
    const byName: Record<string, MetricCheck> = Object.create(null);
    for (const id of profile.metrics) {
      const { min, max, unit } = city.metrics.get(id)!;
      byName[id] = { metric: metrics.indexOf(id), min, max, unit };
    }
    compiled.set(profile.id, { profile: profile.id, byName, ...city.accepts });
  }
  return compiled;
}

/** The good values of one raw reading, reused from reading to reading, and the rejections of all since the last reset. */
export class Checked {
  ts = 0;
  length = 0;
  readonly metric: number[] = [];
  readonly value: number[] = [];
  rejections: Rejection[] = [];
}

/** Checks one raw reading: good values into `out` (overwriting the last reading's), faults added to `out.rejections`. Pure but for `out`. */
export function checkReading(raw: RawReading, checks: ProfileChecks, receivedAt: number, out: Checked): void {
  out.length = 0;
  const ts = raw.ts === undefined ? receivedAt : parseTimestamp(raw.ts);
  // Written so that NaN fails it.
  if (!(ts >= receivedAt - checks.pastMs && ts <= receivedAt + checks.aheadMs)) {
    refuseTime(raw, ts, checks, receivedAt, out);
    return;
  }
  out.ts = ts;
  const { byName } = checks;
  const { metrics } = raw;
  for (const name in metrics) {
    const value = metrics[name];
    const check = byName[name];
    if (check !== undefined && typeof value === 'number' && value >= check.min && value <= check.max) {
      out.metric[out.length] = check.metric;
      out.value[out.length++] = value;
    } else {
      out.rejections.push(refuseValue(raw, name, value, checks));
    }
  }
}

function refuseTime(raw: RawReading, ts: number, checks: ProfileChecks, receivedAt: number, out: Checked): void {
  const [reason, detail] = timeFault(raw.ts, ts, checks, receivedAt);
  // Each value of it is a reading that was received and is refused.
  for (const name in raw.metrics) {
    out.rejections.push({ reason, path: `${raw.path}.ts`, detail: `${name}: ${detail}` });
  }
}

function timeFault(given: unknown, ts: number, checks: ProfileChecks, receivedAt: number): [Reason, string] {
  const found = JSON.stringify(given);
  if (Number.isNaN(ts)) {
    return ['bad-timestamp', `${found} is neither ISO 8601 with a zone (2026-01-31T12:00:00Z) nor epoch milliseconds`];
  }
  const seconds = typeof given === 'number' && Math.abs(given * 1000 - receivedAt) <= checks.pastMs;
  const hint = seconds ? '; these look like seconds, milliseconds are expected' : '';
  if (ts < receivedAt) {
    return ['too-old', `${found} is more than ${checks.pastMs} ms before the time of receipt${hint}`];
  }
  return ['in-the-future', `${found} is more than ${checks.aheadMs} ms after the time of receipt${hint}`];
}

function refuseValue(raw: RawReading, name: string, value: unknown, checks: ProfileChecks): Rejection {
  const path = `${raw.path}.metrics.${name}`;
  const check = checks.byName[name];
  if (check === undefined) {
    const known = Object.keys(checks.byName).join(', ');
    return { reason: 'unknown-metric', path, detail: `profile ${checks.profile} measures ${known}; not "${name}"` };
  }
  if (typeof value !== 'number') {
    return {
      reason: 'not-a-number',
      path,
      detail: `${JSON.stringify(value)} found; a number in ${check.unit} is expected`,
    };
  }
  const range = `${check.min} to ${check.max} ${check.unit}`;
  return { reason: 'out-of-range', path, detail: `${value} found; ${name} lies within ${range}` };
}
