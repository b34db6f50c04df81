import {
  isQuality,
  type KnownDevice,
  measuredMetric,
  type ReadingColumns,
  type ScannedReadings,
  SUSPECT,
} from '../../domain/index.ts';
import type { BacktestDevice } from './input.ts';

/**
 * The devices of a backtest. A device becomes known to the engine at its registration, or at its first reading if that
 * is earlier.
 */
export class Fleet {
  readonly #devices: readonly KnownDevice[];
  readonly #districts: ReadonlyMap<string, string>;
  /** By index of the device: 1 where the engine knows it. */
  readonly #known: Uint8Array;
  /** Devices that are not known yet, latest registration first, so that the next one is at the end. */
  readonly #waiting: { readonly index: number; readonly ms: number }[];

  /** All devices are known from the start, except those registered after `beginMs`. */
  constructor(devices: readonly BacktestDevice[], beginMs: number) {
    this.#devices = devices.map(({ registeredMs: _, ...device }, index) => ({ ...device, index }));
    this.#districts = new Map(devices.map(({ id, district }) => [id, district]));
    this.#known = Uint8Array.from(devices, ({ registeredMs = beginMs }) => Number(registeredMs <= beginMs));
    this.#waiting = devices
      .map(({ registeredMs = beginMs }, index) => ({ index, ms: registeredMs }))
      .filter(({ ms }) => ms > beginMs)
      .sort((a, b) => b.ms - a.ms);
  }

  districtOf(id: string): string {
    return this.#districts.get(id) ?? '';
  }

  /** Returns the known devices. */
  known(): KnownDevice[] {
    return this.#devices.filter(({ index }) => this.#known[index] === 1);
  }

  /** Marks the devices registered up to a time as known, and yields each with the time of its registration. */
  *registeredUntil(ms: number): Generator<[device: KnownDevice, ms: number]> {
    for (let next = this.#next(); next !== null && next.ms <= ms; next = this.#next()) {
      this.#known[next.index] = 1;
      yield [this.#devices[next.index]!, next.ms];
    }
  }

  /**
   * Finds the first of the rows `[from, to)` before which a device must become known; `to` and null where there is
   * none.
   */
  nextArrival(
    { device, ts }: ScannedReadings,
    from: number,
    to: number,
  ): { end: number; device: KnownDevice | null; ms: number } {
    const next = this.#next();
    if (next === null) return { end: to, device: null, ms: 0 };
    for (let row = from; row < to; row++) {
      const registered = ts[row]! >= next.ms;
      if (!registered && this.#known[device[row]!] === 1) continue;
      const index = registered ? next.index : device[row]!;
      this.#known[index] = 1;
      return { end: row, device: this.#devices[index]!, ms: registered ? next.ms : ts[row]! };
    }
    return { end: to, device: null, ms: 0 };
  }

  /** Returns the rows `[from, to)` in the engine's form. A metric's number is its index in the query. */
  columns({ device, metric, ts, value }: ScannedReadings, from: number, to: number): ReadingColumns {
    const devices: KnownDevice[] = new Array(to - from);
    for (let row = from; row < to; row++) devices[row - from] = this.#devices[device[row]!]!;
    return {
      length: to - from,
      device: devices,
      metric: metric.subarray(from, to),
      ts: ts.subarray(from, to),
      value: value.subarray(from, to),
    };
  }

  #next(): { readonly index: number; readonly ms: number } | null {
    while (this.#waiting.length > 0 && this.#known[this.#waiting.at(-1)!.index] === 1) this.#waiting.pop();
    return this.#waiting.at(-1) ?? null;
  }
}

/** The qualities of values. In a scan they come right before the values of their device and time. */
export class Qualities {
  /** By the place of a metric in the query: that of the metric whose quality it is; −1: it is none. */
  readonly #of: Int32Array;
  /** Places of the metrics that are suspect at the present device and time. */
  readonly #suspect = new Set<number>();
  #device = -1;
  #ts = Number.NaN;

  /** `metrics`: those of the query, qualities first. */
  constructor(metrics: readonly string[]) {
    this.#of = Int32Array.from(metrics, (name) => (isQuality(name) ? metrics.indexOf(measuredMetric(name)) : -1));
  }

  /** Returns the values of the next rows of a scan, with those marked that are suspect. */
  read({ length, device, metric, ts, value }: ReadingColumns): ReadingColumns {
    const values = { length: 0, device: [] as KnownDevice[], metric: [] as number[], ts: [] as number[] };
    const into = { ...values, value: [] as number[], suspect: new Set<number>() };
    for (let row = 0; row < length; row++) {
      this.#moveTo(device[row]!.index, ts[row]!);
      const of = this.#of[metric[row]!]!;
      if (of !== -1) {
        if (value[row] === SUSPECT) this.#suspect.add(of);
        continue;
      }
      if (this.#suspect.has(metric[row]!)) into.suspect.add(into.length);
      into.length++;
      into.device.push(device[row]!);
      into.metric.push(metric[row]!);
      into.ts.push(ts[row]!);
      into.value.push(value[row]!);
    }
    return into;
  }

  #moveTo(device: number, ts: number): void {
    if (device === this.#device && ts === this.#ts) return;
    this.#device = device;
    this.#ts = ts;
    this.#suspect.clear();
  }
}
