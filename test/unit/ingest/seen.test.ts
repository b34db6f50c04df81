import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashValue, SeenKeys } from '../../../ingest/seen.ts';

/** The keys as a plain list: what `SeenKeys` must agree with. */
class Model {
  readonly #entries: { ts: number; bit: number; position: number; hash: number }[] = [];

  add(ts: number, bits: readonly number[], position: number, hashes: Int32Array): void {
    for (const bit of bits) this.#entries.unshift({ ts, bit, position, hash: hashes[bit]! });
  }

  find(
    ts: number,
    bits: readonly number[],
    { position, horizon }: { position: number; horizon: number },
    hashes: Int32Array,
  ) {
    let [found, changed] = [0, 0];
    for (const bit of bits) {
      const newest = this.#entries.find(
        (one) => one.ts === ts && one.bit === bit && one.position < position && one.position >= horizon,
      );
      if (newest === undefined) continue;
      found |= 1 << bit;
      if (newest.hash !== hashes[bit]) changed |= 1 << bit;
    }
    return { found, changed };
  }
}

const maskOf = (bits: readonly number[]) => bits.reduce((mask, bit) => mask | (1 << bit), 0);

describe('seen keys', () => {
  test('late keys are found like all others, whatever their order, also after a restore and where keys expire', () => {
    const bits = fc.uniqueArray(fc.constantFrom(0, 1, 5, 31), { minLength: 1 });
    const one = fc.record({ ts: fc.nat(40), bits, value: fc.nat(2), far: fc.boolean() });
    const runs = fc.record({
      before: fc.constantFrom(0, 600, 3_000),
      messages: fc.array(fc.array(one, { minLength: 1, maxLength: 5 }), { maxLength: 40 }),
      late: fc.constantFrom(0, 2_040, 2_047),
      horizon: fc.nat(30),
    });
    fc.assert(
      fc.property(runs, ({ before, messages, late, horizon }) => {
        const [keys, model, hashes] = [new SeenKeys(), new Model(), new Int32Array(32)];
        const place = (ts: number, position: number) => ({ device: 0, lane: 0, ts, horizon, position });
        // Many newer keys, so that those below are late, and some that fill the run of late ones nearly.
        for (let i = 0; i < before; i++) keys.add(place(10_000 + i, 0), 1, hashes);
        for (let i = 0; i < late; i++) keys.add(place(5_000 - i, 0), 1, hashes);
        for (const [i, readings] of messages.entries()) {
          for (const { ts, bits: some, value } of readings) {
            for (const bit of some) hashes[bit] = hashValue(value);
            keys.add(place(ts, i + 1), maskOf(some), hashes);
            model.add(ts, some, i + 1, hashes);
          }
        }
        const restored = new SeenKeys();
        const added = keys.added();
        if (added !== null) restored.restore(added.blob);
        const look = (at: SeenKeys, ts: number, position: number) => {
          const found = at.find(place(ts, position), -1, hashes);
          return { found, changed: at.changed };
        };
        const all = Array.from({ length: 32 }, (_, bit) => bit);
        for (let ts = 0; ts <= 40; ts += 3) {
          for (const position of [1, messages.length >> 1, messages.length + 1]) {
            const expected = model.find(ts, all, { position, horizon }, hashes);
            for (const at of [keys, restored]) expect(look(at, ts, position)).toEqual(expected);
          }
        }
      }),
      { numRuns: 80 },
    );
  });

  test('a day of keys and then as many late ones: each finds its place without moving the day', () => {
    const [keys, hashes] = [new SeenKeys(), new Int32Array(32)];
    const place = (ts: number, position: number) => ({ device: 0, lane: 0, ts, horizon: 0, position });
    const moved = movedBy(() => {
      for (let i = 0; i < 100_000; i++) keys.add(place(1_000_000 + i, 1), 1, hashes);
      for (let i = 0; i < 20_000; i++) keys.add(place(900_000 - i, 2), 1, hashes);
    });
    // To move each into its place would move 20,000 × 100,000 and more.
    expect(moved).toBeLessThan(40_000_000);
    for (const ts of [1_000_000, 1_099_999, 900_000, 880_001]) expect(keys.find(place(ts, 3), 1, hashes)).toBe(1);
    expect(keys.find(place(880_000, 3), 1, hashes)).toBe(0);
  });
});

/** Counts the elements that are moved within typed arrays meanwhile, a column at a time. */
function movedBy(work: () => void): number {
  const original = Float64Array.prototype.copyWithin;
  let moved = 0;
  Float64Array.prototype.copyWithin = function (this: Float64Array, target, start, end) {
    moved += (end ?? this.length) - start;
    return original.call(this, target, start, end);
  };
  try {
    work();
  } finally {
    Float64Array.prototype.copyWithin = original;
  }
  return moved / 2;
}
