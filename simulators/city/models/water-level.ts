import { HOUR_MS } from '../../../domain/index.ts';
import { between, createDrift } from '../random.ts';
import { createBattery } from './battery.ts';
import { type Model, reported, type Surroundings } from './model.ts';

const RUN_OFF_HOURS = 6;
const STEP_MS = HOUR_MS / 4;
const LONGEST_PAST_MS = 24 * HOUR_MS;

/** A channel that fills with the rain of its district and runs off within hours. Level in m. */
export function waterLevel({ random, weather }: Surroundings): Model {
  const base = between(random, 0.6, 1.4);
  const gain = between(random, 0.05, 0.11);
  const drift = createDrift(random, 0.02);
  const battery = createBattery(random);
  let stored = 0;
  let lastMs = Number.NaN;
  const flow = (toMs: number): void => {
    // The rain of the day before the first reading counts too: a channel does not start dry.
    let atMs = Number.isNaN(lastMs) ? toMs - LONGEST_PAST_MS : Math.max(lastMs, toMs - LONGEST_PAST_MS);
    while (atMs < toMs) {
      const stepMs = Math.min(STEP_MS, toMs - atMs);
      const hours = stepMs / HOUR_MS;
      stored += weather(atMs).rain * gain * hours - stored * (1 - Math.exp(-hours / RUN_OFF_HOURS));
      atMs += stepMs;
    }
    lastMs = toMs;
  };
  return {
    next: (timeMs) => {
      flow(timeMs);
      return { level: reported(base + stored + drift(), -4, 18), battery: reported(battery(timeMs), 0, 100) };
    },
  };
}
