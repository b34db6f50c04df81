import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nothingSeen, sameState } from '../../kit/rules/replay/same-state.ts';

/** `REPLAY_SEED` chooses other cases, `REPLAY_CASES` more of them. */
const SEED = Number(process.env.REPLAY_SEED ?? 20_261_129);
const CASES = Number(process.env.REPLAY_CASES ?? 60);

test('replay - a state made anew from the whole journal equals the one that crashed on its way, table by table', () => {
  const seen = nothingSeen();
  fc.assert(
    sameState(seen),
    // To make a failing case smaller takes minutes: without `endOnFailure`, when somebody looks for the cause.
    { seed: SEED, numRuns: CASES, endOnFailure: true },
  );
  // Fewer would mean that little was compared.
  expect(seen.alerts).toBeGreaterThan(4 * CASES);
  expect(seen.tickets).toBeGreaterThan(CASES);
  expect(seen.crashes).toBeGreaterThan(CASES);
  expect(seen.done).toBeGreaterThan(2 * CASES);
  expect(seen.refused).toBeGreaterThan(2 * CASES);
  expect(seen.due).toBeGreaterThan(CASES);
  expect(seen.requests).toBeGreaterThan(CASES);
  expect(seen.administered).toBeGreaterThan(CASES);
  expect(seen.rated).toBeGreaterThan(CASES / 10);
}, 3_600_000);
