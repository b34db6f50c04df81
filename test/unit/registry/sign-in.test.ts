import { afterEach, beforeEach, expect, test } from 'vitest';
import { DAY_MS } from '../../../domain/index.ts';
import { COUNTED_HERE, type Counters, SharedFailures } from '../../../limits/index.ts';
import {
  type Attempt,
  createPasswords,
  createSignIn,
  oneTimeHere,
  SignedIn,
  type StoredPerson,
} from '../../../registry/index.ts';
import { totpCode } from '../../../registry/totp.ts';
import { testDir } from '../../kit/ingest/intake.ts';

const PASSWORD = 'a lantern in the harbour';
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const passwords = createPasswords({ cost: { N: 16, r: 8, p: 1 } });

const START = { ms: 1_000 * DAY_MS };

async function scene(changes: Partial<StoredPerson> = {}, counters: Counters = COUNTED_HERE, at = { ...START }) {
  const clock = Object.assign(at, { now: () => at.ms });
  const mei: StoredPerson = {
    ...{ id: 'p-1-0', version: 1, name: 'Mei', email: 'mei@city.example', language: 'en' },
    ...{ roles: [{ role: 'viewer', department: null }], totp: null, issuer: null, subject: null, stamp: 1 },
    ...{
      addedAt: '2026-01-01T00:00:00.000Z',
      suspendedAt: null,
      removedAt: null,
      password: await passwords.hash('test', PASSWORD),
    },
    ...changes,
  };
  const people = {
    get: (id: string) => (id === mei.id ? mei : null),
    byEmail: (email: string) => (email === mei.email ? mei : null),
  };
  const signedIn = new SignedIn(clock, { path: `${testDir()}/signedin.sqlite`, idleMs: DAY_MS }).open();
  const attempts: Attempt[] = [];
  const delayed: string[] = [];
  const logins = {
    refused({ user }: { user: string }, respond: () => void) {
      delayed.push(user);
      respond();
    },
    succeeded() {},
  };
  const note = async (attempt: Attempt) => void attempts.push(attempt);
  const signIn = createSignIn({
    people,
    passwords,
    signedIn,
    oneTime: oneTimeHere(signedIn),
    logins,
    counters,
    clock,
    note,
    open: (secret) => secret,
  });
  const login = (password: string, source: string, code?: string, email = mei.email) =>
    signIn.withPassword({ email, password, code }, { source, agent: '' });
  return { clock, mei, signedIn, signIn, attempts, delayed, login };
}

let open: Awaited<ReturnType<typeof scene>>;
beforeEach(async () => {
  open = await scene();
});
afterEach(() => open.signedIn.close());

test('sign-in - past five wrong passwords for a name an address waits, also for the right one; nobody else does', async () => {
  const { login, clock, attempts, delayed } = open;
  for (let i = 0; i < 6; i++)
    await expect(login('wrong', 'a')).rejects.toMatchObject({ code: i < 5 ? 'forbidden' : 'limit' });
  await expect(login(PASSWORD, 'a')).rejects.toMatchObject({ code: 'limit', retryable: true });
  expect(await login(PASSWORD, 'b')).toMatch(/^[\w-]{43}$/);
  await expect(login('wrong', 'a', undefined, 'colleague@city.example')).rejects.toMatchObject({ code: 'forbidden' });
  clock.ms += 20_000;
  expect(await login(PASSWORD, 'a')).toMatch(/^[\w-]{43}$/);
  expect(attempts.map(({ refused }) => refused)).toEqual([
    ...Array(5).fill('wrong-password'),
    ...[null, 'wrong-password', null],
  ]);
  expect(delayed).toEqual([...Array(5).fill('person:p-1-0'), 'unknown person']);
});

test('sign-in - past fifty wrong passwords an address waits, whatever the names', async () => {
  const { login, clock } = open;
  const guess = (i: number) => login('wrong', 'a', undefined, `nobody${i}@city.example`);
  for (let i = 0; i < 50; i++) await expect(guess(i)).rejects.toMatchObject({ code: 'forbidden' });
  await expect(guess(50)).rejects.toMatchObject({ code: 'limit' });
  await expect(login(PASSWORD, 'a')).rejects.toMatchObject({ code: 'limit' });
  clock.ms += 2_000;
  expect(await login(PASSWORD, 'a')).toMatch(/^[\w-]{43}$/);
});

test('sign-in - a name that does not exist is refused as a wrong password is', async () => {
  const said = async (email?: string) => open.login('wrong', 'a', undefined, email).catch((error: Error) => error);
  expect(await said('nobody@city.example')).toEqual(await said());
});

test('sign-in - codes are guessed slowly from however many addresses, by whoever has the password', async () => {
  open.signedIn.close();
  open = await scene({ totp: SECRET });
  const { login, clock } = open;
  const step = Math.floor(clock.now() / 30_000);
  for (let i = 0; i < 10; i++)
    await expect(login(PASSWORD, `a${i}`, '000000')).rejects.toMatchObject({ reason: 'wrong-code' });
  await expect(login(PASSWORD, 'b', totpCode(SECRET, step))).rejects.toMatchObject({ code: 'limit' });
  clock.ms += 300_000;
  expect(await login(PASSWORD, 'b', totpCode(SECRET, step + 10))).toMatch(/^[\w-]{43}$/);
});

/** Two nodes of a cluster: what one sends reaches the other at once. */
async function twoNodes(changes: Partial<StoredPerson> = {}) {
  const at = { ...START };
  const timers = {
    after(ms: number, run: () => void) {
      if (ms === 0) queueMicrotask(run);
      else queueMicrotask(() => queueMicrotask(run));
      return () => {};
    },
  };
  const a: SharedFailures = new SharedFailures({ timers, send: (failures) => b.receive(failures) });
  const b: SharedFailures = new SharedFailures({ timers, send: (failures) => a.receive(failures) });
  open.signedIn.close();
  const first = await scene(changes, a, at);
  open = await scene(changes, b, at);
  first.signedIn.close();
  return [first.login, open.login, at] as const;
}

test('sign-in - wrong passwords at one node of a cluster count at the others, for the same name and address only', async () => {
  const [atFirst, atSecond, at] = await twoNodes();
  for (let i = 0; i < 4; i++) await expect(atFirst('wrong', 'a')).rejects.toMatchObject({ code: 'forbidden' });
  expect(await atSecond(PASSWORD, 'a')).toMatch(/^[\w-]{43}$/);
  await expect(atSecond('wrong', 'a')).rejects.toMatchObject({ code: 'forbidden' });
  await expect(atSecond('wrong', 'a')).rejects.toMatchObject({ code: 'limit' });
  await expect(atFirst('wrong', 'a')).rejects.toMatchObject({ code: 'limit' });
  expect(await atSecond(PASSWORD, 'b')).toMatch(/^[\w-]{43}$/);
  at.ms += 20_000;
  expect(await atSecond(PASSWORD, 'a')).toMatch(/^[\w-]{43}$/);
});

test('sign-in - codes that were guessed at one node of a cluster count at the others, from whatever address', async () => {
  const [atFirst, atSecond, at] = await twoNodes({ totp: SECRET });
  const step = Math.floor(at.ms / 30_000);
  for (let i = 0; i < 10; i++)
    await expect(atFirst(PASSWORD, `a${i}`, '000000')).rejects.toMatchObject({ reason: 'wrong-code' });
  await expect(atSecond(PASSWORD, 'b', '000000')).rejects.toMatchObject({ code: 'limit' });
  at.ms += 300_000;
  expect(await atSecond(PASSWORD, 'b', totpCode(SECRET, step + 10))).toMatch(/^[\w-]{43}$/);
});

test('sign-in - a session is over once its person changes in what ends sessions', async () => {
  const { login, signIn, mei } = open;
  const secret = await login(PASSWORD, 'a');
  const principal = signIn.principalOf(secret)!;
  expect(principal).toMatchObject({ kind: 'person', id: 'person:p-1-0', role: 'viewer' });
  expect(signIn.isOpen(principal)).toBe(true);
  Object.assign(mei, { stamp: 2 });
  expect([signIn.principalOf(secret), signIn.isOpen(principal)]).toEqual([null, false]);
});

test('sign-in - a suspended person learns it by the right password only, and neither session nor link counts', async () => {
  const scened = await scene({ suspendedAt: '2026-02-01T00:00:00.000Z' });
  const { login, signIn, signedIn, mei, attempts } = scened;
  const visitor = { source: 'a', agent: '' };
  await expect(login('wrong', 'a')).rejects.toMatchObject({ reason: 'wrong-password' });
  await expect(login(PASSWORD, 'b')).rejects.toMatchObject({ code: 'forbidden', reason: 'person-suspended' });
  await expect(signIn.withLink(signedIn.makeLink(mei).secret, visitor)).rejects.toMatchObject({ reason: 'link-used' });
  expect(signIn.principalOf(signIn.begin(mei, 'password', visitor))).toBeNull();
  expect(attempts.map(({ refused }) => refused)).toEqual(['wrong-password', 'person-suspended', 'link-used']);
  signedIn.close();
});
