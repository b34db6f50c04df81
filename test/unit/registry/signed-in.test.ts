import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DAY_MS, HOUR_MS } from '../../../domain/index.ts';
import { SignedIn } from '../../../registry/index.ts';
import { testDir } from '../../kit/ingest/intake.ts';

const MEI = { id: 'p-1-0', stamp: 1 };
const FROM = { how: 'password', address: '192.0.2.1', agent: 'Firefox' } as const;

let nowMs: number;
let path: string;
let signedIn: SignedIn;
const open = () => new SignedIn({ now: () => nowMs }, { path, idleMs: 12 * HOUR_MS }).open();

beforeEach(() => {
  nowMs = 1_000 * DAY_MS;
  path = `${testDir()}/signedin.sqlite`;
  signedIn = open();
});
afterEach(() => signedIn.close());

test('sessions - outlive a restart, and the file has no secret', () => {
  const { secret, session } = signedIn.begin(MEI, FROM);
  signedIn.close();
  expect(readFileSync(path).includes(secret)).toBe(false);
  signedIn = open();
  expect(signedIn.use(secret)).toMatchObject({ id: session.id, person: MEI.id, stamp: 1 });
  expect(signedIn.use(`${secret}x`)).toBeNull();
  expect(signedIn.end('p-2-0', session.id)).toBe(false);
  expect(signedIn.end(MEI.id, session.id)).toBe(true);
  signedIn.close();
  signedIn = open();
  expect(signedIn.use(secret)).toBeNull();
});

test('sessions - end 12 hours after the last request, and after 30 days', () => {
  const [idle, busy] = [signedIn.begin(MEI, FROM), signedIn.begin(MEI, FROM)];
  for (let hours = 0; hours < 30 * 24; hours += 10) {
    expect(signedIn.use(busy.secret), `${hours} h`).not.toBeNull();
    nowMs += 10 * HOUR_MS;
    if (hours === 10) expect(signedIn.use(idle.secret)).toBeNull();
  }
  nowMs += HOUR_MS;
  expect(signedIn.get(busy.session.id)).toBeNull();
  expect(signedIn.use(busy.secret)).toBeNull();
});

test('sessions - of 51 of one person, the one that was not used for longest ends', () => {
  const all = Array.from({ length: 50 }, () => {
    nowMs += 1_000;
    return signedIn.begin(MEI, FROM);
  });
  const other = signedIn.begin({ id: 'p-2-0', stamp: 1 }, FROM);
  nowMs += HOUR_MS;
  signedIn.use(all[0]!.secret);
  signedIn.begin(MEI, FROM);
  expect(signedIn.list(MEI.id, 1)).toHaveLength(50);
  expect([all[0]!, all[1]!, all[2]!, other].map(({ secret }) => signedIn.use(secret) !== null)).toEqual([
    true,
    false,
    true,
    true,
  ]);
});

test('links - count once, for a day, and only the newest of a person', () => {
  const first = signedIn.makeLink(MEI);
  const second = signedIn.makeLink(MEI);
  expect(signedIn.useLink(first.secret)).toBeNull();
  expect(signedIn.useLink(second.secret)).toEqual({ person: MEI.id, stamp: 1 });
  expect(signedIn.useLink(second.secret)).toBeNull();
  const late = signedIn.makeLink(MEI);
  nowMs += DAY_MS + 1;
  expect(signedIn.useLink(late.secret)).toBeNull();
  const ended = signedIn.makeLink(MEI);
  signedIn.endAll(MEI.id);
  expect(signedIn.useLink(ended.secret)).toBeNull();
});

test('codes - count once, and none that is older than one that was accepted', () => {
  expect([10, 10, 9, 11].map((step) => signedIn.useCode(MEI.id, step))).toEqual([true, false, false, true]);
  expect(signedIn.useCode('p-2-0', 9)).toBe(true);
});
