import type { Device } from '../../../domain/index.ts';
import { createZone } from '../../../domain/index.ts';
import { createRandom } from '../random.ts';
import { hourOf } from '../rhythm.ts';
import { type Weather, weatherAt } from '../weather.ts';
import { airQuality } from './air-quality.ts';
import type { Model, Surroundings } from './model.ts';
import { noise } from './noise.ts';
import { streetlight } from './streetlight.ts';
import { traffic } from './traffic.ts';
import { wasteBin } from './waste-bin.ts';
import { waterLevel } from './water-level.ts';

export type { Metrics, Model } from './model.ts';

const MODELS: Readonly<Record<string, (surroundings: Surroundings) => Model>> = {
  'air-quality': airQuality,
  noise,
  'water-level': waterLevel,
  'waste-bin': wasteBin,
  streetlight,
  traffic,
};

/** Ids of the profiles that can be simulated. */
export const SIMULATED_PROFILES: readonly string[] = Object.keys(MODELS);

/**
 * The model of a device: the same seed, device and times give the same values. `zone` is the city's IANA zone
 * (daily rhythms follow local time). Throws a RangeError for a profile that has no model.
 */
export function modelOf(device: Device, { seed, zone = 'UTC' }: { seed: string; zone?: string }): Model {
  const model = MODELS[device.profile];
  if (!model)
    throw new RangeError(`no model for the profile ${device.profile}; there are ${SIMULATED_PROFILES.join(', ')}`);
  let offsetMs = Number.NaN;
  const local = (timeMs: number): number => {
    if (Number.isNaN(offsetMs)) offsetMs = createZone(zone).offsetAt(timeMs);
    return timeMs + offsetMs;
  };
  const weather = (timeMs: number): Weather => weatherAt(seed, device.district, timeMs, hourOf(local(timeMs)));
  return model({ random: createRandom(`${seed}:${device.id}`), weather, local });
}
