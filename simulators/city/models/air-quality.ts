import { HOUR_MS } from '../../../domain/index.ts';
import { between, createDrift } from '../random.ts';
import { createEpisodes, trafficAt } from '../rhythm.ts';
import { type Model, reported, type Surroundings } from './model.ts';

/** Dust and nitrogen dioxide follow the traffic and are blown away by wind and washed out by rain; sometimes something burns. */
export function airQuality({ random, weather, local }: Surroundings): Model {
  const base = between(random, 8, 18);
  const drift = createDrift(random, 2);
  const smoke = createEpisodes(random, 40 * HOUR_MS, 2.5 * HOUR_MS);
  return {
    next: (timeMs) => {
      const { temperature, humidity, rain, wind } = weather(timeMs);
      const traffic = trafficAt(local(timeMs));
      const stillness = 1 + 1.4 * Math.exp(-wind / 2);
      const dust = (base + 10 * traffic + drift()) * stillness * Math.exp(-rain / 12) + 140 * smoke(timeMs);
      return {
        pm25: reported(dust, 0.5, 480),
        pm10: reported(dust * 1.45 + 4, 1, 580),
        no2: reported((10 + 45 * traffic) * stillness + drift() * 2, 1, 380),
        temperature: reported(temperature + drift() * 0.1, -30, 48),
        humidity: reported(humidity + drift() * 0.5, 5, 100),
      };
    },
  };
}
