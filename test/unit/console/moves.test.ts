import { expect, test } from 'vitest';
import { MOVES as SHOWN } from '../../../console/src/pages/ticket/moves.ts';
import { ACTIONS, MOVES } from '../../../tickets/index.ts';

/** Who may ask by the page; rules and the clock do not. */
const ASKING = ['city', 'department', 'party', 'offered', 'joint'];

test.each([...ACTIONS, 'split'] as const)(
  'moves - the page offers %s from where, and to whom, the server allows it',
  (action) => {
    const { from, by } = MOVES[action];
    expect(SHOWN[action].from).toEqual(from);
    expect([...SHOWN[action].by].sort()).toEqual(by.filter((one) => ASKING.includes(one)).sort());
  },
);
