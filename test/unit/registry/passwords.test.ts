import { scryptSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { createTurns } from '../../../limits/index.ts';
import { checkPassword, createPasswords } from '../../../registry/index.ts';

const PASSWORD = 'a lantern in the harbour';

test('passwords - the hash is scrypt with its own salt, and only the right password fits', async () => {
  const passwords = createPasswords();
  const [first, second] = await Promise.all([passwords.hash('a', PASSWORD), passwords.hash('b', PASSWORD)]);
  expect(first).not.toBe(second);
  const [, N, r, p, salt, hash] = first.split('$') as [string, string, string, string, string, string];
  expect([N, r, p].map(Number)).toEqual([2 ** 15, 8, 3]);
  const cost = { N: Number(N), r: Number(r), p: Number(p), maxmem: 2 ** 26 };
  expect(scryptSync(PASSWORD, Buffer.from(salt, 'base64url'), 32, cost).toString('base64url')).toBe(hash);
  expect(await passwords.verify('a', PASSWORD, first)).toBe(true);
  expect(await passwords.verify('a', `${PASSWORD} `, first)).toBe(false);
  expect(await passwords.verify('a', PASSWORD, null)).toBe(false);
});

test('passwords - letters that look the same are the same, however they are written', async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash('a', 'Stra\u00dfe am M\u00e4rzplatz');
  expect(await passwords.verify('a', 'Stra\u00dfe am Ma\u0308rzplatz', hash)).toBe(true);
});

test('passwords - an unknown name waits for its turn like a known one', async () => {
  const asked: string[] = [];
  const turns = createTurns({ atOnce: 1, perHolder: 1, total: 1 });
  const passwords = createPasswords({
    turns: {
      ...turns,
      run(who, work) {
        asked.push(who);
        return turns.run(who, work);
      },
    },
  });
  const running = passwords.verify('a', PASSWORD, null);
  const waiting = passwords.verify('b', PASSWORD, null);
  await expect(passwords.verify('c', PASSWORD, null)).rejects.toMatchObject({ code: 'busy' });
  expect([await running, await waiting, asked]).toEqual([false, false, ['a', 'b', 'c']]);
});

test.each([
  ['short', 'it has 5 characters; 12 to 200 are right'],
  ['x'.repeat(201), 'it has 201 characters'],
  ['灯塔'.repeat(5), 'it has 10 characters'],
  ['aaaabbbbcccc', 'fewer than 5 different characters'],
  ['Mei@City.example!', 'it contains your e-mail address'],
])('passwords - %s is refused, with what would be right', (password, why) => {
  expect(() => checkPassword(password, 'mei@city.example')).toThrow(why);
});

test('passwords - a long sentence is right', () => {
  expect(() => checkPassword(PASSWORD, 'mei@city.example')).not.toThrow();
});
