import type { AbsentCondition, MetricTable } from '../../../domain/index.ts';
import type { Reader, Writer } from '../bytes.ts';
import { ClauseState, FALSE, type Scene, type Standing, TRUE } from './clause.ts';

/** Silence, by engine time without its gaps. */
export class AbsentState extends ClauseState {
  readonly #clause: AbsentCondition;
  /** −1: any. */
  readonly #metric: number;
  #heardK: number;

  constructor(clause: AbsentCondition, metrics: MetricTable, k: number) {
    super();
    this.#clause = clause;
    this.#metric = clause.metric === null ? -1 : metrics.indexOf(clause.metric);
    this.#heardK = k;
    this.verdict = FALSE;
  }

  override hears(metric: number): boolean {
    return this.#metric === -1 || this.#metric === metric;
  }

  override take(_metric: number, _ts: number, _value: number, { k }: Scene): boolean {
    this.#heardK = k;
    return true;
  }

  override judge({ k }: Scene): void {
    this.verdict = k - this.#heardK >= this.#clause.absentMs ? TRUE : FALSE;
  }

  /** Seconds of silence. */
  override figure({ k }: Scene): number {
    return (k - this.#heardK) / 1000;
  }

  override standing(scene: Scene): Standing {
    const { k, offset } = scene;
    const times = { fromMs: this.#heardK + offset, toMs: k + offset };
    const threshold = this.#clause.absentMs / 1000;
    return { fn: 'absent', ...times, count: 0, value: this.figure(scene), op: 'above', threshold };
  }

  override clear(): number {
    return 0;
  }

  override readings(): [number, number][] {
    return [];
  }

  override dueK(): number {
    return this.verdict === TRUE ? Number.POSITIVE_INFINITY : this.#heardK + this.#clause.absentMs;
  }

  override write(to: Writer): void {
    to.f64(this.#heardK);
  }

  override read(from: Reader): void {
    this.#heardK = from.f64();
  }
}
