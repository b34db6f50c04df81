import { HOUR_MS } from '../../domain/index.ts';
import type { Reader, Writer } from './bytes.ts';

const LEVEL_GAIN = 0.2;
const TREND_GAIN = 0.05;
const SEASON_GAIN = 0.3;

/**
 * Additive triple exponential smoothing (Holt 1957, Winters 1960) of hourly means in UTC. The model learns two seasons
 * first. An hour without readings gets the value of the hour before while learning, and its forecast later.
 */
export class HoltWinters {
  readonly #season: number;
  /** Number of the open hour; −Infinity before the first reading. */
  #hour = Number.NEGATIVE_INFINITY;
  #sum = 0;
  #count = 0;
  /** Hours learned so far; after two seasons the model gives forecasts. */
  #learned = 0;
  #level = 0;
  #trend = 0;
  /** While learning: the hourly means of two seasons. */
  readonly #means: Float64Array;
  /** After learning: the seasonal part of each hour, hour number h at h mod season. */
  readonly #seasonal: Float64Array;

  constructor(season: number) {
    this.#season = season;
    this.#means = new Float64Array(2 * season);
    this.#seasonal = new Float64Array(season);
  }

  /** Adds a reading; returns false where its hour is closed. */
  take(ts: number, value: number): boolean {
    const hour = Math.floor(ts / HOUR_MS);
    if (hour < this.#hour) return false;
    if (hour > this.#hour) this.#open(hour);
    this.#sum += value;
    this.#count++;
    return true;
  }

  /**
   * The largest (`above`) or smallest (`below`) forecast of the hours after the open one that begin at `untilMs` or
   * before; an infinity where there is no such hour, NaN while learning.
   */
  extreme(op: 'above' | 'below', untilMs: number): number {
    if (this.#learned < 2 * this.#season) return Number.NaN;
    let extreme = op === 'above' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    for (let hour = this.#hour + 1; hour * HOUR_MS <= untilMs; hour++) {
      // The model is at the last closed hour, the one before the open one.
      const ahead = hour - this.#hour + 1;
      const forecast = this.#level + ahead * this.#trend + this.#seasonal[hour % this.#season]!;
      extreme = op === 'above' ? Math.max(extreme, forecast) : Math.min(extreme, forecast);
    }
    return extreme;
  }

  write(to: Writer): void {
    for (const number of [this.#hour, this.#sum, this.#count, this.#learned, this.#level, this.#trend]) to.f64(number);
    for (const number of this.#kept()) to.f64(number);
  }

  read(from: Reader): void {
    this.#hour = from.f64();
    this.#sum = from.f64();
    this.#count = from.f64();
    this.#learned = from.f64();
    this.#level = from.f64();
    this.#trend = from.f64();
    const kept = this.#kept();
    for (let at = 0; at < kept.length; at++) kept[at] = from.f64();
  }

  #kept(): Float64Array {
    return this.#learned < 2 * this.#season ? this.#means.subarray(0, this.#learned) : this.#seasonal;
  }

  #open(hour: number): void {
    if (hour - this.#hour > this.#season) {
      this.#learned = 0;
    } else {
      this.#close(this.#sum / this.#count);
      for (let missing = this.#hour + 1; missing < hour; missing++) this.#closeUnread(missing);
    }
    this.#hour = hour;
    this.#sum = 0;
    this.#count = 0;
  }

  #closeUnread(hour: number): void {
    if (this.#learned < 2 * this.#season) this.#learn(hour, this.#means[this.#learned - 1]!);
    else this.#level += this.#trend;
  }

  #close(mean: number): void {
    if (this.#learned < 2 * this.#season) {
      this.#learn(this.#hour, mean);
      return;
    }
    const at = this.#hour % this.#season;
    const level = LEVEL_GAIN * (mean - this.#seasonal[at]!) + (1 - LEVEL_GAIN) * (this.#level + this.#trend);
    this.#trend = TREND_GAIN * (level - this.#level) + (1 - TREND_GAIN) * this.#trend;
    this.#seasonal[at] = SEASON_GAIN * (mean - level) + (1 - SEASON_GAIN) * this.#seasonal[at]!;
    this.#level = level;
  }

  #learn(hour: number, mean: number): void {
    const season = this.#season;
    this.#means[this.#learned++] = mean;
    if (this.#learned < 2 * season) return;
    const averageOf = (from: number) => this.#means.subarray(from, from + season).reduce((a, b) => a + b) / season;
    const [first, second] = [averageOf(0), averageOf(season)];
    this.#level = second;
    this.#trend = (second - first) / season;
    const begin = hour - 2 * season + 1;
    for (let i = 0; i < season; i++) {
      const part = (this.#means[i]! - first + (this.#means[i + season]! - second)) / 2;
      this.#seasonal[(begin + i) % season] = part;
    }
  }
}
