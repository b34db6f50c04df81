import { afterAll, beforeAll, expect, test } from 'vitest';
import { Arena, COARSE, tableOf } from './arena.ts';
import { ATTACKS } from './attacks/index.ts';
import type { Attack } from './target.ts';

/**
 * Makes a test of each attack, all on one server; the last test looks for every acknowledged reading. No time is judged
 * here, and attacks are shorter; `npm run soak` has the bounds that are promised.
 */
export function attackSuite(attacks: Readonly<Record<string, Attack>>, ms?: number): void {
  let arena: Arena;
  const tickets = Object.values(attacks).some((attack) => attack.tickets === true);
  beforeAll(async () => {
    arena = await Arena.open({ tickets });
  });
  afterAll(async () => {
    await arena?.close();
    if (arena !== undefined) process.stdout.write(`${tableOf(arena.verdicts)}\n`);
  });

  for (const name of Object.keys(attacks)) {
    test(`hostile - ${ATTACKS[name]!.title}`, async () => {
      const { faults } = await arena.withstands(name, ms, COARSE);
      expect(faults.join('\n')).toBe('');
    });
  }

  test('hostile - after all of it, every acknowledged reading of the normal load is in the history', async () => {
    expect(await arena.lost()).toEqual([]);
  });
}
