import { DAY_MS, HOUR_MS } from '../../domain/index.ts';
import { between, type Random, smoothNoise } from './random.ts';

/** The weather of a district at one moment. */
export interface Weather {
  /** °C */
  readonly temperature: number;
  /** % */
  readonly humidity: number;
  /** mm/h */
  readonly rain: number;
  /** m/s */
  readonly wind: number;
}

/**
 * Returns the weather that all devices of a district share: fronts cross the whole city, showers differ between districts.
 * It depends on seed, district and time only, so that devices agree without shared state.
 */
export function weatherAt(seed: string, district: string, timeMs: number, localHour: number): Weather {
  const front = smoothNoise(`${seed}:front`, timeMs, 9 * HOUR_MS);
  const shower = smoothNoise(`${seed}:shower:${district}`, timeMs, 2 * HOUR_MS);
  const rain = Math.max(0, 0.6 * front + 0.4 * shower - 0.55) * 60;
  const wind =
    0.5 +
    9 * smoothNoise(`${seed}:wind`, timeMs, 5 * HOUR_MS) * smoothNoise(`${seed}:gust:${district}`, timeMs, HOUR_MS);
  const warmth = 10 + 12 * smoothNoise(`${seed}:warmth`, timeMs, 3 * DAY_MS);
  const daily = 5 * Math.cos(((localHour - 15) / 24) * 2 * Math.PI);
  const humidity = Math.min(100, 55 + 25 * front + rain - daily);
  return { temperature: warmth + daily - rain * 0.15, humidity, rain, wind };
}

const FIRST_SUNDAY = 3;

/** Returns the hour of the day, 0 ≤ h < 24, of a local time in ms. */
export function hourOf(localMs: number): number {
  return (((localMs % DAY_MS) + DAY_MS) % DAY_MS) / HOUR_MS;
}

/** Returns whether a local time in ms is on a Saturday or Sunday. */
function isWeekend(localMs: number): boolean {
  const weekday = (((Math.floor(localMs / DAY_MS) - FIRST_SUNDAY) % 7) + 7) % 7;
  return weekday === 0 || weekday === 6;
}

/** Returns a bell curve around an hour of the day: 1 at its top, `width` is its deviation in hours. It wraps at midnight. */
export function bell(hour: number, top: number, width: number): number {
  const away = Math.abs(hour - top);
  const distance = Math.min(away, 24 - away);
  return Math.exp(-0.5 * (distance / width) ** 2);
}

/** Returns how much traffic there is, about 0..1: two peaks on working days, one broad peak at weekends. */
export function trafficAt(localMs: number): number {
  const hour = hourOf(localMs);
  if (isWeekend(localMs)) return 0.08 + 0.5 * bell(hour, 14, 4);
  return 0.06 + 0.75 * bell(hour, 8, 1.3) + 0.8 * bell(hour, 17.7, 1.6) + 0.35 * bell(hour, 13, 3);
}

/** Returns whether street lamps are lit: from 18:30 to 06:30. */
export function lampsAreLit(localMs: number): boolean {
  const hour = hourOf(localMs);
  return hour >= 18.5 || hour < 6.5;
}

/**
 * Makes random episodes that start about every `everyMs` and last about `lastsMs`; both vary by a half. The returned function
 * gives the strength of the episode at a time: 0 (none) to 1. Times must not decrease.
 */
export function createEpisodes(random: Random, everyMs: number, lastsMs: number): (timeMs: number) => number {
  let startMs = Number.NaN;
  let endMs = 0;
  let strength = 0;
  const plan = (fromMs: number, first: boolean): void => {
    startMs = fromMs + everyMs * (first ? random() : between(random, 0.5, 1.5));
    endMs = startMs + lastsMs * between(random, 0.5, 1.5);
    strength = between(random, 0.6, 1);
  };
  return (timeMs) => {
    if (Number.isNaN(startMs)) plan(timeMs, true);
    while (timeMs >= endMs) plan(endMs, false);
    return timeMs >= startMs ? strength : 0;
  };
}
