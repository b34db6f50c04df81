import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Block } from '../../../domain/index.ts';
import { openIntake, openState, testDir } from '../../kit/ingest/intake.ts';

const tick = (seq: number): Block => ({
  seq,
  kind: 'tick',
  first: 0,
  count: 0,
  receivedAt: seq,
  steadyAt: seq,
  body: Buffer.from('{}'),
});

/** Reads this many blocks; returns the intake, and how many of their outcomes are kept. */
function read(blocks: number) {
  const db = openState(join(testDir(), 'state.sqlite'));
  const { intake } = openIntake(db);
  const seqs = Array.from({ length: blocks }, (_, at) => at + 1);
  for (const seq of seqs) intake.outcome(tick(seq));
  db.close();
  return { intake, kept: () => seqs.filter((seq) => intake.recall(seq) !== undefined) };
}

test('outcomes - are kept until every consumer has taken them, and not longer', () => {
  const { intake, kept } = read(10);
  expect(kept()).toHaveLength(10);
  intake.forget(7);
  expect(kept()).toEqual([8, 9, 10]);
});

test('outcomes - small blocks count by what their outcomes hold, not by their readings only', () => {
  const { kept } = read(40_000);
  expect(kept().length).toBeLessThan(20_000);
  expect(kept().at(-1)).toBe(40_000);
});
