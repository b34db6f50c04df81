/** Returns numbers in `[0, 1)`. The same seed gives the same sequence on every machine. */
export type Random = () => number;

/** Returns FNV-1a of a text, mixed by MurmurHash3's finalizer, as an unsigned 32-bit number. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) h = Math.imul(h ^ text.charCodeAt(index), 0x01000193);
  return mix(h);
}

function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Makes a mulberry32 generator with a text as its seed, such as `42:air-quality-harbour-1`. */
export function createRandom(seed: string): Random {
  let state = hash(seed);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns a number between `min` and `max`. */
export function between(random: Random, min: number, max: number): number {
  return min + random() * (max - min);
}

/** Returns a normally distributed number with mean 0 and deviation 1 (Box-Muller). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Returns one item of a list that is not empty. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}

/**
 * Returns noise over time without state: random levels every `periodMs`, interpolated smoothly. In `[0, 1]`; the same name and
 * time give the same value.
 */
export function smoothNoise(name: string, timeMs: number, periodMs: number): number {
  const at = timeMs / periodMs;
  const index = Math.floor(at);
  const share = at - index;
  const eased = share * share * (3 - 2 * share);
  const base = hash(name);
  return level(base, index) * (1 - eased) + level(base, index + 1) * eased;
}

function level(base: number, index: number): number {
  return mix(base ^ Math.imul(index | 0, 0x9e3779b1)) / 2 ** 32;
}

/** Makes first-order autoregressive noise, `x' = keep·x + sqrt(1 − keep²)·deviation·normal`: slow, with mean 0 and constant deviation. */
export function createDrift(random: Random, deviation: number, keep = 0.95): () => number {
  let value = normal(random) * deviation;
  return () => {
    value = keep * value + Math.sqrt(1 - keep * keep) * deviation * normal(random);
    return value;
  };
}
