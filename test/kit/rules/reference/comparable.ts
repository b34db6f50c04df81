/** Sums may be taken in another order. Moments are whole and far larger: they are not rounded. */
function isClose(a: number, b: number): boolean {
  const size = Math.max(1, Math.abs(a), Math.abs(b));
  return size < 1e9 && Math.abs(a - b) <= 1e-9 * size;
}

/** What was found, with each figure that is the expected one but for rounding written as that is. */
export function comparable(found: unknown, expected: unknown): unknown {
  if (typeof found === 'number' && typeof expected === 'number') return isClose(found, expected) ? expected : found;
  if (Array.isArray(found)) return found.map((one, i) => comparable(one, (expected as unknown[] | undefined)?.[i]));
  if (typeof found !== 'object' || found === null) return found;
  const others = (expected ?? {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.entries(found).map(([key, one]) => [key, comparable(one, others[key])]));
}
