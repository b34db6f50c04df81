import { z } from 'zod';
import { type City, isoOf, type MetricTable, RejectionSchema, type ShapeOf } from '../domain/index.ts';
import { compileChecks } from './checks.ts';
import { codecsOfProfile } from './codecs/index.ts';
import { compileFormats } from './declared/index.ts';
import { shown } from './decode/format.ts';
import { type Decoded, decodePayload, formatOf, type RawReading } from './decode/index.ts';
import { parseTimestamp } from './times.ts';
import { Checked, checkReading } from './validate.ts';

/** A message to try. */
export interface FormatTrial {
  readonly topic: string;
  readonly payload: Buffer;
  /** Who would send it. */
  readonly sender: string;
  /** The profile whose metrics the fields are compared with; null: fields are shown as they were decoded. */
  readonly profile: string | null;
  readonly receivedAtMs: number;
}

const ValueSchema = z.object({
  field: z.string(),
  path: z.string().describe('Where the value is in the message'),
  found: z.string().describe('What was found there'),
  unit: z.string().nullable().describe('The unit that the message gives'),
  metric: z.string().nullable().describe('The metric that it is stored as; null: it is not'),
  value: z.number().nullable().describe('The value that is stored'),
});

/** What a message becomes, path by path. Nothing of it was stored. */
export const FormatTrialSchema = z
  .object({
    format: z.string().nullable(),
    device: z.string().describe('The device that the topic, the payload or the sender names'),
    id: z.string().nullable().describe('What identifies the message: the same again is a duplicate'),
    readings: z.array(
      z.object({
        path: z.string(),
        device: z.string(),
        ts: z.iso.datetime().nullable().describe('null: its time cannot be read'),
        values: z.array(ValueSchema),
      }),
    ),
    refused: z.array(RejectionSchema.omit({ reading: true })),
    more: z.boolean().describe('Whether there are more readings or refusals than are shown'),
  })
  .meta({ id: 'FormatTrial', description: 'What a message becomes, path by path; nothing of it was stored' });
export type FormatTrialReport = ShapeOf<typeof FormatTrialSchema>;

const MOST_SHOWN = 200;

/** Decodes a message as intake does, and returns what becomes of each value. Pure. */
export function tryFormat(city: City, trial: FormatTrial): FormatTrialReport {
  const { topic, payload, sender, receivedAtMs } = trial;
  const { device: named, format } = formatOf(sender, topic, compileFormats(city));
  const report = { format: format?.name ?? null, device: named, id: null, readings: [], refused: [], more: false };
  if (format === null) {
    const detail = `no format is known for ${topic}`;
    return { ...report, refused: [{ reason: 'unknown-topic', path: '$', detail }] };
  }
  const device = format.deviceOf?.(payload) ?? named;
  const codecs = trial.profile === null ? null : codecsOfProfile(city.profiles.get(trial.profile)!, city.codecs);
  const decoded = decodePayload(format, payload, receivedAtMs, codecs?.(device, performance.now()) ?? null);
  if ('reason' in decoded) return { ...report, device, refused: [decoded] };
  return { ...report, device, ...partsOf(city, trial, device, decoded) };
}

function partsOf(city: City, { profile, receivedAtMs }: FormatTrial, device: string, decoded: Decoded) {
  const names: string[] = [];
  const checks = profile === null ? null : (compileChecks(city, tableOf(names)).get(profile) ?? null);
  const checked = new Checked();
  checked.rejections.push(...decoded.rejections);
  const readings = decoded.readings.slice(0, MOST_SHOWN).map((raw) => {
    if (checks !== null) checkReading(raw, checks, receivedAtMs, checked);
    const ts = raw.ts === undefined ? receivedAtMs : parseTimestamp(raw.ts);
    return {
      path: raw.path,
      device: raw.device ?? device,
      ts: Number.isNaN(ts) ? null : isoOf(ts),
      values: Object.keys(raw.metrics)
        .slice(0, MOST_SHOWN)
        .map((field) => shownValue(raw, field, checks === null ? null : { checked, names })),
    };
  });
  const refused = checked.rejections.map(({ reason, path, detail }) => ({ reason, path, detail }));
  const more = decoded.readings.length > MOST_SHOWN || refused.length > MOST_SHOWN;
  return { id: decoded.uplink ?? null, readings, refused: refused.slice(0, MOST_SHOWN), more };
}

function shownValue(raw: RawReading, field: string, by: { checked: Checked; names: readonly string[] } | null) {
  const { paths, path, metrics, units } = raw;
  const at = by === null ? -1 : by.checked.field.slice(0, by.checked.length).indexOf(field);
  return {
    field,
    path: paths?.[field] ?? `${path}.metrics.${field}`,
    found: shown(metrics[field]),
    unit: units?.[field] ?? null,
    metric: at === -1 ? null : by!.names[by!.checked.metric[at]!]!,
    value: at === -1 ? null : by!.checked.value[at]!,
  };
}

function tableOf(names: string[]): MetricTable {
  return {
    indexOf: (id) => (names.includes(id) ? names.indexOf(id) : names.push(id) - 1),
    idOf: (index) => names[index]!,
  };
}
