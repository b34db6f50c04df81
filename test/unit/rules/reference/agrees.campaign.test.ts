import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EvidenceSchema } from '../../../../domain/index.ts';
import { journals, seasons } from '../../../kit/rules/reference/arbitraries.ts';
import type { Entry } from '../../../kit/rules/reference/journal.ts';
import { Process } from '../../../kit/rules/reference/process.ts';
import { Reference } from '../../../kit/rules/reference/reference.ts';

/** A fixed seed, so that each run has the same cases. */
const SEED = Number(process.env.RULES_SEED ?? 20261124);
/** `RULES_CASES=30000` and `RULES_RESTARTS=10000` make a long run. */
const CASES = Number(process.env.RULES_CASES ?? 10_000);
const RESTARTS = Number(process.env.RULES_RESTARTS ?? 3_000);

/**
 * Equal within rounding, since sums can be in another order. Timestamps are whole and far larger: they are compared
 * exactly.
 */
function isClose(a: number, b: number): boolean {
  const size = Math.max(1, Math.abs(a), Math.abs(b));
  return size < 1e9 && Math.abs(a - b) <= 1e-9 * size;
}

/** Returns `found`, with each number that equals the expected one within rounding replaced by it. */
function comparable(found: unknown, expected: unknown): unknown {
  if (typeof found === 'number' && typeof expected === 'number') return isClose(found, expected) ? expected : found;
  if (Array.isArray(found)) return found.map((one, i) => comparable(one, (expected as unknown[] | undefined)?.[i]));
  if (typeof found !== 'object' || found === null) return found;
  const others = (expected ?? {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.entries(found).map(([key, one]) => [key, comparable(one, others[key])]));
}

/** Runs the journal through both; returns the number of equal transitions. */
function compare(entries: readonly Entry[]): number {
  const reference = new Reference();
  const engine = new Process();
  let same = 0;
  for (const entry of entries) {
    const expected = reference.play(entry);
    const found = engine.play(entry);
    if (reference.inexact) return same;
    expect(comparable(found, expected)).toEqual(expected);
    same += found.length;
  }
  return same;
}

test('reference - the engine decides the same as the slow, simple evaluator on random rules and journals', () => {
  let same = 0;
  fc.assert(
    fc.property(journals, (entries) => {
      same += compare(entries);
    }),
    { seed: SEED, numRuns: CASES },
  );
  // Fewer would mean that little was compared.
  expect(same).toBeGreaterThan(CASES / 2);
});

test('reference - both agree on clauses that learn seasons, over weeks of readings', () => {
  let same = 0;
  fc.assert(
    fc.property(seasons, (entries) => {
      same += compare(entries);
    }),
    { seed: SEED, numRuns: 40 },
  );
  expect(same).toBeGreaterThan(200);
});

test('evidence - matches its published schema, without infinity or NaN', () => {
  let checked = 0;
  fc.assert(
    fc.property(fc.oneof({ weight: 50, arbitrary: journals }, { weight: 1, arbitrary: seasons }), (entries) => {
      const engine = new Process();
      for (const { evidence } of entries.flatMap((entry) => engine.play(entry))) {
        expect(EvidenceSchema.parse(evidence)).toEqual(evidence);
        checked++;
      }
    }),
    { seed: SEED, numRuns: 1_000 },
  );
  expect(checked).toBeGreaterThan(1_000);
});

test('restart - an engine that was restarted at any blocks decides and stores the same, byte for byte', () => {
  fc.assert(
    fc.property(journals, fc.array(fc.nat(), { minLength: 1, maxLength: 8, size: 'max' }), (entries, stops) => {
      const live = new Process();
      let other = new Process();
      // Two restarts: what changed after the first without being marked for a checkpoint is lost at the second.
      const at = new Set(stops.map((stop) => stop % entries.length));
      for (const [i, entry] of entries.entries()) {
        const expected = live.play(entry);
        expect(JSON.stringify(other.play(entry))).toBe(JSON.stringify(expected));
        if (at.has(i)) other = other.restarted(entry);
      }
      expect(other.stored()).toEqual(live.stored());
    }),
    { seed: SEED, numRuns: RESTARTS },
  );
});
