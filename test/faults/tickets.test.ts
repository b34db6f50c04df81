import { beforeAll, expect, test } from 'vitest';
import { type ActedAndKilled, actAndKill } from '../kit/faults/act-and-kill.ts';

/** `npm run soak -- --actions --kills 100` is the long form. */
const KILLS = 6;
const CLIENTS = 50;

let outcome: ActedAndKilled;

beforeAll(async () => {
  outcome = await actAndKill({ kills: KILLS, clients: CLIENTS, seed: 'fifty clients' });
});

test('tickets - fifty clients act on the same tickets over kill -9: what was answered is in history, events and trail once, what was refused is not, and a restore to a moment between two kills is that moment', () => {
  expect(outcome.faults).toEqual([]);
  expect(outcome.restores).toBeGreaterThan(0);
});

test('tickets - many actions were done, some broke off, and refusals had their reason: another version, a status that does not allow it, another department', () => {
  const { asked, kills } = outcome;
  const of = (wanted: number | null) => asked.filter(({ status }) => status === wanted).length;
  expect(of(200)).toBeGreaterThan(asked.length / 8);
  expect(of(null)).toBeGreaterThanOrEqual(kills - 1);
  for (const expected of [409, 412]) expect(of(expected), `${expected}`).toBeGreaterThan(0);
  const known = [null, 200, 403, 404, 409, 412];
  expect(asked.filter(({ status }) => !known.includes(status))).toEqual([]);
});
