import { HOUR_MS } from '../../../domain/index.ts';
import { between, createDrift } from '../random.ts';
import { createEpisodes, trafficAt } from '../rhythm.ts';
import { type Model, reported, type Surroundings } from './model.ts';

/** A stretch of road: more vehicles fill it, a full one is slow, rain slows it further, and a crash jams it. */
export function traffic({ random, weather, local }: Surroundings): Model {
  const freeKmh = between(random, 45, 80);
  const lengthKm = between(random, 0.8, 3);
  const busy = between(random, 14, 30);
  const drift = createDrift(random, 0.06, 0.9);
  const crash = createEpisodes(random, 50 * HOUR_MS, 1.2 * HOUR_MS);
  return {
    next: (timeMs) => {
      const demand = Math.max(0.01, trafficAt(local(timeMs)) * (1 + drift()));
      const jam = crash(timeMs);
      const occupancy = Math.min(95, 28 * demand + 65 * jam);
      const wet = Math.min(0.25, weather(timeMs).rain / 60);
      const speed = Math.max(
        3,
        freeKmh * (1 - 0.6 * Math.min(1, demand) ** 2) * (1 - wet) * (1 - 0.9 * jam) + normalKmh(drift),
      );
      return {
        speed: reported(speed, 1, 180),
        occupancy: reported(occupancy, 0, 100),
        vehicles: Math.round(busy * demand * (1 - 0.7 * jam)),
        travel_time: reported((lengthKm / speed) * 3600, 10, 7000),
      };
    },
  };
}

function normalKmh(drift: () => number): number {
  return drift() * 20;
}
