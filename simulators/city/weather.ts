import { HOUR_MS } from '../../domain/index.ts';
import { smoothNoise } from './random.ts';

const DAY_MS = 24 * HOUR_MS;

/** The weather of a district at a moment. */
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
 * The weather that every device of a district shares: fronts cross the whole city, showers differ between districts.
 * A function of seed, district and time, so that any two devices agree without talking to each other.
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
