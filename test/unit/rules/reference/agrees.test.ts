import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EvidenceSchema } from '../../../../events/schemas/evidence.ts';
import { journals, seasons } from '../../../kit/rules/reference/arbitraries.ts';
import { comparable } from '../../../kit/rules/reference/comparable.ts';
import type { Entry } from '../../../kit/rules/reference/journal.ts';
import { Process } from '../../../kit/rules/reference/process.ts';
import { Reference } from '../../../kit/rules/reference/reference.ts';

/** The same cases in each run: what a new seed finds is for its finder to mend. */
const SEED = Number(process.env.RULES_SEED ?? 20261124);

/** Plays the journal to both; answers how many transitions were the same. */
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

test('reference - the engine decides what the slow, obvious evaluator decides, on random rules and journals', () => {
  let same = 0;
  fc.assert(
    fc.property(journals, (entries) => {
      same += compare(entries);
    }),
    { seed: SEED, numRuns: 30_000 },
  );
  // Otherwise little would have been compared.
  expect(same).toBeGreaterThan(20_000);
});

test('reference - they agree on what learns from seasons, over weeks of readings', () => {
  let same = 0;
  fc.assert(
    fc.property(seasons, (entries) => {
      same += compare(entries);
    }),
    { seed: SEED, numRuns: 40 },
  );
  expect(same).toBeGreaterThan(200);
});

test('evidence - is what its published schema says: no infinity, nothing that is not a number', () => {
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

test('restart - an engine that was restarted at any block decides the same, byte for byte', () => {
  fc.assert(
    fc.property(journals, fc.nat(), (entries, at) => {
      const live = new Process();
      let other = new Process();
      const stop = at % entries.length;
      for (const [i, entry] of entries.entries()) {
        const expected = live.play(entry);
        expect(JSON.stringify(other.play(entry))).toBe(JSON.stringify(expected));
        if (i === stop) other = other.restarted(entry);
      }
    }),
    { seed: SEED, numRuns: 10_000 },
  );
});
