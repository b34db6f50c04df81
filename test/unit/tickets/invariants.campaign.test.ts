import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HISTORY_ACTIONS } from '../../../domain/index.ts';
import { createPlayer, histories } from '../../kit/tickets/truth/histories.ts';

/** `HISTORIES` plays more of them, or fewer. */
const HISTORIES = Number(process.env.HISTORIES ?? 5_000);

test('invariants - of 5,000 random histories of acts, alerts, edits and time none leads to an impossible ticket', () => {
  const seen = new Set<string>();
  const play = createPlayer();
  fc.assert(
    fc.property(histories, (steps) => {
      const { impossible: found, actions } = play(steps);
      for (const action of actions) seen.add(action);
      expect(found).toEqual([]);
    }),
    { numRuns: HISTORIES },
  );
  // Only the citizen's rating is not among the acts.
  expect([...seen].sort()).toEqual(HISTORY_ACTIONS.filter((action) => action !== 'rated').sort());
});
