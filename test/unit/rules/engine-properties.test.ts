import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transition } from '../../../domain/index.ts';
import { type Entry, journals, Process } from './engine-journal.ts';
import { Reference } from './engine-reference.ts';

const anyValue = fc.oneof(fc.double({ min: -10, max: 30, noNaN: true }), fc.integer({ min: -10, max: 30 }));
const wholeValue = fc.integer({ min: -10, max: 30 });

function uninterrupted(journal: readonly Entry[]): Transition[] {
  const process = new Process();
  return journal.flatMap((entry) => process.play(entry));
}

function restartedAt(journal: readonly Entry[], splits: readonly number[]): Transition[] {
  let process = new Process();
  return journal.flatMap((entry, i) => {
    const transitions = process.play(entry);
    if (splits.includes(i)) {
      process.save();
      process = process.restarted({ seq: entry.seq, atMs: 0 });
    }
    return transitions;
  });
}

// A mean by another order of additions may differ in its last digits.
function rounded(transitions: readonly Transition[]): unknown {
  return JSON.parse(JSON.stringify(transitions), (key, value) => (key === 'value' ? Math.round(value * 1e6) : value));
}

describe('engine', () => {
  test('replay - a journal cut by restarts gives the same transitions, byte for byte', () => {
    const cuts = fc.array(fc.nat({ max: 63 }), { maxLength: 4 });
    let seen = 0;
    fc.assert(
      fc.property(journals(anyValue), cuts, (journal, splits) => {
        const whole = uninterrupted(journal);
        seen += whole.length;
        expect(JSON.stringify(restartedAt(journal, splits))).toBe(JSON.stringify(whole));
      }),
      { numRuns: 500 },
    );
    expect(seen).toBeGreaterThan(1000);
  });

  test('reference - agrees with an evaluator that keeps every reading', () => {
    const met = new Map<string, number>();
    fc.assert(
      fc.property(journals(wholeValue), (journal) => {
        const reference = new Reference();
        const expected = journal.flatMap((entry) => reference.play(entry));
        for (const { from, to } of expected) met.set(`${from} ${to}`, (met.get(`${from} ${to}`) ?? 0) + 1);
        expect(rounded(uninterrupted(journal))).toEqual(rounded(expected));
      }),
      { numRuns: 1000 },
    );
    const kinds = ['inactive firing', 'inactive pending', 'pending cancelled', 'pending firing', 'firing resolved'];
    for (const kind of kinds) expect(met.get(kind), kind).toBeGreaterThan(100);
  });
});
