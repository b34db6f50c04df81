import { HOUR_MS } from '../../../domain/index.ts';
import { between, createDrift } from '../random.ts';
import { createEpisodes, trafficAt } from '../rhythm.ts';
import { type Model, reported, type Surroundings } from './model.ts';

/** Loud by day and in rain; building works or a feast now and then. Levels in dB: mean (laeq) and peak (lamax). */
export function noise({ random, weather, local }: Surroundings): Model {
  const base = between(random, 40, 50);
  const drift = createDrift(random, 1.5);
  const works = createEpisodes(random, 30 * HOUR_MS, 2 * HOUR_MS);
  return {
    next: (timeMs) => {
      const { rain, wind } = weather(timeMs);
      const quiet = base + 16 * Math.min(1, trafficAt(local(timeMs))) + Math.min(4, rain / 4) + wind / 5 + drift();
      const loud = works(timeMs);
      const laeq = loud > 0 ? Math.max(quiet, 70 + 18 * loud) + drift() : quiet;
      return { laeq: reported(laeq, 25, 110), lamax: reported(laeq + 5 - 4 * Math.log(1 - random()), 30, 125) };
    },
  };
}
