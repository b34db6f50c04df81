import type { KnownDevice, ReadingColumns, ScannedReadings } from '../../domain/index.ts';
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
