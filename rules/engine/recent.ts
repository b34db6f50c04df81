/**
 * The newest readings of a series, as pairs (ts, value) in a ring: `next` is where the next one goes, `length` how many
 * there are. It lies in `numbers` from `at` on, `2 + 2 * RECENT_MAX` long: next, length, pairs.
 */
const RECENT_MAX = 10;
export const RECENT_SIZE = 2 + 2 * RECENT_MAX;

/** Keeps a reading if it is among the newest ten by event time; of equal timestamps the later to come is the newer. */
export function remember(numbers: Float64Array, at: number, ts: number, value: number): void {
  const next = numbers[at]!;
  const length = numbers[at + 1]!;
  const place = at + 2 + 2 * next;
  // When the ring is full, the next place is that of the oldest.
  if (length === RECENT_MAX && ts < numbers[place]!) return;
  numbers[place] = ts;
  numbers[place + 1] = value;
  numbers[at] = next === RECENT_MAX - 1 ? 0 : next + 1;
  if (length < RECENT_MAX) numbers[at + 1] = length + 1;
  sink(numbers, at + 2, next, Math.min(length, RECENT_MAX - 1));
}

/** The readings at or after `fromMs`, oldest first: [epoch ms, value]. */
export function recentSince(numbers: Float64Array, at: number, fromMs: number): [number, number][] {
  const [next, length] = [numbers[at]!, numbers[at + 1]!];
  const readings: [number, number][] = [];
  for (let i = RECENT_MAX - length; i < RECENT_MAX; i++) {
    const place = at + 2 + 2 * ((next + i) % RECENT_MAX);
    if (numbers[place]! >= fromMs) readings.push([numbers[place]!, numbers[place + 1]!]);
  }
  return readings;
}

/** Moves the reading at `place` back before newer ones, of which there are at most `before`. */
function sink(numbers: Float64Array, ring: number, place: number, before: number): void {
  for (let left = before, here = place; left > 0; left--) {
    const there = here === 0 ? RECENT_MAX - 1 : here - 1;
    const [a, b] = [ring + 2 * there, ring + 2 * here];
    if (numbers[a]! <= numbers[b]!) return;
    swap(numbers, a, b);
    swap(numbers, a + 1, b + 1);
    here = there;
  }
}

function swap(numbers: Float64Array, a: number, b: number): void {
  const kept = numbers[a]!;
  numbers[a] = numbers[b]!;
  numbers[b] = kept;
}
