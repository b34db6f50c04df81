import { HOUR_MS } from '../../../domain/index.ts';
import { between, createDrift } from '../random.ts';
import { bell, hourOf } from '../rhythm.ts';
import { createBattery } from './battery.ts';
import { type Model, reported, type Surroundings } from './model.ts';

const LONGEST_STEP_MS = 6 * HOUR_MS;

/** A bin that fills while people are about and is emptied some hours after it is nearly full. Fill in %. */
export function wasteBin({ random, local }: Surroundings): Model {
  const perHour = between(random, 1, 6);
  const collectAt = between(random, 88, 100);
  const battery = createBattery(random);
  const drift = createDrift(random, 0.3);
  let fill = between(random, 5, 96);
  let collectMs = Number.POSITIVE_INFINITY;
  let lastMs = Number.NaN;
  return {
    next: (timeMs) => {
      const stepMs = Number.isNaN(lastMs) ? 0 : Math.min(LONGEST_STEP_MS, timeMs - lastMs);
      lastMs = timeMs;
      const people = 0.15 + bell(hourOf(local(timeMs)), 15, 4);
      fill = Math.min(100, fill + perHour * people * (stepMs / HOUR_MS));
      if (fill >= collectAt && collectMs === Number.POSITIVE_INFINITY)
        collectMs = timeMs + between(random, 2, 8) * HOUR_MS;
      if (timeMs >= collectMs) {
        fill = between(random, 0, 6);
        collectMs = Number.POSITIVE_INFINITY;
      }
      return { fill: reported(fill + drift(), 0, 100), battery: reported(battery(timeMs), 0, 100) };
    },
  };
}
