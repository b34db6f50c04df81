import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JournalStore } from '../../../journal/index.ts';
import { type Entry, testDir, write } from '../../kit/ingest/intake.ts';
import { DAYS, type Extent, journals, MINUTES } from '../../kit/journal/random.ts';
import { type Action, Run } from '../../kit/rules/consumer-run.ts';

const blocks = fc.constantFrom(1, 1, 2, 3, 8, 40);
const alone: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: blocks.map((count) => ({ kind: 'step' as const, blocks: count })) },
  { weight: 2, arbitrary: fc.constant({ kind: 'checkpoint' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'wait' as const }) },
);
const beside: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: alone },
  { weight: 1, arbitrary: blocks.map((count) => ({ kind: 'other' as const, blocks: count })) },
);
const at = fc.nat({ max: 3 });
const failures: fc.Arbitrary<Action> = fc.oneof(
  fc.constant({ kind: 'crash' as const }),
  at.map((n) => ({ kind: 'crash in effect' as const, at: n })),
  at.map((n) => ({ kind: 'fail in effect' as const, at: n })),
);
const rough = (quiet: fc.Arbitrary<Action>) =>
  fc.oneof({ weight: 5, arbitrary: quiet }, { weight: 3, arbitrary: failures });
const script = (action: fc.Arbitrary<Action>) => fc.array(action, { minLength: 3, maxLength: 30, size: 'max' });

interface Outputs {
  readonly live: string;
  readonly crashed: string;
  readonly replayed: string;
  readonly crashes: number;
}

/** The same journal three ways: as it grows, with crashes, and at once into an empty file. */
function threeWays(entries: readonly Entry[], quietly: readonly Action[], roughly: readonly Action[]): Outputs {
  const dir = testDir();
  const path = join(dir, 'journal.sqlite');
  const store = new JournalStore(path).open();
  const live = new Run(folder(dir, 'live'), path);
  let next = 0;
  for (const action of quietly) {
    const come = action.kind === 'step' ? action.blocks : 0;
    for (const entry of entries.slice(next, next + come)) write(store, entry);
    next += come;
    live.do(action);
  }
  for (const entry of entries.slice(next)) write(store, entry);
  const crashed = new Run(folder(dir, 'crashed'), path);
  for (const action of roughly) crashed.do(action);
  const outputs = {
    live: live.finish(),
    crashed: crashed.finish(),
    replayed: new Run(folder(dir, 'replayed'), path).finish(),
    crashes: crashed.crashes,
  };
  store.close();
  rmSync(dir, { recursive: true });
  return outputs;
}

function folder(dir: string, name: string): string {
  const path = join(dir, name);
  mkdirSync(path);
  return path;
}

function expectEqual(
  extent: Extent,
  quiet: fc.Arbitrary<Action>,
  numRuns: number,
): { transitions: number; crashes: number } {
  const seen = { transitions: 0, crashes: 0 };
  fc.assert(
    fc.property(journals(extent), script(quiet), script(rough(quiet)), (entries, quietly, roughly) => {
      const { live, crashed, replayed, crashes } = threeWays(entries, quietly, roughly);
      seen.transitions += live === '' ? 0 : live.split('\n').length;
      seen.crashes += crashes;
      expect(replayed).toBe(live);
      expect(crashed).toBe(live);
    }),
    { numRuns },
  );
  return seen;
}

describe('promise 4', () => {
  test('replay - the same journal gives byte-equal transitions live, with crashes, and in a replay', () => {
    const { transitions, crashes } = expectEqual(MINUTES, beside, 200);
    expect(transitions).toBeGreaterThan(300);
    expect(crashes).toBeGreaterThan(60);
  });

  test('replay - also over days, after the duplicate memory has expired', () => {
    const { transitions } = expectEqual(DAYS, alone, 60);
    expect(transitions).toBeGreaterThan(60);
  });
});
