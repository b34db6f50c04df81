import { z } from 'zod';
import {
  CITY_GROUP,
  type City,
  type Device,
  EvidenceSchema,
  type HistoryStore,
  isoOf,
  LamppostError,
  type LocalText,
  type ReadOptions,
  RejectionSchema,
  type Rule,
  SEVERITIES,
  type ShapeOf,
} from '../../domain/index.ts';
import { compileFormats, type DeclaredFormats } from '../../ingest/index.ts';
import { ExplainedSchema, explained, outlookOf } from '../explained.ts';
import { createMetricTable, hasPeers, metricsOf, reachOf, withQualities } from '../reach.ts';
import { createTrialEngine, readStored, type TrialEngine } from './engine.ts';
import { createTrialReader, ownerOf, type TrialMessage, type TrialReading } from './read.ts';

export type { TrialMessage } from './read.ts';

/** A rule to try, and messages of one device, each at its own time of receipt. */
export interface TrialRequest {
  readonly rule: Rule;
  readonly device: Device;
  readonly messages: readonly TrialMessage[];
  /** Whether the rule reads the device's stored readings first. */
  readonly context: boolean;
}

const TransitionSchema = z.object({
  rule: z.string(),
  group: z.string(),
  from: z.enum(['inactive', 'pending', 'firing', 'resolved']),
  to: z.enum(['pending', 'firing', 'resolved', 'cancelled']),
  at: z.iso.datetime(),
  since: z.iso.datetime(),
  value: z.number().nullable(),
  severity: z.enum(SEVERITIES),
  evidence: EvidenceSchema,
});

/** What one reading does. */
const StepSchema = z.object({
  at: z.iso.datetime().describe('Time of receipt'),
  reading: z.object({ path: z.string(), ts: z.string(), metrics: z.record(z.string(), z.number()) }),
  refused: z.array(RejectionSchema).readonly(),
  would: z.string().describe('What would happen to the alert, in one sentence'),
  wouldZh: z.string(),
  explanation: ExplainedSchema,
  transitions: z.array(TransitionSchema).readonly(),
});
type TrialStep = ShapeOf<typeof StepSchema>;

const ContextSchema = z.object({
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  devices: z.int(),
  readings: z.int(),
  cut: z.boolean().describe('Whether there were more readings than a trial reads'),
});

/** The result of a trial. Nothing of it was stored or sent. */
export const TrialReportSchema = z
  .object({
    rule: z.object({ id: z.string(), version: z.string(), origin: z.string() }),
    device: z.string(),
    group: z.string(),
    context: ContextSchema.nullable().describe(
      'The stored readings that the rule read first; null: none were requested',
    ),
    before: ExplainedSchema.describe('The state of the alert before the first reading'),
    steps: z.array(StepSchema).readonly(),
  })
  .meta({ id: 'Trial', description: 'The result of trying a rule; nothing of it was stored' });
export type TrialReport = ShapeOf<typeof TrialReportSchema>;

interface Deps {
  readonly city: () => City;
  readonly history: Pick<HistoryStore, 'read'>;
  /**
   * Returns the registered devices of a district, or of the city where it is null; at most as many as a trial reads.
   */
  readonly devicesIn: (district: string | null) => readonly Device[];
}

/**
 * Returns a function that tries a rule on messages. A fresh engine first reads the stored readings of the device (of
 * its whole group, where the rule needs them) as far back as the rule reaches, then the messages, decoded and validated
 * as the live path does. Between two messages its time runs on. No side effects. Throws `invalid` where a message
 * belongs to another device, or there are more than 1,000 readings. Other work of the thread runs in between.
 */
export function createTrial({ city, history, devicesIn }: Deps) {
  function devicesOf(rule: Rule, device: Device): Device[] {
    if (rule.forEach === 'device' && !hasPeers(rule)) return [device];
    const others = devicesIn(rule.forEach === 'city' ? null : device.district);
    return [device, ...others.filter(({ id, profile }) => id !== device.id && rule.profiles.includes(profile))];
  }

  return async function run(
    { rule, device, messages, context }: TrialRequest,
    options: ReadOptions = {},
  ): Promise<TrialReport> {
    const now = city();
    const metrics = createMetricTable();
    const formats = compileFormats(now);
    const read = createTrialReader(device, now, metrics, formats);
    for (const message of messages) checkOwner(message, device, formats);
    const readings = messages.toSorted((a, b) => a.receivedAtMs - b.receivedAtMs).flatMap(read);
    checkCount(readings.length);
    const devices = devicesOf(rule, device);
    const toMs = Math.min(...readings.map(({ receivedAtMs }) => receivedAtMs));
    const named = metricsOf(rule);
    const asked = named === null ? null : withQualities([rule], named);
    const wanted = { devices, metrics: asked, fromMs: toMs - reachOf(rule), toMs };
    const stored = context ? await readStored(history, wanted, options) : null;
    const engine = createTrialEngine({ rule, city: now, devices, metrics }, stored?.fromMs ?? toMs);
    const count = stored === null ? 0 : await engine.warmUp(stored.series, options.signal);
    engine.feed(device.id, toMs, [], toMs);
    const before = explained(engine.explain(device.id));
    const steps: TrialStep[] = [];
    for (const reading of readings) {
      steps.push(stepOf(reading, device, engine, metrics.idOf));
      await new Promise((resolve) => setImmediate(resolve));
      options.signal?.throwIfAborted();
    }
    const { id, version, origin } = rule;
    return {
      rule: { id, version, origin },
      device: device.id,
      group: groupOf(rule, device),
      context: stored && {
        from: isoOf(stored.fromMs),
        to: isoOf(toMs),
        devices: devices.length,
        readings: count,
        cut: stored.cut,
      },
      before,
      steps,
    };
  };
}

function stepOf(
  { path, tsMs, receivedAtMs, values, refused }: TrialReading,
  device: Device,
  engine: TrialEngine,
  nameOf: (metric: number) => string,
): TrialStep {
  const transitions = engine.feed(device.id, tsMs, values, receivedAtMs);
  const explanation = engine.explain(device.id);
  const { en, zh }: LocalText =
    values.length === 0
      ? { en: 'is refused: it changes nothing', zh: '读数被拒绝，不产生影响' }
      : outlookOf(explanation);
  return {
    at: isoOf(receivedAtMs),
    reading: {
      path,
      ts: isoOf(tsMs),
      metrics: Object.fromEntries(values.map(({ metric, value }) => [nameOf(metric), value])),
    },
    refused,
    would: en,
    wouldZh: zh,
    explanation: explained(explanation),
    transitions: transitions.map(({ id: _, atMs, sinceMs, ...rest }) => ({
      ...rest,
      at: isoOf(atMs),
      since: isoOf(sinceMs),
    })),
  };
}

function groupOf({ forEach }: Rule, { id, district }: Device): string {
  if (forEach === 'city') return CITY_GROUP;
  return forEach === 'district' ? district : id;
}

/** Most readings of a trial: each has an explanation in the report. */
const MOST_READINGS = 1_000;

function checkCount(readings: number): void {
  if (readings <= MOST_READINGS) return;
  throw new LamppostError('invalid', `a trial takes at most ${MOST_READINGS} readings; the message has ${readings}`);
}

function checkOwner(message: TrialMessage, device: Device, formats: DeclaredFormats): void {
  const owner = ownerOf(message, device, formats);
  if (owner === device.id) return;
  throw new LamppostError('invalid', `the message on ${message.topic} is of device "${owner}", not of "${device.id}"`);
}
