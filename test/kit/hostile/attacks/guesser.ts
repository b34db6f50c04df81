import { pause } from '../../wait.ts';
import { type Attack, type Login, lanes, type Target } from '../target.ts';
import { ask, RawClient } from '../wire.ts';

const ADDRESSES = 50;
/** Guesses from each address, by what is guessed: ten thousand in all. */
const GUESSES = { passwords: 80, keys: 80, secrets: 20, codes: 20 } as const;
/** Guesses of one kind and address under way: those of passwords wait for each other in the server. */
const LANES = 2;
/** A busy machine checks a password in seconds, one after another. */
const RETRIES = 20;
const RETRY_MS = 1_000;
type Kind = keyof typeof GUESSES;
const KINDS = Object.keys(GUESSES) as Kind[];
const IN_ALL = ADDRESSES * KINDS.reduce((sum, kind) => sum + GUESSES[kind], 0);

const EMAIL = `mei-${process.pid}@guessed.example`;
const PASSWORD = 'a lantern in the harbour';
const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' };

const post = (target: Target, path: string, body: unknown, more: { key?: string; cookie?: string; from: string }) => {
  const { key, cookie, from } = more;
  const headers = { ...SAME_ORIGIN, ...(cookie === undefined ? {} : { cookie }) };
  return ask(target, { method: 'POST', path, key, from, headers, body: JSON.stringify(body) });
};

/** Adds a person with a password. */
async function addPerson(target: Target): Promise<void> {
  const [{ secret: key }] = target.keys.admin;
  const from = '127.3.1.1';
  const person = { name: 'Chen Mei', email: EMAIL, roles: [{ role: 'viewer', department: null }] };
  const { id } = JSON.parse((await post(target, '/api/v1/users', person, { key, from })).text) as { id: string };
  const link = JSON.parse((await post(target, `/api/v1/users/${id}/link`, {}, { key, from })).text) as { path: string };
  const { headers } = await post(target, '/auth/link', { token: link.path.split('#')[1] }, { from });
  const cookie = headers['set-cookie']![0]!.split(';')[0]!;
  const { status } = await post(target, '/auth/password', { password: PASSWORD }, { cookie, from });
  if (status !== 200) throw new Error(`a password could not be set: ${status}`);
}

/** One wrong guess; true where it got somebody in. */
async function guess(target: Target, kind: Kind, victim: Login, n: number, from: string): Promise<boolean> {
  if (kind === 'passwords') {
    const { status } = await post(target, '/auth/login', { email: EMAIL, password: `lantern number ${n}` }, { from });
    return status === 200;
  }
  if (kind === 'keys') {
    const key = `${n}${victim.secret.slice(String(n).length)}`;
    return (await ask(target, { path: '/api/v1/tickets', key, from })).status === 200;
  }
  if (kind === 'codes')
    return (await post(target, '/claim', { device: victim.id, code: `code-${n}` }, { from })).status === 200;
  const client = await RawClient.login(target, { id: victim.id, secret: `secret number ${n}` }, { from });
  client?.end();
  return client !== null;
}

const NOBODY = { signedIn: 0, keysIn: 0, devicesIn: 0, keptOut: 0 };

/** The right ones, again and again from addresses of their own; counts how many get in, and how many do not. */
async function rightOnes(target: Target, victim: Login, signal: AbortSignal, found: typeof NOBODY): Promise<void> {
  const ways: readonly (readonly [keyof typeof found, (from: string) => Promise<boolean>])[] = [
    [
      'signedIn',
      async (from) =>
        (await post(target, '/auth/login', { email: EMAIL, password: PASSWORD }, { from })).status === 200,
    ],
    [
      'keysIn',
      async (from) =>
        (await ask(target, { path: '/api/v1/tickets', key: target.keys.viewer[0].secret, from })).status === 200,
    ],
    [
      'devicesIn',
      async (from) => {
        const client = await RawClient.login(target, victim, { from });
        client?.end();
        return client !== null;
      },
    ],
  ];
  await lanes(ways.length, signal, async (lane, round) => {
    const [name, enter] = ways[lane]!;
    const from = `127.3.${2 + lane}.${1 + (round % 200)}`;
    // Whoever learns that the server is busy comes again.
    let isIn = await enter(from);
    for (let again = 0; !isIn && again < RETRIES && !signal.aborted; again++) {
      await pause(RETRY_MS);
      isIn = await enter(from);
    }
    if (isIn) found[name]++;
    else if (!signal.aborted) found.keptOut++;
    await pause(100);
  });
}

/** Attacks by whoever guesses. */
export const GUESSER: Readonly<Record<string, Attack>> = {
  guessing: {
    title:
      'ten thousand wrong passwords, keys, secrets and codes from fifty addresses take no account and keep nobody out',
    leastMs: 120_000,
    // It ends when all are tried, or the right ones have got in at least once: a busy machine tries fewer.
    async run(target, signal) {
      await addPerson(target);
      const victim = target.devices[0]!;
      const over = new AbortController();
      const entered = { ...NOBODY };
      const right = rightOnes(target, victim, over.signal, entered);
      // A busy machine checks passwords for minutes that are under way then: nobody waits for them.
      const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      const found = { tried: 0, taken: 0 };
      const from = (address: number) => `127.3.0.${1 + address}`;
      const guesses = Promise.all(
        Array.from({ length: ADDRESSES }, async (_, address) => {
          const each = KINDS.map(async (kind) => {
            let left = GUESSES[kind];
            const own = Array.from({ length: LANES }, async () => {
              while (left > 0 && !signal.aborted) {
                if (await guess(target, kind, victim, left--, from(address))) found.taken++;
                found.tried++;
              }
            });
            await Promise.all(own);
          });
          await Promise.all(each);
        }),
      );
      await Promise.race([guesses, aborted]);
      while (entered.signedIn * entered.keysIn * entered.devicesIn === 0) await pause(RETRY_MS);
      over.abort();
      await Promise.race([right, pause(RETRY_MS)]);
      return { ...found, ...entered };
    },
    judge: ({ tried, taken, signedIn, keysIn, devicesIn, keptOut }, { logBytes }) => [
      ...(tried! > 0 && taken === 0 ? [] : [`${tried} guesses of ${IN_ALL}, of which ${taken} got in`]),
      ...(keptOut === 0 && signedIn! > 0 && keysIn! > 0 && devicesIn! > 0
        ? []
        : [`the right ones: ${signedIn} persons, ${keysIn} keys and ${devicesIn} devices got in, ${keptOut} did not`]),
      ...(logBytes <= 256 * 1024 ? [] : [`the log: ${logBytes} bytes of wrong guesses`]),
    ],
  },
};
