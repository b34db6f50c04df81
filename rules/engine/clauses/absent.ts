import { type AbsentCondition, DAY_MS, isFaults, type MetricTable } from '../../../domain/index.ts';
import type { Reader, Writer } from '../bytes.ts';
import { ClauseState, type ClauseWindow, type EngineTime, FALSE, TRUE } from './clause.ts';

/** No reading for a while, by engine time without gaps. */
export class AbsentState extends ClauseState {
  readonly #clause: AbsentCondition;
  /** Metric number; −1: any. */
  readonly #metric: number;
  readonly #metrics: MetricTable;
  #readK: number;

  constructor(clause: AbsentCondition, metrics: MetricTable, k: number) {
    super();
    this.#clause = clause;
    this.#metric = clause.metric === null ? -1 : metrics.indexOf(clause.metric);
    this.#metrics = metrics;
    this.#readK = k;
    this.verdict = FALSE;
  }

  override reads(metric: number): boolean {
    // A fault code is no reading.
    return this.#metric === metric || (this.#metric === -1 && !isFaults(this.#metrics.idOf(metric)));
  }

  /** What a device sends of days ago does not say that it measures now. */
  override take(_metric: number, ts: number, _value: number, { k, offset, civil }: EngineTime): boolean {
    if (k + offset - (ts + civil) > DAY_MS) return false;
    this.#readK = k;
    return true;
  }

  override judge({ k }: EngineTime): void {
    this.verdict = k - this.#readK >= this.#clause.absentMs ? TRUE : FALSE;
  }

  /** Seconds of silence. */
  override value({ k }: EngineTime): number {
    return (k - this.#readK) / 1000;
  }

  override window(time: EngineTime): ClauseWindow {
    const { k, offset, civil } = time;
    const gapsMs = offset - civil;
    const times = { fromMs: this.#readK + gapsMs, toMs: k + gapsMs };
    const threshold = this.#clause.absentMs / 1000;
    return { fn: 'absent', ...times, count: 0, value: this.value(time), op: 'above', threshold };
  }

  override clear(): number {
    return 0;
  }

  override readings(): [number, number][] {
    return [];
  }

  /** Goes on with the silence that another clause about the same metric has counted. */
  continueFrom(other: AbsentState, time: EngineTime): void {
    if (other.#metric !== this.#metric) return;
    this.#readK = other.#readK;
    this.judge(time);
  }

  override dueK(): number {
    return this.verdict === TRUE ? Number.POSITIVE_INFINITY : this.#readK + this.#clause.absentMs;
  }

  override write(to: Writer): void {
    to.f64(this.#readK);
  }

  override read(from: Reader): void {
    this.#readK = from.f64();
  }
}
