/** A Monday, 00:00 in Linjiang. */
const START = Date.UTC(2026, 2, 1, 16);
const STEP_MS = 600_000;
/** Time stands still for the rules where blocks are further apart. */
const TICK_MS = 15_000;
/** Four days. */
const STEPS = 576;

type Values = Readonly<Record<string, number | string>>;

/** From `low` up to `high` and back within a period: no sine, which engines may compute differently. */
function wave(step: number, period: number, [low, high]: readonly [number, number]): number {
  const at = (step % period) / period;
  return low + (high - low) * (at < 0.5 ? 2 * at : 2 - 2 * at);
}

const isIn = (step: number, from: number, to: number) => step >= from && step < to;

interface Plan {
  readonly profile: string;
  readonly district: string;
  /** What it measures at a step; null where it is silent. */
  at(step: number, noise: () => number): Values | null;
}

/** What happens in the four days: most rules of the city fire, some of them more than once. */
const PLANS: Readonly<Record<string, Plan>> = {
  ...Object.fromEntries(
    ['air-1', 'air-2', 'air-3', 'air-4', 'air-5'].map((id, n): [string, Plan] => [
      id,
      { profile: 'air-quality', district: n === 4 ? 'old-town' : 'harbour', at: (step, noise) => air(n, step, noise) },
    ]),
  ),
  'noise-1': {
    profile: 'noise',
    district: 'university',
    at: (step, noise) => {
      const isLoud = isIn(step, 54, 66) || (isIn(step, 138, 180) && step % 9 < 5);
      return { laeq: (isLoud ? 67 : 48) + noise(), lamax: (step % 211 === 7 ? 112 : 80) + noise() };
    },
  },
  'noise-2': {
    profile: 'noise',
    district: 'old-town',
    at: (step, noise) => ({ laeq: (isIn(step, 200, 215) ? 80 : 52) + noise(), lamax: 85 + noise() }),
  },
  ...Object.fromEntries(
    ['gauge-1', 'gauge-2', 'gauge-3'].map((id, n): [string, Plan] => [
      id,
      {
        profile: 'water-level',
        district: n === 2 ? 'station' : 'riverside',
        at: (step, noise) => ({
          level:
            1.2 +
            (n === 2 ? (isIn(step, 300, 306) ? 1.3 : 0) : wave(Math.max(0, step - 90), 400, [0, 3.4])) +
            noise() / 20,
          battery: 70 - step / 20,
        }),
      },
    ]),
  ),
  'bin-1': { profile: 'waste-bin', district: 'harbour', at: (step) => ({ fill: (step * 1.2) % 98, battery: 80 }) },
  'bin-2': {
    profile: 'waste-bin',
    district: 'garden',
    at: (step) => (isIn(step, 350, 380) ? null : { fill: (step * 0.7 + 10) % 97, battery: 55 }),
  },
  'bin-3': {
    profile: 'waste-bin',
    district: 'garden',
    at: (step) => ({ fill: 40, battery: isIn(step, 250, 330) ? 12 : 90 }),
  },
  'lamp-1': {
    profile: 'streetlight',
    district: 'station',
    at: (step, noise) => ({ power: isIn(step, 120, 200) ? 0 : 80 + noise(), voltage: 230 + noise() }),
  },
  'lamp-2': {
    profile: 'streetlight',
    district: 'station',
    at: (step, noise) => ({ power: 79 + noise(), voltage: (isIn(step, 260, 270) ? 272 : 231) + noise() }),
  },
  'road-1': { profile: 'traffic', district: 'new-town', at: road },
  'climate-1': {
    profile: 'lorawan-climate',
    district: 'hillside',
    at: (step, noise) => ({
      'air.temperature': wave(step, 144, [3, 14]) + noise(),
      battery_level: 0.6,
      firmware: 'v2',
    }),
  },
};

function air(n: number, step: number, noise: () => number): Values | null {
  if (n === 3 && isIn(step, 420, 440)) return null;
  const day = wave(step, 144, [6, 15]);
  const cold = isIn(step, 300, 320) ? -18 : 0;
  const odd = n === 2 && isIn(step, 100, 180) ? 11 : 0;
  const hot = n === 4 && isIn(step, 380, 400) ? 28 : 0;
  return {
    temperature: n === 1 && isIn(step, 200, 260) ? 12 : day + cold + odd + hot + noise(),
    humidity: 55 + noise(),
    pm25: (isIn(step, 60, 80) ? 60 + 6 * (step - 60) : 25) + noise(),
    pm10: (isIn(step, 150, 170) ? 190 : 60) + noise(),
    no2: (n === 0 && isIn(step, 240, 262) ? 230 : 40) + noise(),
  };
}

function road(step: number, noise: () => number): Values {
  const isJam = isIn(step, 48, 60);
  return {
    speed: (isJam ? 8 : 45) + noise(),
    occupancy: (isIn(step, 50, 56) ? 90 : 20) + noise(),
    vehicles: 30 + noise(),
    travel_time: wave(step, 144, [250, 400]) + noise(),
  };
}

/** The devices of the stream. */
export const PINNED_DEVICES = Object.entries(PLANS).map(([id, { profile, district }]) => ({ id, profile, district }));

/** One block of the log: messages, or a tick. */
export interface PinnedBlock {
  readonly atMs: number;
  readonly messages: readonly {
    readonly identity: string;
    readonly topic: string;
    readonly payload: string;
    readonly receivedAt: number;
  }[];
}

/** Yields the blocks of four days, the same in every version; those without a message are ticks. */
export function* pinnedStream(): Generator<PinnedBlock> {
  let seed = 20_261_130;
  /** One decimal, −1 to 1. */
  const noise = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return ((seed >>> 8) % 21) / 10 - 1;
  };
  for (let step = 0; step < STEPS; step++) {
    const atMs = START + step * STEP_MS;
    const sent = Object.entries(PLANS).flatMap(([id, plan]) => {
      const values = plan.at(step, noise);
      return values === null ? [] : payloadsOf(id, step, atMs, values);
    });
    const topicOf = (id: string) => `devices/${id}/${id === 'gauge-3' ? 'senml' : 'readings'}`;
    // What is due at this moment happens before the messages.
    yield { atMs, messages: [] };
    yield {
      atMs,
      messages: sent.map(([identity, payload]) => ({ identity, topic: topicOf(identity), payload, receivedAt: atMs })),
    };
    for (let ms = TICK_MS; ms < STEP_MS; ms += TICK_MS) yield { atMs: atMs + ms, messages: [] };
  }
}

/** What a device sends at a step: its reading, sometimes once more, with another value, late, or with a fault. */
function payloadsOf(id: string, step: number, ts: number, values: Values): (readonly [string, string])[] {
  const rounded = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'number' ? Math.round(value * 100) / 100 : value,
    ]),
  );
  if (id === 'gauge-3') {
    const pack = [
      { bt: ts / 1000, n: 'level', u: 'cm', v: Math.round((rounded.level as number) * 100) },
      { n: 'battery', u: '/', v: Math.round(rounded.battery as number) / 100 },
    ];
    return [[id, JSON.stringify(pack)]];
  }
  const message = (metrics: object, at = ts) => [id, JSON.stringify({ ts: at, metrics })] as const;
  const own = message(rounded);
  if (id !== 'bin-1') return [own];
  if (step % 50 === 3) return [own, own];
  if (step % 50 === 13) return [own, message({ fill: 1 })];
  if (step % 50 === 23) return [message({ fill: 1_000, battery: 80, weight: 3 })];
  if (step % 50 === 33) return [message(rounded, ts - 2 * 3_600_000 - 1)];
  if (step % 50 === 43) return [[id, '{"ts": 1']];
  return [own];
}
