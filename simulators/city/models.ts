import { createZone, DAY_MS, type Device, HOUR_MS } from '../../domain/index.ts';
import { bell, createEpisodes, hourOf, lampsAreLit, trafficAt, type Weather, weatherAt } from './environment.ts';
import { between, createDrift, createRandom, type Random } from './random.ts';

/** Values by metric id, in the metric's unit. */
export type Metrics = Readonly<Record<string, number>>;

/** What a device measures. */
export interface Model {
  /** Returns the values at a time of the simulation, epoch ms. Times must not decrease. */
  next(timeMs: number): Metrics;
}

/** The input of a model. */
interface ModelContext {
  readonly random: Random;
  /** Returns the weather of the device's district. */
  weather(timeMs: number): Weather;
  /** Returns the local time as if it were UTC, ms. */
  local(timeMs: number): number;
}

/** Returns a value within its bounds and rounded to two decimals, as a sensor reports it. */
function reported(value: number, min: number, max: number): number {
  return Math.round(Math.min(max, Math.max(min, value)) * 100) / 100;
}

const MODELS: Readonly<Record<string, (context: ModelContext) => Model>> = {
  'air-quality': airQuality,
  noise,
  'water-level': waterLevel,
  'waste-bin': wasteBin,
  streetlight,
  traffic,
};

/** Ids of the profiles that have a model. */
export const SIMULATED_PROFILES: readonly string[] = Object.keys(MODELS);

/**
 * Returns the model of a device. The same seed, device and times give the same values. Daily rhythms follow the local time of
 * `zone`, the city's IANA zone. Throws a RangeError for a profile that has no model.
 */
export function modelOf(device: Device, { seed, zone = 'UTC' }: { seed: string; zone?: string }): Model {
  const model = MODELS[device.profile];
  if (!model)
    throw new RangeError(
      `there is no model of the profile ${device.profile}; there are ${SIMULATED_PROFILES.join(', ')}`,
    );
  let offsetMs = Number.NaN;
  const local = (timeMs: number): number => {
    if (Number.isNaN(offsetMs)) offsetMs = createZone(zone).offsetAt(timeMs);
    return timeMs + offsetMs;
  };
  const weather = (timeMs: number): Weather => weatherAt(seed, device.district, timeMs, hourOf(local(timeMs)));
  return model({ random: createRandom(`${seed}:${device.id}`), weather, local });
}

/** Dust and nitrogen dioxide rise with traffic and fall with wind and rain. Sometimes there is smoke from a fire. */
function airQuality({ random, weather, local }: ModelContext): Model {
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

/** Loud by day and in rain, with occasional construction work or events. Levels in dB: mean (laeq) and peak (lamax). */
function noise({ random, weather, local }: ModelContext): Model {
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

const RUN_OFF_HOURS = 6;
const STEP_MS = HOUR_MS / 4;
const LONGEST_PAST_MS = DAY_MS;

/** A channel that fills with the rain of its district and drains within hours. Level in m. */
function waterLevel({ random, weather }: ModelContext): Model {
  const base = between(random, 0.6, 1.4);
  const gain = between(random, 0.05, 0.11);
  const drift = createDrift(random, 0.02);
  const battery = createBattery(random);
  let stored = 0;
  let lastMs = Number.NaN;
  const flow = (toMs: number): void => {
    // The rain of the day before the first reading counts, so that a channel does not start dry.
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

const LONGEST_STEP_MS = 6 * HOUR_MS;

/** A bin that fills while people are outside and is emptied some hours after it is nearly full. Fill in %. */
function wasteBin({ random, local }: ModelContext): Model {
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

const EMPTY_PERCENT = 4;

/** A battery that loses 0.3 to 1.5 % a day and is replaced when it is nearly empty. Returns its charge in %; times must not decrease. */
function createBattery(random: Random): (timeMs: number) => number {
  const perDay = between(random, 0.3, 1.5);
  let level = between(random, 8, 100);
  let lastMs = Number.NaN;
  return (timeMs) => {
    if (!Number.isNaN(lastMs)) level -= (perDay * (timeMs - lastMs)) / DAY_MS;
    if (level < EMPTY_PERCENT) level = 100;
    lastMs = timeMs;
    return level;
  };
}

const STANDBY_W = 4;

/** Lit at night, dimmed after 23:00. At times the lamp fails (no power drawn) or its supply does (low voltage), until repaired. */
function streetlight({ random, local }: ModelContext): Model {
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

/** A section of road: vehicles slow each other down, rain slows them further, and a crash causes a jam. */
function traffic({ random, weather, local }: ModelContext): Model {
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
        freeKmh * (1 - 0.6 * Math.min(1, demand) ** 2) * (1 - wet) * (1 - 0.9 * jam) + drift() * 20,
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
