import { z } from 'zod';
import type { City, CityControl, Device } from '../../../domain/index.ts';
import { type Entry, parseOnce, type Sent } from './intake.ts';

const HOUR_MS = 3_600_000;

/** Counts of one device's messages and readings by what happened to them. */
export interface Counts {
  decoded: number;
  quarantined: number;
  stored: number;
  replaced: number;
  duplicate: number;
  refused: number;
}

/** A simple model of ingest, without regard for speed, memory or crashes. */
export class Model {
  readonly counts = new Map<string, Counts>();
  /** Values by device, metric and ts: the content of the history at the end. */
  readonly values = new Map<string, Map<string, Map<number, number>>>();
  /** New readings of the last entry, in order. */
  news: [device: string, metric: string, ts: number, value: number][] = [];
  #city: City | null = null;
  readonly #devices = new Map<string, Device>();
  /** Also those that were revoked. */
  readonly #everDevices = new Set<string>();
  /** Every value that was accepted, by key, with the hour of its block. */
  readonly #accepted = new Map<string, { hour: number; value: number }[]>();
  #hour = 0;

  play(entry: Entry): void {
    this.news = [];
    this.#hour = Math.floor(entry.atMs / HOUR_MS);
    if (entry.kind === 'city') this.#city = parseOnce(entry.body as CityControl) ?? this.#city;
    if (entry.kind === 'devices') {
      const { registered, revoked } = entry.body as { registered: Device[]; revoked: string[] };
      for (const device of registered) {
        this.#devices.set(device.id, device);
        this.#everDevices.add(device.id);
      }
      for (const id of revoked) this.#devices.delete(id);
    }
    if (entry.kind === 'messages') for (const message of entry.messages) this.#read(message);
  }

  /** The sum over all devices. */
  total(): Counts {
    const sum = none();
    for (const counts of this.counts.values()) {
      for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += counts[name];
    }
    return sum;
  }

  #read({ identity, topic, payload, receivedAt }: Sent): void {
    const [, named, leaf] = /^devices\/([^/]*)\/([^/]*)$/.exec(topic) ?? [];
    // A device that publishes for another one: refused, and counted for who sent it.
    const isForeign = named !== undefined && named !== identity && this.#everDevices.has(identity);
    const counts = this.#countsOf(isForeign ? identity : (named ?? identity));
    const device = leaf === 'readings' ? this.#devices.get(named!) : undefined;
    const profile = device && this.#city?.profiles.get(device.profile);
    const items = itemsOf(payload as string);
    if (isForeign || device === undefined || profile === undefined || items === null) {
      counts.quarantined++;
      return;
    }
    counts.decoded++;
    for (const item of items) {
      const reading = Reading.safeParse(item);
      if (!reading.success) counts.refused++;
      else this.#take(device.id, profile.metrics, reading.data, receivedAt, counts);
    }
  }

  #take(
    device: string,
    metrics: readonly string[],
    reading: z.output<typeof Reading>,
    now: number,
    counts: Counts,
  ): void {
    const { pastMs, aheadMs } = this.#city!.accepts;
    const ts = 'ts' in reading ? (typeof reading.ts === 'number' ? reading.ts : Number.NaN) : now;
    const inTime = ts >= now - pastMs && ts <= now + aheadMs;
    for (const [metric, value] of Object.entries(reading.metrics)) {
      const range = metrics.includes(metric) ? this.#city!.metrics.get(metric) : undefined;
      const good = inTime && range && typeof value === 'number' && value >= range.min && value <= range.max;
      if (good) this.#accept(device, metric, ts, value, counts);
      else counts.refused++;
    }
  }

  #accept(device: string, metric: string, ts: number, value: number, counts: Counts): void {
    const key = `${device} ${metric} ${ts}`;
    const before = this.#accepted.get(key) ?? [];
    const known = before.findLast(({ hour }) => hour >= this.#hour - 24);
    if (known?.value === value) {
      counts.duplicate++;
      return;
    }
    this.#accepted.set(key, [...before, { hour: this.#hour, value }]);
    counts.stored++;
    if (known !== undefined) counts.replaced++;
    else this.news.push([device, metric, ts, value]);
    const metrics = getOr(this.values, device, () => new Map<string, Map<number, number>>());
    getOr(metrics, metric, () => new Map<number, number>()).set(ts, value);
  }

  #countsOf(device: string): Counts {
    return getOr(this.counts, device, none);
  }
}

const Reading = z.strictObject({
  ts: z.unknown().optional(),
  metrics: z.record(z.string(), z.unknown()).refine((metrics) => Object.keys(metrics).length > 0),
});

/**
 * Returns the readings of a payload; null where all of it is refused: not JSON, or no part has the shape of a reading.
 */
function itemsOf(payload: string): unknown[] | null {
  try {
    const parsed: unknown = JSON.parse(payload);
    const items = Array.isArray(parsed) ? parsed : [parsed];
    return items.some((item) => Reading.safeParse(item).success) ? items : null;
  } catch {
    return null;
  }
}

function none(): Counts {
  return { decoded: 0, quarantined: 0, stored: 0, replaced: 0, duplicate: 0, refused: 0 };
}

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
