import {
  type City,
  type Device,
  type HistoryStore,
  isQuality,
  type KnownDevice,
  LamppostError,
  type MetricTable,
  type PointsSlice,
  qualityMetric,
  type ReadOptions,
  type Rule,
  SUSPECT,
  type Transition,
} from '../../domain/index.ts';
import { createRuleEngine, type Explanation } from '../engine/index.ts';
import type { TrialValue } from './read.ts';

/** Readings between two turns of the event loop, since the thread has other work, too: about a millisecond. */
const ROWS_AT_ONCE = 200;
const MOST_POINTS = 200_000;
const MOST_HALVINGS = 12;

/** An engine for one rule. Its time is moved by what it reads. */
export interface TrialEngine {
  /**
   * Reads stored readings in order of time, each at its own time. Returns how many there were. Throws the signal's
   * reason where that aborts.
   */
  warmUp(series: readonly StoredSeries[], signal?: AbortSignal): Promise<number>;
  /** Reads the values of one reading of a device at an engine time. What came due before then comes first. */
  feed(device: string, tsMs: number, values: readonly TrialValue[], atMs: number): Transition[];
  /** Explains the rule's alert for a device, also where the rule does not apply to it. */
  explain(device: string): Explanation;
}

/** Makes an engine whose time starts at `fromMs`, with the given devices. */
export function createTrialEngine(
  { rule, city, devices, metrics }: { rule: Rule; city: City; devices: readonly Device[]; metrics: MetricTable },
  fromMs: number,
): TrialEngine {
  const engine = createRuleEngine({ metrics, gaps: false });
  const known = new Map<string, KnownDevice>(devices.map((device, index) => [device.id, { ...device, index }]));
  let atMs = fromMs;
  let seq = 1;
  engine.configure({ rules: [rule], calendars: city.calendars, zone: city.timezone }, { seq, atMs });
  for (const device of known.values()) engine.deviceChanged(device, { seq, atMs });

  const feed: TrialEngine['feed'] = (device, tsMs, values, toMs) => {
    atMs = Math.max(atMs, toMs);
    const one = known.get(device);
    const moment = { seq: ++seq, atMs };
    if (one === undefined || values.length === 0) return engine.tick(moment);
    const columns = {
      length: values.length,
      device: values.map(() => one),
      metric: values.map(({ metric }) => metric),
      ts: values.map(() => tsMs),
      value: values.map(({ value }) => value),
      suspect: new Set(values.flatMap(({ isSuspect }, i) => (isSuspect ? [i] : []))),
    };
    return engine.step(columns, moment);
  };

  return {
    async warmUp(series, signal) {
      let rows = 0;
      const suspect = suspectIn(series);
      const values = series.filter(({ metric }) => !isQuality(metric));
      for (const { device, metric, ts, value } of inOrder(values)) {
        const isSuspect = suspect.has(`${qualityMetric(metric)} ${ts} ${device}`);
        feed(device, ts, [{ metric: metrics.indexOf(metric), value, isSuspect }], ts);
        if (++rows % ROWS_AT_ONCE !== 0) continue;
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
      }
      return rows;
    },
    feed,
    explain: (device) => engine.explainDevice(device)[0]!,
  };
}

/** Names the values that are suspect by the quality that is stored beside them, the time, and the device. */
function suspectIn(series: readonly StoredSeries[]): ReadonlySet<string> {
  const names = series
    .filter(({ metric }) => isQuality(metric))
    .flatMap(({ device, metric, ts, value }) =>
      ts.filter((_, i) => value[i] === SUSPECT).map((ms) => `${metric} ${ms} ${device}`),
    );
  return new Set(names);
}

/** The stored points of a device and metric, in order of time. */
interface StoredSeries {
  readonly device: string;
  readonly metric: string;
  readonly ts: number[];
  readonly value: number[];
}

interface StoredRow {
  readonly device: string;
  readonly metric: string;
  readonly ts: number;
  readonly value: number;
}

/**
 * Yields the points of several series in order of time, at one time in the order of the series: a merge with a heap.
 */
function* inOrder(all: readonly StoredSeries[]): Generator<StoredRow, void, undefined> {
  const heap = all.map((series, order) => ({ ...series, order, next: 0 })).filter(({ ts }) => ts.length > 0);
  type Head = (typeof heap)[number];
  const isBefore = (a: Head, b: Head) =>
    a.ts[a.next]! - b.ts[b.next]! < 0 || (a.ts[a.next] === b.ts[b.next] && a.order < b.order);
  const sink = (from: number) => {
    for (let at = from; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left;
      if (right < heap.length && isBefore(heap[right]!, heap[least]!)) least = right;
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  };
  for (let at = heap.length >>> 1; at >= 0; at--) sink(at);
  while (heap.length > 0) {
    const head = heap[0]!;
    const row = head.next++;
    yield { device: head.device, metric: head.metric, ts: head.ts[row]!, value: head.value[row]! };
    if (head.next === head.ts.length) {
      const last = heap.pop()!;
      if (heap.length > 0) heap[0] = last;
    }
    sink(0);
  }
}

/** Stored readings before a trial. */
interface StoredReadings {
  readonly fromMs: number;
  readonly series: readonly StoredSeries[];
  /** Whether the history holds more readings than a trial reads, so that `fromMs` is later than requested. */
  readonly cut: boolean;
}

/**
 * Reads the raw readings of `[fromMs, toMs)`; of all metrics where `metrics` is null. Where there are more than
 * 200,000, it reads the second half of the time, and so on.
 */
export async function readStored(
  history: Pick<HistoryStore, 'read'>,
  wanted: { devices: readonly Device[]; metrics: readonly string[] | null; fromMs: number; toMs: number },
  options: ReadOptions,
): Promise<StoredReadings> {
  const { devices, metrics, toMs } = wanted;
  let { fromMs } = wanted;
  for (let halvings = 0; ; halvings++) {
    try {
      const filter = { devices: devices.map(({ id }) => id), ...(metrics === null ? {} : { metrics }) };
      const slices = history.read({ ...filter, fromMs, toMs, fn: 'last', maxPoints: MOST_POINTS }, options);
      return { fromMs, series: await gathered(slices), cut: halvings > 0 };
    } catch (error) {
      if (!(error instanceof LamppostError) || error.code !== 'invalid' || halvings === MOST_HALVINGS) throw error;
      fromMs = Math.ceil((fromMs + toMs) / 2);
    }
  }
}

async function gathered(slices: AsyncIterable<PointsSlice>): Promise<StoredSeries[]> {
  const found: StoredSeries[] = [];
  for await (const { series, ts, value } of slices) {
    for (const [at, { device, metric, from }] of series.entries()) {
      let last = found.at(-1);
      if (last?.device !== device || last.metric !== metric) {
        last = { device, metric, ts: [], value: [] };
        found.push(last);
      }
      const to = series[at + 1]?.from ?? ts.length;
      last.ts.push(...ts.subarray(from, to));
      last.value.push(...value.subarray(from, to));
    }
  }
  return found;
}
