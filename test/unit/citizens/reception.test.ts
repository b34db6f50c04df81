import { mkdtempSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { CitizenCommand } from '../../../actions/index.ts';
import {
  CITIZENS_FILE,
  type CitizenStore,
  createCitizenStore,
  createMedia,
  createReception,
  createShown,
  mediaPath,
  type Photo,
  photoOf,
  REMOVED,
  type Report,
  refuseReporter,
  type Sender,
} from '../../../citizens/index.ts';
import { LamppostError, type Ticket } from '../../../domain/index.ts';

const opened: CitizenStore[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

function openFolder() {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-citizens-'));
  const path = join(dir, CITIZENS_FILE);
  const store = createCitizenStore({ path }).open();
  opened.push(store);
  const media = createMedia(join(dir, 'media'));
  /** Every byte of the file and its log. */
  const bytes = () =>
    Buffer.concat(
      readdirSync(dir, { withFileTypes: true }).flatMap((one) =>
        one.isFile() ? [readFileSync(join(dir, one.name))] : [],
      ),
    );
  return { dir, path, store, media, bytes };
}

const lin = (n: number) => ({
  name: `Lin Qing ${n}`,
  email: `lin-${n}@example.org`,
  phone: null,
  deviceId: 'd',
  accountId: null,
  reportedAt: '2026-01-01T00:00:00.000Z',
});
const wrote = (n: number) => ({
  description: `my cellar ${n} is full of water`,
  address: `Mill Lane ${n}`,
  addressId: null,
  mediaUrl: null,
  attributes: { story: `it was ${n} o'clock` },
});
const entry = (id: string, n: number, storedMs = 0) => ({
  ...{ id, storedMs, statement: wrote(n), reporter: lin(n), repeat: null },
});

test('citizens - words and reporters are returned as stored, also after the file is opened again', () => {
  const { path, store } = openFolder();
  store.put(entry('c-1', 1));
  store.putComment('c-2', 'quick', 0);
  const again = createCitizenStore({ path }).open();
  opened.push(again);
  for (const one of [store, again]) {
    expect(one.statement('c-1')).toEqual({ said: wrote(1) });
    expect(one.reporter('c-1')).toEqual(lin(1));
    expect(one.comment('c-2')).toEqual({ said: 'quick' });
    expect([one.statement('c-3'), one.reporter('c-3')]).toEqual([null, null]);
  }
});

test.each([
  ['removed', (store: CitizenStore, ids: string[]) => store.remove(ids)],
  ['dropped', (store: CitizenStore, ids: string[]) => store.drop(ids)],
])('citizens - what is %s is in no byte of the file, and the rest is', (how, erase) => {
  const { store, bytes } = openFolder();
  for (let n = 100; n < 600; n++) store.put(entry(`c-${n}`, n));
  expect(bytes().includes('my cellar 450 is')).toBe(true);
  const gone = Array.from({ length: 300 }, (_, i) => i + 200);
  erase(store, [...gone.map((n) => `c-${n}`), 'nobody']);
  const left = bytes();
  for (const n of gone) {
    for (const text of [`lin-${n}@`, `Lin Qing ${n}`, `my cellar ${n} `, `Mill Lane ${n}`, `it was ${n} o'clock`])
      expect(left.includes(text), text).toBe(false);
    expect(store.statement(`c-${n}`)).toBe(how === 'removed' ? 'removed' : null);
  }
  expect(left.includes('lin-150@example.org')).toBe(true);
  expect(left.includes('my cellar 599 is')).toBe(true);
});

test('citizens - contacts alone are deleted from every byte, and the words stay', () => {
  const { store, bytes } = openFolder();
  store.put(entry('c-1', 1));
  store.put(entry('c-2', 2));
  expect(store.forgetReporters(['c-1', 'nobody'])).toBe(1);
  expect(store.forgetReporters(['c-1'])).toBe(0);
  expect(bytes().includes('lin-1@example.org')).toBe(false);
  expect(store.statement('c-1')).toEqual({ said: wrote(1) });
  expect(store.reporter('c-2')).toEqual(lin(2));
});

const ticketOf = (given: Partial<Ticket>) =>
  ({
    id: 'r-1-0',
    description: null,
    address: null,
    statement: null,
    rating: null,
    history: [],
    ...given,
  }) as Partial<Ticket> as Ticket;

test('citizens - a ticket is shown with its words, with a sentence once they were removed, without them where they are lost', () => {
  const { store } = openFolder();
  const shown = createShown(store);
  const rating = { stars: 4, comment: '', at: 'x', statement: 'c-2' };
  const ticket = ticketOf({ statement: 'c-1', rating });
  expect(shown.ticket(ticket)).toEqual(ticket);
  store.put(entry('c-1', 1));
  store.putComment('c-2', 'quick', 0);
  expect(shown.ticket(ticket)).toMatchObject({
    description: 'my cellar 1 is full of water',
    address: 'Mill Lane 1',
    rating: { comment: 'quick' },
  });
  expect(shown.request(ticket)).toEqual({ ...wrote(1), ticket, removed: false });
  expect(store.remove(['c-1', 'c-2'])).toEqual([]);
  const removed = `${REMOVED.en} ${REMOVED.zh}`;
  expect(shown.ticket(ticket)).toMatchObject({ description: removed, address: null, rating: { comment: removed } });
  expect(shown.request(ticket)).toMatchObject({ removed: true, address: null, attributes: {} });
  const ofOperator = ticketOf({ description: 'by hand', address: 'Town Hall' });
  expect(shown.ticket(ofOperator)).toEqual(ofOperator);
  expect(shown.request(ofOperator)).toMatchObject({ description: 'by hand', address: 'Town Hall', removed: false });
});

const photo = photoOf(readFileSync(new URL('../../fixtures/photos/plain.jpg', import.meta.url))) as Photo;

test('media - a photo is stored once, under its hash, and returned', async () => {
  const { media, dir } = openFolder();
  const name = await media.put(photo);
  expect(name).toMatch(/^[0-9a-f]{64}\.jpg$/);
  expect(await media.put(photo)).toBe(name);
  expect(readdirSync(join(dir, 'media'))).toEqual([name]);
  expect(await media.get(name)).toEqual(photo);
  const { stream, ...about } = (await media.open(name))!;
  expect(about).toEqual({ type: photo.type, length: photo.bytes.length });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).equals(photo.bytes)).toBe(true);
});

test.each([
  '../reporters.sqlite',
  'x.jpg',
  '',
  `${'0'.repeat(64)}.gif`,
  `${'0'.repeat(64)}.jpg`,
  `/${'0'.repeat(64)}.jpg`,
])('media - "%s" is no photo of this folder', async (name) => {
  const { media } = openFolder();
  expect(await media.get(name)).toBeNull();
  expect(await media.open(name)).toBeNull();
  await media.put(photo);
  expect(await media.get(name)).toBeNull();
});

test('media - a folder that cannot be written is an operational fault', async () => {
  const { dir } = openFolder();
  writeFileSync(join(dir, 'taken'), '');
  await expect(createMedia(join(dir, 'taken')).put(photo)).rejects.toMatchObject({ code: 'disk', retryable: true });
});

test('media - unused photos and half-written files go when they are old enough; a photo that is sent again counts as new', async () => {
  const { media, dir } = openFolder();
  const old = new Date('2026-01-01');
  const used = await media.put(photo);
  const other = await media.put({ ...photo, bytes: Buffer.concat([photo.bytes, Buffer.from('x')]) });
  writeFileSync(join(dir, 'media', 'a.part'), 'half');
  for (const name of [used, other, 'a.part']) utimesSync(join(dir, 'media', name), old, old);
  await media.put({ ...photo, bytes: Buffer.concat([photo.bytes, Buffer.from('x')]) });
  expect(statSync(join(dir, 'media', other)).mtimeMs).toBeGreaterThan(old.getTime());
  expect(await media.sweep((name) => name === used, old.getTime() + 1)).toBe(1);
  expect(readdirSync(join(dir, 'media')).sort()).toEqual([used, other].sort());
  expect(await createMedia(join(dir, 'none')).sweep(() => false, Date.now())).toBe(0);
});

const NOW = Date.UTC(2026, 3, 1);
const [HOUR_MS, DAY_MS] = [3_600_000, 86_400_000];
const report: Report = {
  ...wrote(1),
  service: 'noise',
  title: 'T',
  titleZh: 'Z',
  district: 'harbour',
  location: { lat: 1, lon: 2 },
  asset: null,
  unmeasured: true,
  photos: [photo],
  reporter: lin(1),
};
const app = (key: string | null = null): Sender => ({
  actor: { kind: 'key', id: 'app', role: 'citizen-app', department: null },
  key,
});

function openReception(submit?: (command: CitizenCommand, sender: Sender) => Promise<Ticket>) {
  const folder = openFolder();
  const tickets = new Map<string, Ticket>();
  let [n, nowMs, decidedMs, steadyMs] = [0, NOW, NOW, NOW];
  const submitted: { readonly command: CitizenCommand; readonly sender: Sender }[] = [];
  const { store, media } = folder;
  const reception = createReception(
    {
      clock: { now: () => nowMs, steady: { now: () => steadyMs }, offsetMs: () => nowMs - steadyMs },
      ...{ store, media },
      services: () => new Map(),
      tickets: {
        get: (id) => tickets.get(id) ?? null,
        idOf: (hash) => (Buffer.from(hash).equals(Buffer.from('#right')) ? 'r-1-0' : null),
        namedBy: (ids) =>
          [...tickets.values()].flatMap(({ statement, rating, closedAt }) =>
            [statement, rating?.statement ?? null].flatMap((one) =>
              one !== null && ids.includes(one) ? [{ statement: one, closedAt }] : [],
            ),
          ),
      },
      submit:
        submit ??
        (async (command, sender) => {
          submitted.push({ command, sender });
          const id = command.do === 'citizen.rate' ? command.ticket : `r-${submitted.length}-0`;
          const ticket = ticketOf({ id, statement: command.statement, closedAt: null });
          tickets.set(id, ticket);
          return ticket;
        }),
      decidedToMs: async () => decidedMs,
      newToken: () => `token-${++n}`,
      hash: (text) => Buffer.from(`#${text}`),
    },
    { sameWithinM: 100, reporterDays: 90 },
  );
  const clock = {
    set(ms: number, decided = ms, steady = ms) {
      [nowMs, decidedMs, steadyMs] = [ms, decided, steady];
    },
  };
  return { ...folder, reception, tickets, submitted, clock };
}

test('reception - photo, words and reporter are stored before the request is in the log, which has none of them', async () => {
  const seen: unknown[] = [];
  const scene = openReception(async (command, sender) => {
    const { statement } = command;
    const [name] = readdirSync(join(scene.dir, 'media'));
    expect(scene.store.statement(statement!)).toEqual({ said: { ...wrote(1), mediaUrl: mediaPath(name!) } });
    expect(scene.store.reporter(statement!)).toMatchObject({ email: 'lin-1@example.org' });
    seen.push(command, sender);
    return ticketOf({ statement });
  });
  const { token } = await scene.reception.report(report, app('lin-1@example.org'));
  expect(token).toBe('token-1');
  expect(seen[0]).toEqual({
    ...{ do: 'citizen.request', service: 'noise', title: 'T', titleZh: 'Z', district: 'harbour' },
    location: { lat: 1, lon: 2 },
    statement: expect.stringMatching(/^c-[0-9a-f]{24}$/),
    token: Buffer.from('#token-1').toString('hex'),
    sameWithinM: 100,
    asset: null,
    unmeasured: true,
  });
  expect(JSON.stringify(seen)).not.toMatch(/Lin Qing|cellar|Mill Lane|o'clock|lin-1/);
});

test('reception - the same request under the same name is the same one, with the same token; another one is refused', async () => {
  const { reception, submitted, store, clock } = openReception();
  const first = await reception.report(report, app('a'));
  expect(await reception.report(report, app('a'))).toMatchObject({ token: first.token });
  expect(submitted[1]!.command).toEqual(submitted[0]!.command);
  expect(submitted[1]!.sender).toEqual(submitted[0]!.sender);
  await expect(reception.report({ ...report, description: 'other' }, app('a'))).rejects.toMatchObject({
    code: 'mistakes',
  });
  expect((await reception.report(report, app('b'))).token).not.toBe(first.token);
  expect((await reception.report(report, app())).token).not.toBe(first.token);
  expect(store.after('', 10)).toHaveLength(3);
  clock.set(NOW + DAY_MS + 1);
  expect((await reception.report(report, app('a'))).token).not.toBe(first.token);
});

test('reception - the token of a repeatable request is in no byte of the file after a day', async () => {
  const { reception, bytes, clock } = openReception();
  const { token } = await reception.report(report, app('a'));
  expect(bytes().includes(token)).toBe(true);
  clock.set(NOW + DAY_MS + 1);
  await reception.expire();
  expect(bytes().includes(token)).toBe(false);
});

test('reception - a citizen without name and contact leaves no reporter', async () => {
  const { reception, store } = openReception();
  const { ticket } = await reception.report({ ...report, reporter: null }, app());
  expect(store.reporter(ticket.statement!)).toBeNull();
  expect(store.after('', 10)).toMatchObject([{ hasReporter: false }]);
});

test('reception - what got no ticket is deleted an hour after the log was decided up to it, not while it may get one', async () => {
  const refused = new LamppostError('not-found', 'no such service');
  const { reception, store, clock, bytes } = openReception(() => Promise.reject(refused));
  await expect(reception.report(report, app())).rejects.toBe(refused);
  clock.set(NOW + HOUR_MS);
  expect(await reception.expire()).toMatchObject({ orphans: 0 });
  // The engine is far behind.
  clock.set(NOW + 3 * DAY_MS, NOW + HOUR_MS);
  expect(await reception.expire()).toMatchObject({ orphans: 0 });
  expect(store.after('', 10)).toHaveLength(1);
  clock.set(NOW + 3 * DAY_MS, NOW + HOUR_MS + 1);
  expect(await reception.expire()).toMatchObject({ orphans: 1 });
  expect(store.after('', 10)).toEqual([]);
  expect(bytes().includes('lin-1@example.org')).toBe(false);
  expect(bytes().includes('Mill Lane')).toBe(false);
});

test('reception - names and contacts are deleted a number of days after the ticket closed, the words stay', async () => {
  const { reception, store, tickets } = openReception();
  const closed = (id: string, days: number | null) => {
    const closedAt = days === null ? null : new Date(NOW - days * DAY_MS).toISOString();
    tickets.set(id, ticketOf({ id, closedAt, statement: id }));
    store.put(entry(id, 1));
  };
  closed('open', null);
  closed('fresh', 89.9);
  closed('over', 90);
  expect(await reception.expire()).toEqual({ reporters: 1, orphans: 0, photos: 0 });
  expect(['fresh', 'open', 'over'].map((id) => store.reporter(id) !== null)).toEqual([true, true, false]);
  expect(store.statement('over')).toEqual({ said: wrote(1) });
  expect(await reception.expire()).toEqual({ reporters: 0, orphans: 0, photos: 0 });
});

test('reception - a clock that is far ahead deletes no name, no follower and no photo early', async () => {
  const { reception, store, tickets, media, clock, dir } = openReception();
  tickets.set('closed', ticketOf({ id: 'closed', closedAt: new Date(NOW).toISOString(), statement: 'closed' }));
  store.put(entry('closed', 1));
  const name = await media.put(photo);
  clock.set(NOW + 70 * 365 * DAY_MS, NOW, NOW + HOUR_MS / 2);
  utimesSync(join(dir, 'media', name), NOW / 1_000, NOW / 1_000);
  expect(await reception.expire()).toMatchObject({ reporters: 0, orphans: 0, photos: 0 });
});

test('reception - photos of nobody go after an hour, those of requests stay', async () => {
  const { reception, media, dir } = openReception();
  await reception.report(report, app());
  const orphan = await media.put({ ...photo, bytes: Buffer.concat([photo.bytes, Buffer.from('x')]) });
  for (const name of readdirSync(join(dir, 'media'))) {
    utimesSync(join(dir, 'media', name), (NOW - 3_600_001) / 1_000, (NOW - 3_600_001) / 1_000);
  }
  expect(await reception.expire()).toEqual({ reporters: 0, orphans: 0, photos: 1 });
  expect(readdirSync(join(dir, 'media'))).not.toContain(orphan);
});

test('reception - what is removed at the wish of its author takes the photo with it, unless somebody else sent the same', async () => {
  const { reception, dir } = openReception();
  const photos = () => readdirSync(join(dir, 'media')).length;
  const [one, two] = [await reception.report(report, app()), await reception.report(report, app())];
  expect(await reception.remove(one.ticket)).toBe(true);
  expect(photos()).toBe(1);
  expect(await reception.remove(one.ticket)).toBe(false);
  expect(await reception.remove(two.ticket)).toBe(true);
  expect(photos()).toBe(0);
  expect(await reception.remove(ticketOf({}))).toBe(false);
});

test('reception - a rating is checked before anything is written; its comment stands apart', async () => {
  const { reception, store, tickets, submitted } = openReception();
  const rate = (token: string) => reception.rate({ ticket: 'r-1-0', token, stars: 5, comment: 'Mill Lane is dry' });
  await expect(rate('right')).rejects.toMatchObject({ code: 'not-found' });
  tickets.set('r-1-0', ticketOf({ status: 'open' }));
  await expect(rate('wrong')).rejects.toMatchObject({ reason: 'not-the-reporter' });
  await expect(rate('right')).rejects.toMatchObject({ reason: 'wrong-status' });
  const rating = { stars: 1, comment: '', at: 'x', statement: null };
  tickets.set('r-1-0', ticketOf({ status: 'closed', rating }));
  await expect(rate('right')).rejects.toMatchObject({ reason: 'already-rated' });
  expect(store.after('', 10)).toEqual([]);
  expect(submitted).toEqual([]);
  tickets.set('r-1-0', ticketOf({ status: 'closed' }));
  await rate('right');
  await reception.rate({ ticket: 'r-1-0', token: 'right', stars: 5, comment: '' }).catch(() => {});
  const [{ command }] = submitted as [(typeof submitted)[number]];
  expect(command).toMatchObject({ do: 'citizen.rate', ticket: 'r-1-0', stars: 5 });
  expect(JSON.stringify(submitted)).not.toContain('Mill Lane');
  expect(store.comment(command.statement!)).toEqual({ said: 'Mill Lane is dry' });
});

test.each([
  ['operator', 'water', null],
  ['admin', 'water', null],
  ['admin', null, null],
  ['operator', null, 'not-your-department'],
  ['operator', 'waste', 'not-your-department'],
  ['admin', 'waste', 'not-your-department'],
  ['viewer', 'water', 'not-your-role'],
  ['citizen-app', 'water', 'not-your-role'],
  ['network-server', null, 'not-your-role'],
] as const)('access - a %s of %s who asks for the reporter of a ticket of water: %s', (role, department, refusal) => {
  expect(refuseReporter([{ role, department }], { department: 'water' })).toBe(refusal);
});

test('access - of a person with several roles each counts, and none where a group has the ticket', () => {
  const grants = [
    { role: 'operator', department: 'waste' },
    { role: 'operator', department: 'water' },
    { role: 'viewer', department: 'lighting' },
  ] as const;
  for (const department of ['waste', 'water']) expect(refuseReporter(grants, { department })).toBeNull();
  expect(refuseReporter(grants, { department: 'lighting' })).toBe('not-your-department');
  expect(refuseReporter(grants, { department: 'water' }, 'community')).toBe('not-a-department');
});

test('all requests that somebody follows are found, page by page', () => {
  const { followers } = openFolder().store;
  const ids = Array.from({ length: 5 }, (_, n) => `o-${n}`);
  for (const ticket of ids) {
    const named = { id: `f-${ticket}`, ticket, token: 't', secret: `s-${ticket}`, contact: 'a@b.example' };
    followers.add({
      ...{ ...named, channel: 'email', language: 'en', createdMs: 0, confirmedMs: null, failingMs: null },
    });
    followers.confirm(named.id, 1);
  }
  expect([followers.followed(3), followers.followed(3, 'o-2')]).toEqual([ids.slice(0, 3), ids.slice(3)]);
});
