import { expect, test } from 'vitest';
import { HOUR_MS } from '../../../domain/index.ts';
import { Draws } from '../../../registry/index.ts';

const key = (id: string) => ({ kind: 'key', id, role: 'admin', department: null }) as const;

test('draws - a request that is repeated within the hour draws the same, and counts from the same moment', () => {
  const clock = { ms: 1_000, now: () => clock.ms };
  const draws = new Draws(clock);
  const drawn = (id: string, name: string | null) => {
    const { nowMs, secret } = draws.of({ actor: key(id), key: name });
    return [nowMs, secret(), secret(1)];
  };
  const first = drawn('a', 'once');
  clock.ms += HOUR_MS - 1;
  expect(drawn('a', 'once')).toEqual(first);
  const others = [drawn('b', 'once'), drawn('a', 'twice'), drawn('a', null), drawn('a', null)];
  const person = draws.of({ actor: { kind: 'person', id: 'a', role: 'admin', department: null }, key: 'once' });
  const secrets = [first, ...others].flatMap(([, ...some]) => some);
  expect(new Set([...secrets, person.secret()]).size).toBe(secrets.length + 1);
  expect(secrets.every((secret) => /^[\w-]{43}$/.test(`${secret}`))).toBe(true);
  clock.ms += 1;
  expect(drawn('a', 'once')).not.toEqual(first);
});

test('draws - those of the newest ten thousand requests are kept', () => {
  const draws = new Draws({ now: () => 0 });
  const drawn = (name: string) => draws.of({ actor: key('a'), key: name }).secret();
  const [first, second] = [drawn('first'), drawn('second')];
  for (let i = 0; i < 9_999; i++) drawn(`${i}`);
  expect([drawn('second') === second, drawn('first') === first]).toEqual([true, false]);
});
