import { expect, test } from 'vitest';
import { createTurns } from '../../../limits/index.ts';

/** Turns whose work ends when the test says so. */
function scene(limits: Parameters<typeof createTurns>[0]) {
  const turns = createTurns(limits);
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const ask = (who: string, name = who) =>
    turns.run(who, () => {
      begun.push(name);
      return new Promise<string>((resolve) => void ends.push(() => resolve(name)));
    });
  /** Ends the work that began first. */
  async function end(): Promise<void> {
    ends.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { turns, begun, ask, end };
}

test('turns - only so much runs at once, and whoever asks for much waits for itself', async () => {
  const { turns, begun, ask, end } = scene({ atOnce: 2, perHolder: 9, total: 99 });
  const all = ['a1', 'a2', 'a3', 'a4', 'a5'].map((name) => ask('a', name));
  all.push(ask('b'), ask('c'));
  expect([begun, turns.waiting]).toEqual([['a1', 'a2'], 5]);
  for (let i = 0; i < 7; i++) await end();
  expect(begun).toEqual(['a1', 'a2', 'a3', 'b', 'c', 'a4', 'a5']);
  expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'b', 'c']);
  expect(turns.waiting).toBe(0);
});

test('turns - one holder may have less at once than all, and lets others pass', async () => {
  const { begun, ask, end } = scene({ atOnce: 3, eachAtOnce: 1, perHolder: 9, total: 99 });
  const all = ['a1', 'a2', 'a3'].map((name) => ask('a', name));
  all.push(ask('b', 'b1'), ask('b', 'b2'));
  expect(begun).toEqual(['a1', 'b1']);
  all.push(ask('c'));
  expect(begun).toEqual(['a1', 'b1', 'c']);
  for (let i = 0; i < 6; i++) await end();
  expect(begun).toEqual(['a1', 'b1', 'c', 'a2', 'b2', 'a3']);
  expect(await Promise.all(all)).toHaveLength(6);
});

test('turns - what waits is bounded, for each and for all', async () => {
  const { ask, end } = scene({ atOnce: 1, perHolder: 2, total: 3 });
  const kept = [ask('a', 'a1'), ask('a', 'a2'), ask('a', 'a3')];
  await expect(ask('a')).rejects.toMatchObject({ code: 'limit', retryable: true });
  kept.push(ask('b'));
  await expect(ask('c')).rejects.toMatchObject({ code: 'busy', retryable: true });
  for (let i = 0; i < 4; i++) await end();
  expect(await Promise.all(kept)).toEqual(['a1', 'a2', 'a3', 'b']);
});

test('turns - work that fails gives its place to the next', async () => {
  const turns = createTurns({ atOnce: 1, perHolder: 5, total: 5 });
  const failing = turns.run('a', () => Promise.reject(new Error('no')));
  const next = turns.run('b', async () => 'done');
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('done');
});
