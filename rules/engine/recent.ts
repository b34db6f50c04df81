import { type Instance, RECENT, RECENT_MAX } from './instance.ts';

/** Keeps a reading if it is among the newest ten by event time; of equal timestamps the later to come is the newer. */
export function remember(instance: Instance, ts: number, value: number): void {
  const { data, recentNext: next, recentLength: length } = instance;
  // When the ring is full, the next place is that of the oldest.
  if (length === RECENT_MAX && ts < data[RECENT + 2 * next]!) return;
  data[RECENT + 2 * next] = ts;
  data[RECENT + 2 * next + 1] = value;
  instance.recentNext = next === RECENT_MAX - 1 ? 0 : next + 1;
  if (length < RECENT_MAX) instance.recentLength = length + 1;
  sink(data, next, instance.recentLength - 1);
}

/** The readings at or after `fromMs`, oldest first: [epoch ms, value]. */
export function recentSince(instance: Instance, fromMs: number): [number, number][] {
  const { data, recentNext, recentLength } = instance;
  const readings: [number, number][] = [];
  for (let i = RECENT_MAX - recentLength; i < RECENT_MAX; i++) {
    const at = RECENT + 2 * ((recentNext + i) % RECENT_MAX);
    if (data[at]! >= fromMs) readings.push([data[at]!, data[at + 1]!]);
  }
  return readings;
}

/** Moves the reading at `place` back before newer ones, of which there are at most `before`. */
function sink(data: Float64Array, place: number, before: number): void {
  for (let left = before, here = place; left > 0; left--) {
    const there = here === 0 ? RECENT_MAX - 1 : here - 1;
    const [a, b] = [RECENT + 2 * there, RECENT + 2 * here];
    if (data[a]! <= data[b]!) return;
    swap(data, a, b);
    swap(data, a + 1, b + 1);
    here = there;
  }
}

function swap(data: Float64Array, a: number, b: number): void {
  const kept = data[a]!;
  data[a] = data[b]!;
  data[b] = kept;
}
