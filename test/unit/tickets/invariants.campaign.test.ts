import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HISTORY_ACTIONS } from '../../../domain/index.ts';
import { createPlayer, histories } from '../../kit/tickets/truth/histories.ts';

test('invariants - no random history of acts, alerts, edits and time leads to an impossible ticket', () => {
  const seen = new Set<string>();
  const play = createPlayer();
  fc.assert(
    fc.property(histories, (steps) => {
      const { impossible: found, actions } = play(steps);
      for (const action of actions) seen.add(action);
      expect(found).toEqual([]);
    }),
    { seed: 21, numRuns: 200 },
  );
  // Only the citizen's rating is not among the acts.
  expect([...seen].sort()).toEqual(HISTORY_ACTIONS.filter((action) => action !== 'rated').sort());
});
