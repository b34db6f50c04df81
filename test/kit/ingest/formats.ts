import { parseCity } from '../../../city-model/index.ts';
import type { CityControl, MetricTable, Rejection } from '../../../domain/index.ts';
import { Checked, checkReading, compileChecks, type Decoded, type Format } from '../../../ingest/index.ts';
import { sample } from '../city-model/kit.ts';

/** The "now" of these tests. */
export const NOW = Date.parse('2026-03-01T12:00:00Z');

/** A metric table in memory. */
export function metricTable(): MetricTable & { readonly ids: string[] } {
  const ids: string[] = [];
  return {
    ids,
    indexOf: (id) => (ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1),
    idOf: (index) => ids[index]!,
  };
}

/** The result of a message: valid values as `[metric, value, ts]`, and rejections. */
export interface Verdict {
  readonly values: readonly (readonly [metric: string, value: number, ts: number])[];
  readonly rejections: readonly Rejection[];
}

interface Receiving {
  readonly control?: CityControl;
  /** The time of receipt. */
  readonly now?: number;
}

/** Decodes and validates messages of one profile, as intake does. */
export function receiver(profile: string, { control = sample, now = NOW }: Receiving = {}) {
  const { city, problems } = parseCity(control);
  if (city === null) throw new Error(JSON.stringify(problems));
  const metrics = metricTable();
  const checks = compileChecks(city, metrics).get(profile)!;
  return (format: Format, payload: Buffer): Verdict => {
    const decoded = format.decode(payload, now);
    if ('reason' in decoded) return { values: [], rejections: [decoded] };
    const out = new Checked();
    out.rejections.push(...decoded.rejections);
    const values: (readonly [string, number, number])[] = [];
    for (const raw of decoded.readings) {
      checkReading(raw, checks, now, out);
      for (let i = 0; i < out.length; i++) values.push([metrics.idOf(out.metric[i]!), out.value[i]!, out.ts]);
    }
    return { values, rejections: out.rejections.map(({ reason, path, detail }) => ({ reason, path, detail })) };
  };
}

/** Returns the payload of a JSON value. */
export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** Returns the fields that a decoder read as `[field, value, unit, ts, path]`. */
export function fieldsOf(decoded: Decoded): unknown[][] {
  return decoded.readings.flatMap(({ metrics, units, ts, paths }) =>
    Object.keys(metrics).map((name) => [name, metrics[name], units?.[name] ?? null, ts, paths?.[name]]),
  );
}
