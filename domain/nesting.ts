/**
 * Returns what is too much about a value of JSON: `depth` where it is nested deeper than `levels`, `size` where it has
 * more than `most` values; null where it is within both. A value that stands in several places counts at each of them.
 * It needs neither recursion nor more than `most` steps, so it may be called with whatever somebody sent.
 */
export function excessOf(value: unknown, levels: number, most = Number.POSITIVE_INFINITY): 'depth' | 'size' | null {
  let values = 1;
  const open: [inner: readonly unknown[], at: number][] = [[[value], 0]];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const one = top[0][top[1]++];
    if (top[1] > top[0].length) open.pop();
    else if (typeof one === 'object' && one !== null) {
      if (open.length > levels) return 'depth';
      const inner = Array.isArray(one) ? one : Object.values(one);
      values += inner.length;
      if (values > most) return 'size';
      open.push([inner, 0]);
    }
  }
  return null;
}

/** How deep the JSON of a request or of a rule may be nested. */
export const MOST_LEVELS = 64;
