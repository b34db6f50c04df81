import { type City, type Device, hardwareOf, type MetricTable, type Rejection, SUSPECT } from '../../domain/index.ts';
import {
  Checked,
  checkReading,
  compileCalibrations,
  compileChecks,
  type DeclaredFormats,
  decodePayload,
  formatOf,
  newestOf,
  type RawReading,
} from '../../ingest/index.ts';

/** A message to try. */
export interface TrialMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** Epoch ms. */
  readonly receivedAtMs: number;
}

/** A value of a metric, by its number. */
export interface TrialValue {
  readonly metric: number;
  readonly value: number;
  readonly isSuspect: boolean;
}

/** One reading of a message: its accepted values, and what was refused. */
export interface TrialReading {
  /** JSON path in the message. */
  readonly path: string;
  readonly tsMs: number;
  readonly receivedAtMs: number;
  readonly values: readonly TrialValue[];
  readonly refused: readonly Rejection[];
}

/** Returns a function that decodes, converts and validates a message of one device, as the live path does. */
export function createTrialReader(device: Device, city: City, metrics: MetricTable, formats: DeclaredFormats) {
  const checks = compileChecks(city, metrics).get(device.profile) ?? null;
  const calibrations = compileCalibrations(device.calibrations, metrics);
  const checked = new Checked();

  function refusedWhole(receivedAtMs: number, refused: readonly Rejection[]): TrialReading {
    return { path: '$', tsMs: receivedAtMs, receivedAtMs, values: [], refused };
  }

  function readingOf(raw: RawReading, receivedAtMs: number, shiftMs: number): TrialReading {
    checked.rejections = [];
    checkReading(raw, checks!, receivedAtMs, checked, { calibrations, shiftMs });
    const { length, metric, value, ts, hasQuality, quality } = checked;
    const isSuspect = (i: number) => hasQuality && quality[i] === SUSPECT;
    const values = Array.from({ length }, (_, i) => ({
      ...{ metric: metric[i]!, value: value[i]!, isSuspect: isSuspect(i) },
    }));
    const tsMs = length === 0 ? receivedAtMs : ts;
    return { path: raw.path, tsMs, receivedAtMs, values, refused: checked.rejections };
  }

  return function read({ topic, payload, receivedAtMs }: TrialMessage): TrialReading[] {
    const { format } = formatOf(device.id, topic, formats);
    if (format === null) {
      return [
        refusedWhole(receivedAtMs, [{ reason: 'unknown-topic', path: '$', detail: `no format is known for ${topic}` }]),
      ];
    }
    if (checks === null) {
      const detail = `profile "${device.profile}" of this device is not in profiles.yaml`;
      return [refusedWhole(receivedAtMs, [{ reason: 'unknown-profile', path: '$', detail }])];
    }
    const decoded = decodePayload(format, payload, receivedAtMs);
    if ('reason' in decoded) return [refusedWhole(receivedAtMs, [decoded])];
    const faulty = decoded.rejections.map((rejection) => ({
      ...refusedWhole(receivedAtMs, [rejection]),
      path: rejection.path,
    }));
    const own = decoded.readings.filter(
      (raw) => raw.device === undefined || raw.device === device.id || raw.device === device.devEui,
    );
    const newest = checks.byReceipt ? newestOf(own) : null;
    const shiftMs = newest === null ? 0 : receivedAtMs - newest;
    return [...faulty, ...own.map((raw) => readingOf(raw, receivedAtMs, shiftMs))];
  };
}

/** Returns the device that the topic or the payload of a message names, by its id; the given one where neither does. */
export function ownerOf(message: TrialMessage, device: Device, formats: DeclaredFormats): string {
  const { device: named, format } = formatOf(device.id, message.topic, formats);
  const owner = format?.deviceOf?.(message.payload, hardwareOf(device)) ?? named;
  return owner === device.devEui ? device.id : owner;
}
