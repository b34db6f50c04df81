import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Reader, Writer } from '../../../rules/engine/bytes.ts';
import { Ranks } from '../../../rules/engine/ranks.ts';

const values = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 64 });
const nearestRank = (all: number[], q: number) =>
  all.toSorted((a, b) => a - b)[Math.max(1, Math.floor(q * all.length + 0.5)) - 1];

test('percentiles - are exact while no slice holds more than 64 readings', () => {
  fc.assert(
    fc.property(fc.array(values, { minLength: 1, maxLength: 6 }), fc.constantFrom(0.5, 0.95), (slices, q) => {
      const ranks = new Ranks();
      for (const [slice, readings] of slices.entries()) for (const value of readings) ranks.add(slice, value);
      const all = slices.flat();
      expect(ranks.percentile(q, all.length)).toBe(nearestRank(all, q));
      ranks.expire(1);
      const left = slices.slice(1).flat();
      expect(ranks.percentile(q, left.length)).toBe(left.length === 0 ? Number.NaN : nearestRank(left, q));
    }),
  );
});

test('percentiles - of a slice with thousands of readings are within a twentieth of its ranks, in little memory', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2_000, maxLength: 5_000 }), (all) => {
      const ranks = new Ranks();
      for (const value of all) ranks.add(0, value);
      const sorted = all.toSorted((a, b) => a - b);
      for (const q of [0.5, 0.95]) {
        const found = ranks.percentile(q, all.length);
        const [below, upTo] = [sorted.findIndex((one) => one >= found), sorted.findLastIndex((one) => one <= found)];
        expect(below / all.length).toBeLessThan(q + 0.05);
        expect((upTo + 1) / all.length).toBeGreaterThan(q - 0.05);
      }
      const writer = new Writer();
      ranks.write(writer);
      expect(writer.bytes().length).toBeLessThan(65 * 24 + 6);
    }),
    { numRuns: 50, endOnFailure: true },
  );
});

test('percentiles - are the same after a restart', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 999 }), { minLength: 200, maxLength: 300 }), (all) => {
      const [whole, before, after] = [new Ranks(), new Ranks(), new Ranks()];
      for (const value of all.slice(0, 150)) {
        whole.add(0, value);
        before.add(0, value);
      }
      const writer = new Writer();
      before.write(writer);
      after.read(new Reader(writer.bytes()));
      for (const value of all.slice(150)) {
        whole.add(0, value);
        after.add(0, value);
      }
      expect(after.percentile(0.95, all.length)).toBe(whole.percentile(0.95, all.length));
    }),
  );
});
