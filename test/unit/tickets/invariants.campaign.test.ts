import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPlayer, histories } from '../../kit/tickets/truth/histories.ts';

/** `HISTORIES` plays more of them. */
const HISTORIES = Number(process.env.HISTORIES ?? 1_000);

test('invariants - a thousand random histories of acts, alerts, edits and time lead to no impossible ticket', () => {
  const play = createPlayer();
  let tickets = 0;
  fc.assert(
    fc.property(histories, (steps) => {
      const { impossible, actions } = play(steps);
      tickets += Number(actions.has('opened'));
      expect(impossible).toEqual([]);
    }),
    { numRuns: HISTORIES },
  );
  expect(tickets).toBeGreaterThan(HISTORIES / 2);
});
