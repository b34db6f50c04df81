import { type AnomalyCondition, type Band, DAY_MS, HOUR_MS, type MetricTable } from '../../../domain/index.ts';
import { type AggregateSpec, AggregateState, aggregateSpec } from '../aggregate.ts';
import type { Reader, Writer } from '../bytes.ts';
import { ClauseState, type ClauseWindow, type EngineTime, FALSE, shown, TRUE, UNKNOWN } from './clause.ts';
import { medianOf } from './threshold.ts';

export const LEAST_SAMPLES = 12;
/** The share of the seasons of the training that samples must be of, where more than the next neighbours count. */
const SEASONS_SHARE = 0.75;
/** Hours to each side of a slot whose samples count: as few as give enough. */
const NEIGHBOURS = [1, 2, 3] as const;
export const FARTHEST_NEIGHBOUR = 3;
/** A slot stores about this many samples in all. */
const SAMPLES_A_SLOT = 16;
/** Makes the median absolute deviation of a normal distribution its standard deviation. */
const MAD_TO_DEVIATION = 1.4826;
/** 1970-01-01 was a Thursday; weeks begin on Monday. */
const EPOCH_WEEKDAY_MS = 3 * DAY_MS;

/** A compiled anomaly clause. */
export interface AnomalySpec {
  readonly clause: AnomalyCondition;
  readonly metric: number;
  readonly aggregate: AggregateSpec;
  readonly slots: number;
  /** How many samples a slot stores. */
  readonly kept: number;
  /** Least distance of two samples in event time. */
  readonly apartMs: number;
  readonly leastSeasons: number;
}

/**
 * Returns how many seasons the training has, how many of them are needed, and the samples of one that a slot stores.
 */
export function trainingOf({ trainMs, seasonMs }: Pick<AnomalyCondition, 'trainMs' | 'seasonMs'>) {
  const occurrences = Math.ceil(trainMs / seasonMs);
  const each = Math.max(1, Math.floor(SAMPLES_A_SLOT / occurrences));
  return { occurrences, each, leastSeasons: Math.ceil(SEASONS_SHARE * Math.floor(trainMs / seasonMs)) };
}

export function anomalySpec(clause: AnomalyCondition, metrics: MetricTable): AnomalySpec {
  const { occurrences, each, leastSeasons } = trainingOf(clause);
  return {
    clause,
    metric: metrics.indexOf(clause.metric),
    aggregate: aggregateSpec(clause, 0),
    slots: clause.seasonMs / HOUR_MS,
    kept: occurrences * each,
    apartMs: HOUR_MS / each,
    leastSeasons,
  };
}

/** The samples of a slot: a ring of (ts, value), the oldest overwritten first. */
interface Slot {
  readonly pairs: Float64Array;
  next: number;
  length: number;
}

interface Expected {
  readonly median: number;
  readonly spread: number;
}

/** An aggregate that differs from what is usual at its hour of the season. */
export class AnomalyState extends ClauseState {
  readonly #spec: AnomalySpec;
  readonly #own: AggregateState;
  readonly #slots: (Slot | undefined)[];
  /** As of the last judgement. */
  #expected: Expected | null = null;
  #inOrder = false;
  /** The window over what it learns from. */
  #lesson: AggregateState | null = null;

  constructor(spec: AnomalySpec) {
    super();
    this.#spec = spec;
    this.#own = new AggregateState(spec.aggregate);
    this.#slots = Array.from({ length: spec.slots }, () => undefined);
  }

  override reads(metric: number): boolean {
    return metric === this.#spec.metric;
  }

  override take(_metric: number, ts: number, value: number): boolean {
    this.#inOrder = ts >= this.#own.newest;
    return this.#own.take(ts, value);
  }

  /** Past values become samples, wherever they belong in time, and are not judged. */
  override learn(ts: number, value: number, time: EngineTime): boolean {
    this.#lesson ??= new AggregateState(this.#spec.aggregate);
    const lesson = this.#lesson;
    const inOrder = ts >= lesson.newest;
    if (!lesson.take(ts, value) || !inOrder) return true;
    const sample = lesson.value();
    if (!Number.isNaN(sample)) this.#insertSample(this.#slotAt(ts, time), ts, sample);
    return true;
  }

  override endLesson(): void {
    this.#lesson?.release();
    this.#lesson = null;
  }

  /** Judges, then stores the sample: a value is never compared with itself. A reading out of order does neither. */
  override judge(time: EngineTime): void {
    if (!this.#inOrder) return;
    this.#inOrder = false;
    const value = this.#own.value();
    const slot = this.#slotAt(this.#own.newest, time);
    this.#expected = this.#expect(slot);
    if (Number.isNaN(value) || this.#expected === null) this.verdict = UNKNOWN;
    else this.verdict = Math.abs(value - this.#expected.median) > this.#allowed(this.#expected) ? TRUE : FALSE;
    if (!Number.isNaN(value)) this.#addSample(slot, this.#own.newest, value);
  }

  override value(): number {
    return this.#expected === null ? Number.NaN : this.#own.value();
  }

  override window(_time: EngineTime): ClauseWindow {
    const { fromMs, newest, count } = this.#own;
    const value = shown(this.value());
    return { fn: this.#spec.clause.fn, fromMs, toMs: newest, count, value, op: 'outside', threshold: this.clear() };
  }

  override clear(): Band | null {
    if (this.#expected === null) return null;
    const allowed = this.#allowed(this.#expected);
    return [this.#expected.median - allowed, this.#expected.median + allowed];
  }

  override readings(): [number, number][] {
    return this.#own.readings();
  }

  override release(): void {
    this.#own.release();
    this.endLesson();
  }

  override write(to: Writer): void {
    this.#own.write(to);
    to.f64(this.#expected?.median ?? Number.NaN);
    to.f64(this.#expected?.spread ?? Number.NaN);
    to.u32(this.#slots.filter((slot) => slot !== undefined).length);
    for (const [at, slot] of this.#slots.entries()) {
      if (slot === undefined) continue;
      to.u32(at);
      to.u32(slot.next);
      to.u32(slot.length);
      for (let i = 0; i < 2 * slot.length; i++) to.f64(slot.pairs[i]!);
    }
  }

  override read(from: Reader): void {
    this.#own.read(from);
    const [median, spread] = [from.f64(), from.f64()];
    this.#expected = Number.isNaN(median) ? null : { median, spread };
    for (let slots = from.u32(); slots > 0; slots--) {
      const slot = this.#slot(from.u32());
      slot.next = from.u32();
      slot.length = from.u32();
      for (let i = 0; i < 2 * slot.length; i++) slot.pairs[i] = from.f64();
    }
  }

  #allowed({ spread }: Expected): number {
    return this.#spec.clause.deviations * spread;
  }

  #slotAt(ts: number, time: EngineTime): number {
    const civil = ts + time.civil;
    const local = civil + time.offsetAt(civil) + EPOCH_WEEKDAY_MS;
    const { seasonMs } = this.#spec.clause;
    return Math.floor((local - Math.floor(local / seasonMs) * seasonMs) / HOUR_MS);
  }

  #expect(slot: number): Expected | null {
    const samples = this.#samplesNear(slot);
    if (samples === null) return null;
    const { leastSpread } = this.#spec.clause;
    const median = medianOf(Float64Array.from(samples).sort());
    const deviations = Float64Array.from(samples, (sample) => Math.abs(sample - median)).sort();
    return { median, spread: Math.max(leastSpread, MAD_TO_DEVIATION * medianOf(deviations)) };
  }

  /** Returns the samples of a slot and as many of its neighbours as it takes; null where there are too few. */
  #samplesNear(slot: number): number[] | null {
    const samples: number[] = [];
    const seasons = new Set<number>();
    this.#collect(slot, samples, seasons);
    for (const away of NEIGHBOURS) {
      this.#collect(slot - away, samples, seasons);
      this.#collect(slot + away, samples, seasons);
      const isWide = away === 1 || seasons.size >= this.#spec.leastSeasons;
      if (samples.length >= LEAST_SAMPLES && isWide) return samples;
    }
    return null;
  }

  #collect(near: number, samples: number[], seasons: Set<number>): void {
    const { slots, clause } = this.#spec;
    const { trainMs, seasonMs } = clause;
    const known = this.#slots[(near + slots) % slots];
    const to = this.#own.newest;
    for (let i = 0; known !== undefined && i < known.length; i++) {
      const ts = known.pairs[2 * i]!;
      if (ts < to - trainMs || ts > to - seasonMs / 2) continue;
      samples.push(known.pairs[2 * i + 1]!);
      seasons.add(Math.round((to - ts) / seasonMs));
    }
  }

  #slot(at: number): Slot {
    const known = this.#slots[at];
    if (known !== undefined) return known;
    const made = { pairs: new Float64Array(2 * this.#spec.kept), next: 0, length: 0 };
    this.#slots[at] = made;
    return made;
  }

  /** Stores a sample among those of its slot, of which the newest are kept. */
  #insertSample(at: number, ts: number, value: number): void {
    const { kept, apartMs } = this.#spec;
    const slot = this.#slot(at);
    const { pairs, length } = slot;
    for (let i = 0; i < length; i++) if (Math.abs(ts - pairs[2 * i]!) < apartMs) return;
    const samples = Array.from({ length }, (_, i) => [pairs[2 * i]!, pairs[2 * i + 1]!]);
    const newest = [...samples, [ts, value]].sort(([a], [b]) => a! - b!).slice(-kept);
    pairs.set(newest.flat());
    slot.length = newest.length;
    slot.next = newest.length % kept;
  }

  #addSample(at: number, ts: number, value: number): void {
    const { kept, apartMs } = this.#spec;
    const slot = this.#slot(at);
    const newest = (slot.next + kept - 1) % kept;
    if (slot.length > 0 && ts - slot.pairs[2 * newest]! < apartMs) return;
    slot.pairs[2 * slot.next] = ts;
    slot.pairs[2 * slot.next + 1] = value;
    slot.next = (slot.next + 1) % kept;
    slot.length = Math.min(slot.length + 1, kept);
  }
}
