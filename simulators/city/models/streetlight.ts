import { HOUR_MS } from '../../../domain/index.ts';
import { between, createDrift } from '../random.ts';
import { createEpisodes, hourOf, lampsAreLit } from '../rhythm.ts';
import { type Model, reported, type Surroundings } from './model.ts';

const STANDBY_W = 4;

/** Lit at night and dimmed after eleven. A lamp fails (no power drawn), or its supply does (low voltage), until it is repaired. */
export function streetlight({ random, local }: Surroundings): Model {
  const rated = between(random, 60, 140);
  const drift = createDrift(random, 1.2);
  const lampFails = createEpisodes(random, 90 * HOUR_MS, 8 * HOUR_MS);
  const supplyFails = createEpisodes(random, 120 * HOUR_MS, 4 * HOUR_MS);
  return {
    next: (timeMs) => {
      const localMs = local(timeMs);
      const hour = hourOf(localMs);
      const dimmed = hour >= 23 || hour < 5;
      const healthy = lampsAreLit(localMs) ? rated * (dimmed ? 0.6 : 1) : STANDBY_W;
      const sag = supplyFails(timeMs);
      const power = lampFails(timeMs) > 0 ? 0 : healthy * (1 - 0.5 * sag);
      return {
        power: reported(power === 0 ? 0 : power + drift() * 0.3, 0, 500),
        voltage: reported(230 - 110 * sag + drift(), 0, 300),
      };
    },
  };
}
