import type { KnownDevice, ReadingColumns, ScannedReadings } from '../../domain/index.ts';
import type { BacktestDevice } from './run.ts';

/** The devices of a backtest, and which of them the engine knows of already: a device comes with its registration, or with its first reading. */
export class Fleet {
  readonly #devices: readonly KnownDevice[];
  readonly #districts: ReadonlyMap<string, string>;
  /** 1 for those that are known. */
  readonly #known: Uint8Array;
  /** Places of those that are not, by the time of their registration; the last is the next. */
  readonly #waiting: { readonly place: number; readonly ms: number }[];

  /** Devices are known from the beginning, but for those registered after `beginMs`. */
  constructor(devices: readonly BacktestDevice[], beginMs: number) {
    this.#devices = devices.map(({ registeredMs: _, ...device }, index) => ({ ...device, index }));
    this.#districts = new Map(devices.map(({ id, district }) => [id, district]));
    this.#known = Uint8Array.from(devices, ({ registeredMs = beginMs }) => Number(registeredMs <= beginMs));
    this.#waiting = devices
      .map(({ registeredMs = beginMs }, place) => ({ place, ms: registeredMs }))
      .filter(({ ms }) => ms > beginMs)
      .sort((a, b) => b.ms - a.ms);
  }

  districtOf(id: string): string {
    return this.#districts.get(id) ?? '';
  }

  /** Those that are known from the beginning. */
  present(): KnownDevice[] {
    return this.#devices.filter((_, place) => this.#known[place] === 1);
  }

  /** Takes those that come by their registration up to a time. */
  *registeredUntil(ms: number): Generator<[device: KnownDevice, ms: number]> {
    for (let next = this.#next(); next !== null && next.ms <= ms; next = this.#next()) {
      this.#known[next.place] = 1;
      yield [this.#devices[next.place]!, next.ms];
    }
  }

  /** How far the rows `[from, to)` go before a device comes, and which that is. */
  nextToCome(
    { device, ts }: ScannedReadings,
    from: number,
    to: number,
  ): { end: number; device: KnownDevice | null; ms: number } {
    const next = this.#next();
    if (next === null) return { end: to, device: null, ms: 0 };
    for (let row = from; row < to; row++) {
      const registered = ts[row]! >= next.ms;
      if (!registered && this.#known[device[row]!] === 1) continue;
      const place = registered ? next.place : device[row]!;
      this.#known[place] = 1;
      return { end: row, device: this.#devices[place]!, ms: registered ? next.ms : ts[row]! };
    }
    return { end: to, device: null, ms: 0 };
  }

  /** Rows as the engine takes them; numbers of metrics are places of the query. */
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

  #next(): { readonly place: number; readonly ms: number } | null {
    while (this.#waiting.length > 0 && this.#known[this.#waiting.at(-1)!.place] === 1) this.#waiting.pop();
    return this.#waiting.at(-1) ?? null;
  }
}
