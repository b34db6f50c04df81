import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Peer, Peers } from '../../../rules/engine/clauses/peers.ts';
import { runs } from '../../kit/runs.ts';

class One implements Peer {
  newest = Number.NEGATIVE_INFINITY;
  #value = Number.NaN;

  value(): number {
    return this.#value;
  }

  /** Like a series: accepts a reading that is not older, and has a value or none. */
  take(ts: number, value: number): boolean {
    if (ts < this.newest) return false;
    this.newest = ts;
    this.#value = value;
    return true;
  }
}

/** The median by a visit of all. */
function median(all: Iterable<One>, own: One, withinMs: number): number {
  const values = [...all]
    .filter((one) => one !== own && one.newest >= own.newest - withinMs && !Number.isNaN(one.value()))
    .map((one) => one.value())
    .toSorted((a, b) => a - b);
  const { length } = values;
  if (length < 3) return Number.NaN;
  return (values[(length - 1) >> 1]! + values[length >> 1]!) / 2;
}

const events = fc.array(
  fc.record({
    who: fc.nat({ max: 11 }),
    step: fc.constantFrom(0, 1, 1, 5, 40),
    /** Clocks that are slow or fast. */
    skew: fc.constantFrom(0, 0, 0, 0, -30, -5, 25),
    value: fc.constantFrom(1, 2, 3, 4, 5, 6, 7, -0, Number.NaN),
    what: fc.constantFrom('take', 'take', 'take', 'take', 'take', 'take', 'leave', 'read'),
  }),
  { minLength: 20, maxLength: 120, size: 'max' },
);

test('peers - the median equals that of a visit of all, also with new, leaving and silent devices and wrong clocks', () => {
  let compared = 0;
  fc.assert(
    fc.property(events, (steps) => {
      const peers = new Peers();
      const all = new Map<number, One>();
      let at = 0;
      for (const { who, step, skew, value, what } of steps) {
        at += step;
        const known = all.get(who);
        if (what === 'leave' && known !== undefined) {
          peers.delete(known);
          all.delete(who);
          continue;
        }
        const one = known ?? new One();
        if (known === undefined) peers.add(one);
        all.set(who, one);
        const before = one.value();
        if (what === 'take' && one.take(at + skew, value)) peers.changed(one, before);
        if (Number.isNaN(one.value())) continue;
        const expected = median(all.values(), one, 20);
        expect(peers.median(one, 20)).toBe(expected);
        if (!Number.isNaN(expected)) compared++;
      }
    }),
    { seed: 20261124, numRuns: runs(3_000) },
  );
  expect(compared).toBeGreaterThan(runs(20_000));
});
