import {
  CITY_GROUP,
  type City,
  type Device,
  type HistoryStore,
  isoOf,
  LamppostError,
  type LocalText,
  type Rejection,
  type Rule,
  type Transition,
} from '../../domain/index.ts';
import { type Explained, explained, outlookOf } from '../explained.ts';
import { type Bench, createBench, createMetricNumbers } from './bench.ts';
import { contextOf } from './context.ts';
import { hasPeers, metricsOf, reachOf } from './reach.ts';
import { createTrialReader, ownerOf, type TrialMessage, type TrialReading } from './read.ts';

export type { TrialMessage } from './read.ts';

/** What is tried: a rule, and messages of one device, each at its own time of receipt. */
export interface TrialRequest {
  readonly rule: Rule;
  readonly device: Device;
  readonly messages: readonly TrialMessage[];
  /** Whether the device's stored readings come before them. */
  readonly context: boolean;
}

/** What a tried reading does. */
export interface TrialStep {
  /** Time of receipt, ISO 8601 UTC. */
  readonly at: string;
  readonly reading: { readonly path: string; readonly ts: string; readonly metrics: Readonly<Record<string, number>> };
  readonly refused: readonly Rejection[];
  /** One sentence: `fires`, `would fire at … if it stays so`, `does not match` … */
  readonly would: string;
  readonly wouldZh: string;
  readonly ladder: Explained;
  readonly transitions: readonly (Omit<Transition, 'id' | 'atMs' | 'sinceMs'> & {
    readonly at: string;
    readonly since: string;
  })[];
}

/** What came of a trial. Nothing of it was stored or told to anybody. */
export interface TrialReport {
  readonly rule: Pick<Rule, 'id' | 'version' | 'origin'>;
  readonly device: string;
  readonly group: string;
  /** The stored readings that the rule saw first; null where none were asked for. */
  readonly context: {
    readonly from: string;
    readonly to: string;
    readonly devices: number;
    readonly readings: number;
    readonly cut: boolean;
  } | null;
  /** How the alert stood before the first reading. */
  readonly before: Explained;
  readonly steps: readonly TrialStep[];
}

interface Deps {
  readonly city: () => City;
  readonly history: Pick<HistoryStore, 'query'>;
  /** Registered devices of a district, or of the city where it is null; as many as a trial looks at. */
  readonly devicesIn: (district: string | null) => readonly Device[];
}

/**
 * Tries a rule on messages: a fresh engine, first over the stored readings of the device (of its whole group, where the
 * rule is about one), as far back as the rule looks; then over the messages, decoded and validated as the live way does.
 * Time runs on between them, however far they lie apart. No side effects. Throws `invalid` where a message is not the device's.
 */
export function createTrial({ city, history, devicesIn }: Deps) {
  function neighboursOf(rule: Rule, device: Device): Device[] {
    if (rule.forEach === 'device' && !hasPeers(rule)) return [device];
    const others = devicesIn(rule.forEach === 'city' ? null : device.district);
    return [device, ...others.filter(({ id, profile }) => id !== device.id && rule.profiles.includes(profile))];
  }

  return async function run({ rule, device, messages, context }: TrialRequest): Promise<TrialReport> {
    const now = city();
    const metrics = createMetricNumbers();
    const read = createTrialReader(device, now, metrics);
    for (const message of messages) checkOwner(message, device);
    const readings = messages.toSorted((a, b) => a.receivedAtMs - b.receivedAtMs).flatMap(read);
    const devices = neighboursOf(rule, device);
    const toMs = Math.min(...readings.map(({ receivedAtMs }) => receivedAtMs));
    const wanted = { devices, metrics: metricsOf(rule), fromMs: toMs - reachOf(rule), toMs };
    const found = context ? await contextOf(history, wanted) : null;
    const bench = createBench({ rule, city: now, devices, metrics }, found?.fromMs ?? toMs);
    const remembered = found === null ? 0 : await bench.remember(found.series);
    bench.feed(device.id, toMs, [], toMs);
    const group = groupOf(rule, device);
    const ladder = () => bench.explain(device.id);
    const { id, version, origin } = rule;
    return {
      rule: { id, version, origin },
      device: device.id,
      group,
      context: found && {
        from: isoOf(found.fromMs),
        to: isoOf(toMs),
        devices: devices.length,
        readings: remembered,
        cut: found.cut,
      },
      before: explained(ladder()),
      steps: readings.map((reading) => stepOf(reading, device, bench, ladder, metrics.idOf)),
    };
  };
}

function stepOf(
  { path, tsMs, receivedAtMs, values, refused }: TrialReading,
  device: Device,
  bench: Bench,
  ladder: () => ReturnType<Bench['explain']>,
  nameOf: (metric: number) => string,
): TrialStep {
  const transitions = bench.feed(device.id, tsMs, values, receivedAtMs);
  const explanation = ladder();
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
    ladder: explained(explanation),
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

function checkOwner(message: TrialMessage, device: Device): void {
  const owner = ownerOf(message, device);
  if (owner === device.id) return;
  throw new LamppostError('invalid', `the message on ${message.topic} is of device "${owner}", not of "${device.id}"`);
}
