import type { KnownDevice, MetricTable, ReadingColumns } from '../domain/index.ts';

/** Batches of readings as they cross to another process: columns of all their rows, one batch after the other. */
export interface SentColumns {
  readonly lengths: readonly number[];
  /** Indexes of devices and metrics. */
  readonly device: Int32Array;
  readonly metric: Int32Array;
  readonly ts: Float64Array;
  readonly value: Float64Array;
  /** Devices and names of metrics that the other side does not know yet. */
  readonly devices: readonly KnownDevice[];
  readonly metrics: readonly (readonly [index: number, id: string])[];
}

/** The sending side: it knows what it has sent. */
export class ColumnSender {
  readonly #metrics: Pick<MetricTable, 'idOf'>;
  /** Districts of the devices that the other side has, by index. */
  readonly #districts: (string | undefined)[] = [];
  readonly #named: boolean[] = [];

  constructor(metrics: Pick<MetricTable, 'idOf'>) {
    this.#metrics = metrics;
  }

  /** Returns the batches with what the other side needs to read them; they must arrive in the order of the calls. */
  pack(batches: readonly ReadingColumns[]): SentColumns {
    const rows = batches.reduce((sum, { length }) => sum + length, 0);
    const [device, metric] = [new Int32Array(rows), new Int32Array(rows)];
    const [ts, value] = [new Float64Array(rows), new Float64Array(rows)];
    const news = { devices: [] as KnownDevice[], metrics: [] as [number, string][] };
    let at = 0;
    for (const batch of batches) {
      for (let row = 0; row < batch.length; row++, at++) {
        device[at] = this.#deviceIndex(batch.device[row]!, news.devices);
        metric[at] = this.#metricIndex(batch.metric[row]!, news.metrics);
        ts[at] = batch.ts[row]!;
        value[at] = batch.value[row]!;
      }
    }
    return { lengths: batches.map(({ length }) => length), device, metric, ts, value, ...news };
  }

  #deviceIndex(device: KnownDevice, news: KnownDevice[]): number {
    if (this.#districts[device.index] !== device.district) {
      this.#districts[device.index] = device.district;
      news.push(device);
    }
    return device.index;
  }

  #metricIndex(index: number, news: [number, string][]): number {
    if (this.#named[index] !== true) {
      this.#named[index] = true;
      news.push([index, this.#metrics.idOf(index)]);
    }
    return index;
  }
}

/** The receiving side; also the table of the metrics that it was sent. */
export class ColumnReceiver {
  readonly #devices: KnownDevice[] = [];
  readonly #metrics: string[] = [];

  idOf(index: number): string {
    return this.#metrics[index]!;
  }

  unpack({ lengths, device, metric, ts, value, devices, metrics }: SentColumns): ReadingColumns[] {
    for (const one of devices) this.#devices[one.index] = one;
    for (const [index, id] of metrics) this.#metrics[index] = id;
    let end = 0;
    return lengths.map((length) => {
      const from = end;
      end += length;
      return {
        length,
        device: Array.from(device.subarray(from, end), (index) => this.#devices[index]!),
        metric: metric.subarray(from, end),
        ts: ts.subarray(from, end),
        value: value.subarray(from, end),
      };
    });
  }
}
