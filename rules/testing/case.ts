import { CITY_GROUP, type City, createZone, type KnownDevice, type Rule, suggest } from '../../domain/index.ts';
import { takes } from '../engine/compiled.ts';
import {
  READING_WORDS,
  type TimedCase,
  type Which,
  type WrittenCase,
  type WrittenDevice,
  type WrittenReadings,
} from './schema.ts';

/** A mistake at a path of the case. */
export type Fault = readonly [path: readonly PropertyKey[], message: string];

/** A reading of a case. */
export interface Reading {
  readonly device: KnownDevice;
  readonly metric: string;
  readonly ts: number;
  readonly value: number;
  /** Whether its message calls it suspect. */
  readonly isSuspect: boolean;
}

/** A device of a case, and the time of its registration. */
export interface Arrival {
  readonly device: KnownDevice;
  readonly ms: number;
}

/** A Monday, so that the first day has working hours. */
const DEFAULT_START = '2026-03-02';
const MOST_READINGS = 1_000_000;

/**
 * A case that is ready to be played: its devices, and its readings in order of time. Mistakes are added to `faults`.
 */
export class Case {
  readonly startMs: number;
  readonly arrivals: readonly Arrival[];
  readonly readings: readonly Reading[];
  readonly #rule: Rule;
  readonly #city: City;
  readonly #devices: ReadonlyMap<string, KnownDevice>;
  readonly #faults: Fault[];

  constructor(written: TimedCase, rule: Rule, city: City, faults: Fault[]) {
    this.#rule = rule;
    this.#city = city;
    this.#faults = faults;
    this.startMs = written.startMs;
    this.arrivals = (written.devices ?? [{ id: this.#defaultId() }]).map((device, index) => ({
      device: this.#deviceOf(device, index),
      ms: this.startMs + (device.registered ?? 0),
    }));
    this.#devices = new Map(this.arrivals.map(({ device }) => [device.id, device]));
    this.readings = written.readings
      .flatMap((one, i) => this.#readingsOf(one, ['readings', i]))
      .sort((a, b) => a.ts - b.ts);
  }

  /** Returns the group that an expectation names; null, and a fault, where it does not name one of several. */
  groupOf(which: Which, path: readonly PropertyKey[]): string | null {
    if (which.group !== undefined) return which.group;
    const { forEach } = this.#rule;
    if (forEach === 'city') return CITY_GROUP;
    const named = which[forEach];
    const known = new Set(
      [...this.#devices.values()].map(({ id, district }) => (forEach === 'device' ? id : district)),
    );
    if (named === undefined) {
      if (known.size === 1) return [...known][0]!;
      this.#faults.push([path, `name one ${forEach} of ${[...known].join(', ')}`]);
      return null;
    }
    if (known.has(named)) return named;
    this.#faults.push([[...path, forEach], `this case has no ${forEach} "${named}"${suggest(named, known)}`]);
    return null;
  }

  #defaultId(): string {
    return this.#rule.where.device?.[0] ?? 'a';
  }

  /** Fills missing fields with values that the rule applies to. */
  #deviceOf({ registered: _, ...written }: WrittenDevice, index: number): KnownDevice {
    const { where, profiles } = this.#rule;
    const profile = profiles.find((id) => where.profile?.includes(id) ?? true) ?? profiles[0]!;
    const device = {
      profile,
      district: where.district?.[0] ?? [...this.#city.districts.keys()][0]!,
      ...(where.tags === undefined ? {} : { tags: where.tags }),
      ...Object.fromEntries(Object.entries(written).filter(([, value]) => value !== undefined)),
      id: written.id,
      index,
    };
    const path = ['devices', index];
    this.#known([...path, 'profile'], 'profile', device.profile, this.#city.profiles);
    this.#known([...path, 'district'], 'district', device.district, this.#city.districts);
    return device;
  }

  #known(path: readonly PropertyKey[], what: string, id: string, known: ReadonlyMap<string, unknown>): void {
    if (!known.has(id)) this.#faults.push([path, `unknown ${what} "${id}"${suggest(id, known.keys())}`]);
  }

  #readingsOf(written: WrittenReadings, path: readonly PropertyKey[]): Reading[] {
    const device = this.#deviceNamed(written.device, path);
    const profile = this.#city.profiles.get(device?.profile ?? '');
    if (device === null || profile === undefined) return [];
    const metrics = Object.keys(written).filter((key) => !READING_WORDS.includes(key));
    if (metrics.length === 0)
      this.#faults.push([path, `no value; ${profile.id} measures ${profile.metrics.join(', ')}`]);
    for (const metric of metrics) {
      if (profile.metrics.includes(metric)) continue;
      const near = suggest(metric, [...profile.metrics, ...READING_WORDS]);
      this.#faults.push([[...path, metric], `profile "${profile.id}" does not measure "${metric}"${near}`]);
    }
    const lengthMs = written.for ?? 0;
    const everyMs = written.every ?? profile.intervalMs;
    const count = Math.floor(lengthMs / everyMs) + 1;
    if (count > MOST_READINGS) {
      this.#faults.push([path, `these are ${count} readings; at most ${MOST_READINGS}`]);
      return [];
    }
    return Array.from({ length: count }, (_, n) => {
      const reading = { device, ts: this.startMs + written.at + n * everyMs, isSuspect: written.suspect === true };
      return metrics.map((metric) => ({ ...reading, metric, value: valueAt(written[metric] as Value, n, count) }));
    }).flat();
  }

  #deviceNamed(id: string | undefined, path: readonly PropertyKey[]): KnownDevice | null {
    const known = [...this.#devices.keys()];
    if (id === undefined && known.length === 1) return this.#devices.get(known[0]!)!;
    const device = id === undefined ? undefined : this.#devices.get(id);
    if (device !== undefined) return device;
    if (id === undefined) this.#faults.push([path, `name one device of ${known.join(', ')}`]);
    else this.#faults.push([[...path, 'device'], `this case has no device "${id}"${suggest(id, known)}`]);
    return null;
  }

  /** Returns the devices that the rule does not apply to. This is not a mistake, but it can explain a failure. */
  leftOut(): string[] {
    return [...this.#devices.values()].filter((device) => !takes(this.#rule, device)).map(({ id }) => id);
  }
}

type Value = number | readonly [number, number];

function valueAt(value: Value, n: number, count: number): number {
  if (typeof value === 'number') return value;
  return count === 1 ? value[0] : value[0] + ((value[1] - value[0]) * n) / (count - 1);
}

/** Returns a case with all times in ms after its start. A time before that is added to `faults`. */
export function timedCase(written: WrittenCase, { timezone }: Pick<City, 'timezone'>, faults: Fault[]): TimedCase {
  const startMs = startOf(written.start ?? DEFAULT_START, timezone);

  function afterStart(at: number | string, path: readonly PropertyKey[]): number;
  function afterStart(at: number | string | undefined, path: readonly PropertyKey[]): number | undefined;
  function afterStart(at: number | string | undefined, path: readonly PropertyKey[]): number | undefined {
    if (at === undefined) return undefined;
    const ms = typeof at === 'number' ? at : startOf(at, timezone) - startMs;
    if (ms < 0) faults.push([path, `"${at}" is before the start of the case`]);
    return ms;
  }

  return {
    ...written,
    startMs,
    devices: written.devices?.map(({ registered, ...device }, i) => ({
      ...device,
      registered: afterStart(registered, ['devices', i, 'registered']),
    })),
    readings: written.readings.map(
      (one, i) => ({ ...one, at: afterStart(one.at, ['readings', i, 'at']) }) as WrittenReadings,
    ),
    expect: written.expect.map((one, i) => ({ ...one, at: afterStart(one.at, ['expect', i, 'at']) })),
    tickets: written.tickets?.map(({ resolved, ...one }, i) => ({
      ...one,
      opened: afterStart(one.opened, ['tickets', i, 'opened']),
      resolved: afterStart(resolved, ['tickets', i, 'resolved']),
    })),
  };
}

/** A time without a zone is local time of the city. */
function startOf(text: string, zone: string): number {
  if (/(Z|[+-]\d\d:\d\d)$/.test(text) && text.includes('T')) return Date.parse(text);
  return createZone(zone).toUtc(Date.parse(text.includes('T') ? `${text}Z` : text));
}
